"""The course of a session: its state, figures and events, as the keeper reports them.

What belongs here: taking in what happens and answering what the keeper asks. What a user asks of a
session is :mod:`.session`'s.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ..contract.realtime import (
    Ended,
    Problem,
    Queued,
    ServerEvent,
    SessionState,
    Started,
    Tick,
    Unknown,
)
from ..errors import DecartSDKError, WebRTCError
from .events import Bus, SessionEvent
from .signaling.base import Change, Keep, Signaling, Summary
from .stats import Telemetry
from .watch import IdleWatch

if TYPE_CHECKING:
    from .._clock import Clock
    from .captures import Captures
    from .link import AnyPeer
    from .measure import Measure
    from .meter import Meter
    from .uplink import Uplink


EXPIRING_S: Final = 60.0
"""How long before the service's limit a session says so, in seconds."""


class Course:
    """Where a session stands and how it came there.

    Parameters
    ----------
    initial : Change
        What is shown first.
    meter : Meter
        Seconds, cost and caps.
    idle_timeout_s : float or None
        Seconds without any use after which the session is to end.
    clock : Clock
        Time of events and figures.
    run_handler : callable
        Calls users' handlers where they can do no harm.
    """

    def __init__(
        self,
        initial: Change,
        meter: Meter,
        idle_timeout_s: float | None,
        clock: Clock,
        run_handler: Callable[..., object],
    ) -> None:
        self.state = SessionState.CONNECTING
        self.meter = meter
        self.shown = initial
        self.prompt_id = 0
        self.session_ids: list[str] = []
        self.simulated: bool | None = None
        self.connected = asyncio.Event()
        self.bus = Bus(run_handler)
        self.telemetry = Telemetry()
        self.captures: Captures  # these two listen to the course, and come right after it
        self.measure: Measure
        self.uplink: Uplink | None = None
        self.preview: Callable[[], Mapping[str, Any]] = dict  # figures of who shows the frames
        self._clock = clock
        self._expires_at: datetime | None = None
        self._began = clock.now()
        self._idle = IdleWatch(idle_timeout_s, self._began)

    # -- what the session tells ------------------------------------------------------------------

    def use(self) -> None:
        """Somebody uses the session."""
        self._idle.use(self._clock.now())

    def showing(self, change: Change) -> None:
        """Take a change that the service has accepted."""
        shown = self.shown
        self.shown = Change(
            shown.prompt if isinstance(change.prompt, Keep) else change.prompt,
            shown.image if isinstance(change.image, Keep) else change.image,
            change.enhance,
        )
        self.prompt_id += 1
        if not isinstance(change.prompt, Keep):
            self.tell("prompt", change.prompt)
        if not isinstance(change.image, Keep):
            self.tell("image", change.image is not None)

    def identify(self, signaling: Signaling) -> None:
        """Note the service's name for the session, its limit, and whether it is the emulator."""
        session_id = signaling.session_id
        self._expires_at = signaling.expires_at
        if signaling.simulated is not None:
            self.simulated = signaling.simulated
        if session_id is not None and session_id not in self.session_ids[-1:]:
            self.session_ids.append(session_id)

    def frame(self, timestamp_s: float, size: int, key: bool, mark: int | None, ms: float) -> None:
        """Keep what is known of a received frame."""
        t = self._clock.now() - self._began
        self.telemetry.frame(t, timestamp_s, size, key, mark, ms, self.prompt_id)

    # -- what the keeper tells and asks ----------------------------------------------------------

    def wanted(self) -> Change:
        """Return what a new session at the service is to show first."""
        return self.shown

    def on_state(self, state: SessionState) -> None:
        """Take a new state."""
        if state is SessionState.CONNECTED:
            self.connected.set()
            self.use()
        if state is not self.state or state is SessionState.CONNECTING:
            self.state = state
            self.tell("connection_change", state)

    def on_event(self, event: ServerEvent) -> None:
        """Take what the service says."""
        now = self._clock.now()
        match event:
            case Started():
                self.meter.started(now)
                self.on_state(SessionState.GENERATING)
                self.tell("generation_started", None)
            case Tick(seconds=seconds):
                self.meter.told(seconds, now)
                self.on_state(SessionState.GENERATING)
                self.tell("generation_tick", event)
            case Ended(seconds=seconds):
                self.meter.over(seconds)
                self.tell("generation_ended", event)
            case Queued():
                self.tell("queue_position", event)
            case Problem(title=title, detail=detail, status=status):
                said = f"The service reports: {title}. {detail}".strip()
                self.on_problem(WebRTCError(said, status=status))
            case Unknown(name=name):
                self.measure.unknown(name)

    def on_peer(self, peer: AnyPeer | None) -> None:
        """Take media from another peer."""
        self.captures.hub.attach(peer)
        self.measure.attach(peer)

    def on_gone(self, summary: Summary | None) -> None:
        """Close the count of a session at the service."""
        self.meter.over(math.nan if summary is None else summary.seconds)

    def on_problem(self, error: DecartSDKError) -> None:
        """Tell of a failure that the session survives."""
        self.tell("error", error)

    def tell(self, name: str, data: object) -> None:
        """Hand an event to listeners, and keep it."""
        event = SessionEvent(name, data, self._clock.utc(), self._clock.now() - self._began)
        self.telemetry.event(event, self.meter.seconds, self.prompt_id)
        self.bus.tell(event)

    def look(self, now: float) -> str | None:
        """Write the second's figures; return why the session must end, if it must."""
        row = self.measure.second(time.monotonic())
        if row is not None:
            self.telemetry.second({**row, **self.preview(), **self._stand(now)})
        if self.meter.left(now) <= 0:
            return self.meter.cap
        if self.captures.active:
            self.use()
        self._warn_of_the_limit()
        self.measure.expect_events(self.state is SessionState.CONNECTED, now)
        warning = self._idle.warning(now)
        if warning is not None:
            self.tell("idle", round(warning, 1))
        return "idle" if self._idle.left(now) == 0 else None

    def idle_left(self) -> float | None:
        """Return the seconds until the session stops unused; None when it never does."""
        return self._idle.left(self._clock.now())

    def _warn_of_the_limit(self) -> None:
        """Tell once that the service's own limit on the session is near; nothing renews it."""
        if self._expires_at is None:
            return
        left = (self._expires_at - self._clock.utc()).total_seconds()
        if left <= EXPIRING_S:
            self._expires_at = None
            self.tell("expiring", round(max(0.0, left), 1))

    def sending_since(self) -> float | None:
        """Return since when frames have gone out without a pause."""
        return None if self.uplink is None else self.uplink.sending_since()

    def _stand(self, now: float) -> dict[str, Any]:
        return {
            "t": now - self._began,
            "at": self._clock.utc(),
            "state": str(self.state),
            "seconds": self.meter.seconds,
            "cost": self.meter.cost,
            "prompt_id": self.prompt_id,
            "session_id": self.session_ids[-1] if self.session_ids else None,
        }
