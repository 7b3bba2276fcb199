"""One point while it is being bought: its phase, its stopwatch, its evidence and its facts.

The steps of buying drive it (:mod:`decart_lab.sweep.buying`); the journal gets from it what is
worth keeping.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from .._clock import Clock
from .plan import Point

if TYPE_CHECKING:
    from .journal import Attempt

ERROR_COLUMNS: Final = ("error_phase", "error_type", "error_message", "http_status")
Phase = Literal["prepare", "upload", "submit", "poll", "download", "store"]


class Purchase:
    """What is needed to buy one point, and what it leaves behind.

    Parameters
    ----------
    point : Point
        What to buy.
    target : Path
        Where the result is downloaded to.
    clock : Clock
        The time.
    """

    def __init__(self, point: Point, target: Path, clock: Clock) -> None:
        self.point = point
        self.target = target
        self.phase: Phase = "prepare"
        self.attempt: Attempt | None = None
        self.sent = self.overdue = False
        self.when_sent: Callable[[], None] = lambda: None
        self.facts: dict[str, Any] = {}
        self._clock = clock
        self._started = self._lap = clock.now()

    @property
    def options(self) -> dict[str, Any]:
        """The request, as the client takes it."""
        files = {name: item.prepared for name, item in self.point.files.items()}
        return {"model": self.point.spec, **self.point.fields, **files}

    @property
    def kind(self) -> tuple[str, int]:
        """Jobs that last alike: the model, and the clip's length within a factor of 1.4."""
        data = self.point.files.get("data")
        seconds = (data.duration_s if data else None) or 0.0
        model = self.point.spec.canonical if self.point.spec else self.point.model
        return model, bucket(seconds)

    def lap(self) -> float:
        """Return the seconds since the last lap, and begin another."""
        now = self._clock.now()
        seconds, self._lap = now - self._lap, now
        return seconds

    def elapsed(self) -> float:
        """Return the seconds since the purchase began."""
        return self._clock.now() - self._started

    def take_facts(self, **more: Any) -> dict[str, Any]:
        """Return the facts gathered since the last time, and begin again."""
        facts, self.facts = self.facts | more, {}
        return facts

    def cleared(self) -> dict[str, Any]:
        """Return the columns that say no error any more, when the answer had been overdue."""
        return dict.fromkeys(ERROR_COLUMNS) if self.overdue else {}

    def on_upload_progress(self, sent: int, total: int) -> None:
        """Note the moment at which the whole request is on its way."""
        if sent >= total and not self.sent:
            self.sent = True
            self.phase = "submit"
            self.facts["upload_s"] = self.lap()
            self.when_sent()


def bucket(seconds: float) -> int:
    """Return which lengths of clips count as alike; 0 for none.

    Examples
    --------
    >>> bucket(0.0), bucket(5.0), bucket(5.2), bucket(30.0)
    (0, 6, 6, 12)
    """
    length, number = 1.0, 1
    while length < seconds:
        length, number = length * 1.4, number + 1
    return number if seconds > 0 else 0
