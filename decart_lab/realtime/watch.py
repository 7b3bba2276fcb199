"""Is the picture still moving, and is anybody sending: two watches, pure, fed with the time.

aiortc notices a dead peer after half a minute; a session that shows nothing and counts on must be
noticed by us. Figures are those of the failure table (L1, L4, L25).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

STALLED_S: Final = 1.5
LOST_S: Final = 4.5
WARN_S: Final = 10.0
"""How long before an idle stop the session says so, in seconds."""


class Flow(StrEnum):
    """How the picture comes."""

    FLOWING = "flowing"
    STALLED = "stalled"
    LOST = "lost"


@dataclass
class FlowWatch:
    """Tells from the time of the last packet whether media flows.

    Attributes
    ----------
    stalled_s, lost_s : float
        Silence after which the picture counts as stalled, and as lost, in seconds.
    """

    stalled_s: float = STALLED_S
    lost_s: float = LOST_S
    flow: Flow = Flow.FLOWING
    stalls: int = 0

    def look(self, last_s: float | None, now: float) -> Flow | None:
        """Return the flow if it changed since the last look.

        Parameters
        ----------
        last_s : float or None
            When the last packet or frame came; None while there has been none, which is no stall.
        now : float
            On the same clock.
        """
        silence = 0.0 if last_s is None else now - last_s
        flow = (
            Flow.LOST
            if silence >= self.lost_s
            else Flow.STALLED
            if silence >= self.stalled_s
            else Flow.FLOWING
        )
        if flow is self.flow:
            return None
        self.stalls += self.flow is Flow.FLOWING
        self.flow = flow
        return flow

    def reset(self) -> None:
        """Begin anew with a new peer."""
        self.flow = Flow.FLOWING


class IdleWatch:
    """Counts the time in which nobody sends, looks or asks for anything.

    Parameters
    ----------
    timeout_s : float or None
        Seconds after which an unused session is to stop; None for never.
    now : float
        The time.
    """

    def __init__(self, timeout_s: float | None, now: float) -> None:
        self.timeout_s = timeout_s
        self._used = now
        self._warned = False

    def use(self, now: float) -> None:
        """Somebody is there."""
        self._used = max(self._used, now)
        self._warned = False

    def left(self, now: float) -> float | None:
        """Return the seconds until the stop, or None when it never comes."""
        return None if self.timeout_s is None else max(0.0, self._used + self.timeout_s - now)

    def warning(self, now: float) -> float | None:
        """Return the seconds left, once, when they have become few."""
        left = self.left(now)
        if left is None or self._warned or left > min(WARN_S, (self.timeout_s or 0.0) / 2):
            return None
        self._warned = True
        return left
