"""What a journal is made of, as values: events, attempts, counts, sums; and how values are kept.

Pure: nothing here reads or writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from ..contract.states import PointStatus
from .table import INDEX, SCHEMA, Dtype, label

EventKind = Literal[
    "planned",
    "intent",
    "ack",
    "status",
    "done",
    "stored",
    "ended",
    "recovered",
    "evidence",
    "run",
]
"""planned: the point joins the run; intent: its paid request is about to begin; ack: the service
gave a job id; status: the service's word changed; done: the service has finished it; stored: the
result is in the folder; ended: no result, or none of this attempt; recovered: its owner died while
the request was on its way; evidence: an answer to an owner that has lost the run; run: something
about the whole run."""

MAX_TEXT: Final = 4_096
MAX_ID: Final = 256
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one point.

    Attributes
    ----------
    seq : int
        Position in the journal, from 1.
    at : datetime
        UTC.
    kind : str
        One of ``EventKind``.
    point_id : str
        The point; "" for the whole run.
    changes : dict
        Columns of the table that got these values, and other facts; ``status`` moves by the table
        of states.
    attempt : int or None
        Which attempt at buying the point, from 1.
    """

    seq: int
    at: datetime
    kind: EventKind
    point_id: str
    changes: Mapping[str, Any]
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at buying a point, whose intent is on the disk.

    Attributes
    ----------
    id : int
        Unique in the run.
    point_id : str
        The point.
    number : int
        Which try of that point, from 1.
    route : str
        How it is bought.
    state : str
        intent, acked, done, stored, in_doubt, lost or ended, when it was read.
    job_id : str or None
        The service's name for it.
    """

    id: int
    point_id: str
    number: int
    route: str = "job"
    state: str = "intent"
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over a run's points at one moment.

    Attributes
    ----------
    total, done, failed, running : int
        All points; those that will not change any more; of these, those without a result; those
        being bought.
    cost : float
        USD known to be spent on results.
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

    def state(self, *, held: bool) -> str:
        """Return the run's state in a word.

        Parameters
        ----------
        held : bool
            Whether a kernel has the run.

        Returns
        -------
        str
            "running"; "unfinished", when points are left and nobody buys them; "finished".
        """
        if held:
            return "running"
        return "unfinished" if self.done < self.total else "finished"


@dataclass(frozen=True, slots=True)
class Spent:
    """Where a run's money is, in USD.

    Attributes
    ----------
    spent : float
        Paid for, with or without a result.
    reserved : float
        Set aside for what is being bought or may have been: it counts against the cap.
    in_doubt : float
        The part of ``reserved`` of which nobody knows whether it was spent.
    unpriced : int
        Purchases whose price is not known.
    """

    spent: float
    reserved: float
    in_doubt: float
    unpriced: int = 0


class Columns:
    """The columns of a run's table, and how their values are kept in SQLite.

    Parameters
    ----------
    axes : mapping of str to dtype
        The run's own columns.
    """

    def __init__(self, axes: Mapping[str, Dtype]) -> None:
        self.axes: dict[str, Dtype] = {n: d for n, d in axes.items() if n != INDEX}
        self.dtypes: dict[str, Dtype] = self.axes | {c.name: c.dtype for c in SCHEMA}
        fixed = {c.name for c in SCHEMA}
        # SQLite takes Style and style for one column, a sweep does not.
        self.sql = {
            name: f'"{name}"' if name in fixed else f'"axis_{number}"'
            for number, name in enumerate(self.dtypes)
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self.dtypes)

    def encode(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return changes as SQLite and JSON hold them."""
        kinds = self.dtypes
        return {name: _encode(value, kinds.get(name)) for name, value in changes.items()}

    def decode(self, name: str, value: Any) -> Any:
        """Return one value as it was."""
        if value is None:
            return None
        kind = self.dtypes.get(name)
        if kind == "boolean":
            return bool(value)
        if kind == "datetime":
            return _EPOCH + _MICRO * value
        return value


def micros(at: datetime) -> int:
    """Return a time as whole microseconds since 1970, UTC."""
    return (at - _EPOCH) // _MICRO


def moment(at: int) -> datetime:
    """Return the time of so many microseconds since 1970."""
    return _EPOCH + _MICRO * at


def dumps(changes: Mapping[str, Any]) -> str:
    """Return encoded changes as JSON."""
    return json.dumps(changes, separators=(",", ":"), ensure_ascii=False)


def tally_of(counts: Mapping[str, int], cost: float, unpriced: int) -> Tally:
    """Return the tally of points counted by status."""
    from ..contract.states import OPEN

    total = sum(counts.values())
    opened = sum(counts.get(status, 0) for status in OPEN)
    done = total - opened
    return Tally(
        total=total,
        done=done,
        failed=done - counts.get(PointStatus.COMPLETED, 0),
        running=opened - counts.get(PointStatus.PLANNED, 0),
        cost=round(cost, 6),
        unpriced=unpriced,
        by_status={str(s): counts[s] for s in PointStatus if counts.get(s)},
    )


def joined(one: Mapping[str, Dtype], other: Mapping[str, Dtype]) -> dict[str, Dtype]:
    """Return the axis columns of two grids together; a type that differs becomes one for both.

    Examples
    --------
    >>> joined({"size": "Int64"}, {"size": "Float64", "look": "string"})
    {'size': 'Float64', 'look': 'string'}
    """
    found = dict(one)
    for name, kind in other.items():
        old = found.get(name, kind)
        both: Dtype = "Float64" if {old, kind} <= {"Int64", "Float64"} else "string"
        found[name] = kind if old == kind else both
    return found


def _encode(value: Any, kind: Dtype | None) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        text = str(value)
        # A lone surrogate is no text in UTF-8; it can come from a file name.
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, bool):
        return label(value) if kind == "string" else int(value) if kind else value
    if kind == "string":
        return label(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, datetime):
        return micros(value)
    if kind is None and isinstance(value, (list, tuple, dict)):
        return json.loads(json.dumps(value, default=str))
    return label(value)
