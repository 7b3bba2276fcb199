"""How much may be under way: rules that a service's answers tighten and quiet time relaxes.

Pure: each rule is told what happened and when, and asked what is allowed. Carrying them out is the
engine's.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Final

SHRINK: Final = 0.7
EPISODE_S: Final = 15.0
"""Refusals within this time are one episode and shrink the limit once."""

LONGEST_PAUSE_S: Final = 900.0
BREAKER: Final = 5
"""After so many failures in a row to reach the service, one request tries it alone."""


BACK_OFF_S: Final = (0.5, 8.0)
"""The n-th wait is drawn between 0 and the first doubled n - 1 times, at most the second."""


@dataclass(slots=True)
class Adaptive:
    """How many jobs may be in flight: grows while all is well, shrinks when there are too many.

    Attributes
    ----------
    most : int
        What was asked for; it begins here and never goes above.
    """

    most: int
    limit: float = 0.0
    _shrunk_at: float = -1e9
    _held_until: float = -1e9

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    @property
    def allowed(self) -> int:
        """How many may be in flight now."""
        return max(1, int(self.limit))

    def too_many(self, now: float) -> None:
        """Take a 429: shrink, once for each episode."""
        if now - self._shrunk_at >= EPISODE_S:
            self.limit = max(1.0, self.limit * SHRINK)
            self._shrunk_at = now

    def trouble(self, now: float) -> None:
        """Take a passing failure of the service: it pauses the growth and shrinks nothing."""
        self._held_until = now + EPISODE_S

    def well(self, now: float) -> None:
        """Take a job that was accepted: about one more in flight after a round of them."""
        if now >= self._held_until and now - self._shrunk_at >= 1.0:
            self.limit = min(float(self.most), self.limit + 1 / max(1.0, self.limit))


@dataclass(slots=True)
class Gate:
    """When the next paid request may begin; one for the whole run.

    Attributes
    ----------
    opens_at : float
        Time of the clock; in the past when it is open.
    failures : int
        How often in a row the service could not be reached.
    """

    opens_at: float = -1e9
    failures: int = 0

    def wait_s(self, now: float) -> float:
        """Return how long it stays closed; 0 when it is open."""
        return max(0.0, self.opens_at - now)

    def refused(self, now: float, wait_s: float, dice: float) -> None:
        """Take a refusal: nothing is sent until the time asked for, and a little more.

        Parameters
        ----------
        wait_s : float
            What the service asked for, or our own guess.
        dice : float
            From 0 to 1: spreads kernels that were told the same second.
        """
        self.failures = 0
        pause = min(wait_s, LONGEST_PAUSE_S) * (1.0 + 0.1 * dice)
        self.opens_at = max(self.opens_at, now + pause)

    def unreached(self, now: float, dice: float) -> None:
        """Take a request that never arrived; after five in a row the gate closes for a while."""
        self.failures += 1
        if self.failures >= BREAKER:
            pause = min(60.0, 0.5 * 2.0 ** min(self.failures - BREAKER, 10))
            self.opens_at = max(self.opens_at, now + pause * (0.5 + 0.5 * dice))

    def reached(self) -> None:
        """Take any answer."""
        self.failures = 0

    @property
    def alone(self) -> bool:
        """Whether only one request at a time may try."""
        return self.failures >= BREAKER


class Pace:
    """What the answers to paid requests mean for the next ones: both rules, and the waits.

    Parameters
    ----------
    most : int
        Jobs in flight at the most.
    dice : random.Random
        Spreads the waits.
    """

    def __init__(self, most: int, dice: random.Random) -> None:
        self.jobs = Adaptive(most)
        self.gate = Gate()
        self._dice = dice
        self._tries: Counter[str] = Counter()

    def taken(self, now: float) -> None:
        """Take that a request was accepted."""
        self.gate.reached()
        self.jobs.well(now)

    def refused(
        self, point_id: str, now: float, status: int | None, asked_s: float | None
    ) -> tuple[int, float]:
        """Take that the service would not take a request; everybody waits for it.

        Returns
        -------
        tries : int
            How often this point was tried.
        wait_s : float
            How long it is to wait besides.
        """
        tries, jitter = self._tried(point_id)
        if status == 429:
            self.jobs.too_many(now)
        else:
            self.jobs.trouble(now)
        self.gate.refused(now, jitter + 0.5 if asked_s is None else asked_s, self._dice.random())
        return tries, 0.0

    def unreached(self, point_id: str, now: float) -> tuple[int, float]:
        """Take that a request did not arrive; return as :meth:`refused` does."""
        tries, jitter = self._tried(point_id)
        self.jobs.trouble(now)
        self.gate.unreached(now, self._dice.random())
        return tries, jitter

    def _tried(self, point_id: str) -> tuple[int, float]:
        self._tries[point_id] += 1
        tries = self._tries[point_id]
        first, most = BACK_OFF_S
        return tries, self._dice.uniform(0.0, min(most, first * 2.0 ** min(tries - 1, 10)))
