"""One point while it is being bought: its phase, its stopwatch, and its lines in the journal.

The routes drive it and the engine reads from it what went wrong and where.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from .._clock import Clock
from ..contract.states import PointStatus
from ._memory import EventKind, Journal
from .plan import Point

Phase = Literal["prepare", "upload", "submit", "poll", "download", "store"]


class Purchase:
    """What a route needs to buy one point, and what it leaves behind.

    Parameters
    ----------
    point : Point
        What to buy.
    target : Path
        Where the result is downloaded to.
    journal : Journal
        The run's record.
    clock : Clock
        The time.
    """

    def __init__(self, point: Point, target: Path, journal: Journal, clock: Clock) -> None:
        self.point = point
        self.target = target
        self.phase: Phase = "prepare"
        self.job_id: str | None = None
        self.polls = 0
        self._journal = journal
        self._clock = clock
        self._started = clock.now()
        self._lap = self._started

    @property
    def options(self) -> dict[str, Any]:
        """The request, as the client takes it."""
        files = {name: item.prepared for name, item in self.point.files.items()}
        return {"model": self.point.spec, **self.point.fields, **files}

    def record(self, kind: EventKind, **changes: Any) -> None:
        """Write a line into the journal."""
        self._journal.record(kind, self.point.point_id, self._clock.utc(), **changes)

    def lap(self) -> float:
        """Return the seconds since the last lap, and begin another."""
        now = self._clock.now()
        seconds, self._lap = now - self._lap, now
        return seconds

    def elapsed(self) -> float:
        """Return the seconds since the purchase began."""
        return self._clock.now() - self._started

    def begin(self) -> None:
        """Note the intent to buy; after this the request may reach the service."""
        self.phase = "upload"
        self.lap()
        self.record(
            "intent",
            status=PointStatus.SUBMITTING,
            attempt=1,
            submitted_at=self._clock.utc(),
            prepare_s=sum(item.prepare_s for item in self.point.files.values()),
        )

    def on_upload_progress(self, sent: int, total: int) -> None:
        """Note the moment at which the whole request is on its way."""
        if sent >= total and self.phase == "upload":
            self.phase = "submit"
            self.record("status", upload_s=self.lap())
