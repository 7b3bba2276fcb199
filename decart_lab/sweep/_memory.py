"""The record of a run in memory, which the journal on disk takes the place of.

One writer, the engine, calls :meth:`Journal.record`; anybody reads snapshots from any thread. The
events are the truth and the points a view of them. They are held in memory for as long as the
kernel lives; no other module knows that, so a journal on disk takes this one's place.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ..contract.states import OPEN, PointStatus, check_transition

EventKind = Literal["planned", "intent", "ack", "status", "done", "ended"]
"""planned: the point joins the run; intent: its paid request is about to begin; ack: the service
gave a job id; status: the service's word changed; done: the result is stored; ended: no result."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one point.

    Attributes
    ----------
    seq : int
        Position in the journal, from 0.
    at : datetime
        UTC.
    kind : str
        One of ``EventKind``.
    point_id : str
        The point.
    changes : dict
        Columns of the table that got these values; ``status`` moves by the table of states.
    """

    seq: int
    at: datetime
    kind: EventKind
    point_id: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over a run's points at one moment.

    Attributes
    ----------
    total, done, failed, running : int
        All points; those that will not change any more; of these, those without a result; those
        being bought.
    cost : float
        USD known to be spent.
    unpriced : int
        Completed points whose price is not known.
    by_status : dict of str to int
        Points by status, in the order of the states.
    """

    total: int
    done: int
    failed: int
    running: int
    cost: float
    unpriced: int
    by_status: Mapping[str, int]


_COMPLETED = PointStatus.COMPLETED


class Journal:
    """Events of a run and the view of its points."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._points: dict[str, dict[str, Any]] = {}

    def plan(self, rows: Iterable[Mapping[str, Any]], at: datetime) -> None:
        """Let points join the run; each row holds ``point_id`` and what is known of it."""
        for row in rows:
            self.record("planned", row["point_id"], at, **row)

    def record(self, kind: EventKind, point_id: str, at: datetime, /, **changes: Any) -> Event:
        """Append an event and fold it into the view.

        Raises
        ------
        AssertionError
            A change of state that cannot be: a bug of ours, never an input.
        """
        with self._lock:
            row = self._points.setdefault(point_id, {})
            if "status" in changes and "status" in row:
                check_transition(PointStatus(row["status"]), PointStatus(changes["status"]))
            event = Event(len(self._events), at, kind, point_id, changes)
            self._events.append(event)
            row.update(changes)
            return event

    def rows(self) -> list[dict[str, Any]]:
        """Return every point as it stands, in the order the points joined."""
        with self._lock:
            return [dict(row) for row in self._points.values()]

    def row(self, point_id: str) -> dict[str, Any]:
        """Return one point as it stands."""
        with self._lock:
            return dict(self._points[point_id])

    def events(self) -> list[Event]:
        """Return every event so far."""
        with self._lock:
            return list(self._events)

    def tally(self) -> Tally:
        """Count the points by where they stand."""
        with self._lock:
            counts = Counter(row["status"] for row in self._points.values())
            costs = [r.get("cost") for r in self._points.values() if r["status"] == _COMPLETED]
        opened = sum(counts[status] for status in OPEN)
        total = sum(counts.values())
        done = total - opened
        return Tally(
            total=total,
            done=done,
            failed=done - counts[_COMPLETED],
            running=opened - counts[PointStatus.PLANNED],
            cost=round(sum(cost for cost in costs if cost is not None), 6),
            unpriced=costs.count(None),
            by_status={str(s): counts[s] for s in PointStatus if counts[s]},
        )
