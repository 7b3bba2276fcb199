"""A run's rows as columns for a front end, and what has changed since the last time.

Pure: rows in, plain JSON out. Texts are foreign: they are cleaned and cut here, and the front end
writes them as text only. A text that many rows share is sent once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from ..contract.states import PointStatus
from ..display.cards import MARKS
from ..display.html import clean

Row = Mapping[str, Any]

TEXT_LIMIT: Final = 120
"""Longest text of a cell, in characters; the whole is in the details."""

_OWN: Final = (
    ("total_s", "time", "seconds"),
    ("cost", "cost", "money"),
    ("error_message", "reason", "text"),
)
LIVE: Final = ("status", *(name for name, _, _ in _OWN))
"""The columns that change while a run goes on."""

_COMPLETED: Final = PointStatus.COMPLETED
_ASKED: Final = (
    *(("input", "string"), ("model", "string"), ("prompt", "string"), ("seed", "Int64")),
    *(("reference", "string"), ("replicate", "Int16")),
)
_NUMBERS: Final = frozenset({"Int16", "Int64", "Float64"})


@dataclass(frozen=True, slots=True)
class Shown:
    """One column of the table.

    Attributes
    ----------
    name, label : str
        The column of the run's DataFrame, and its heading.
    type : {"status", "text", "number", "seconds", "money"}
        How it is written and sorted.
    """

    name: str
    label: str
    type: str


def shown_columns(rows: Sequence[Row], axes: Mapping[str, str]) -> list[Shown]:
    """Return the columns worth a place: status, what varies, time, cost and reason.

    A prompt made from a template says again what its variables say, and has no place.
    """
    templated = any(row.get("template") for row in rows)
    asked = {
        **axes,
        **{name: kind for name, kind in _ASKED if not (name == "prompt" and templated)},
    }
    kinds = {
        name: "number" if kind in _NUMBERS else "text"
        for name, kind in asked.items()
        if _varies(rows, name)
    }
    return [
        Shown("status", "status", "status"),
        *(Shown(name, name, kind) for name, kind in kinds.items()),
        *(Shown(*own) for own in _OWN),
    ]


def _varies(rows: Sequence[Row], name: str) -> bool:
    first = rows[0].get(name) if rows else None
    return any(row.get(name) != first for row in rows)


def cell(value: Any, kind: str) -> str | float | int | None:
    """Return a value as JSON that the front end can write and sort.

    Examples
    --------
    >>> cell(0.02, "money"), cell(float("nan"), "money"), cell(True, "text"), cell(3, "text")
    (0.02, None, 'True', '3')
    """
    if value is None:
        return None
    if kind in ("text", "status"):
        return clean(value, TEXT_LIMIT)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not isfinite(number):
        return None
    return int(number) if number.is_integer() else round(number, 6)


def whole(rows: Sequence[Row], columns: Sequence[Shown]) -> dict[str, Any]:
    """Return all rows column by column; texts as places in a list of words.

    Examples
    --------
    >>> whole([{"style": "ink"}, {}], [Shown("style", "style", "text")])["columns"]
    [{'name': 'style', 'label': 'style', 'type': 'text', 'words': ['ink'], 'at': [0, -1]}]
    """
    found: list[dict[str, Any]] = []
    for column in columns:
        values = [cell(row.get(column.name), column.type) for row in rows]
        told: dict[str, Any] = {"name": column.name, "label": column.label, "type": column.type}
        if column.type in ("text", "status"):
            words: dict[Any, int] = {}
            at = [-1 if v is None else words.setdefault(v, len(words)) for v in values]
            told |= {"words": list(words), "at": at}
        else:
            told["values"] = values
        found.append(told)
    return {"count": len(rows), "columns": found}


def live(row: Row) -> tuple[Any, ...]:
    """Return what of a row changes while it is bought; the rest is sent once."""
    return tuple(row.get(name) for name in LIVE)


def changes(rows: Sequence[Row], at: Sequence[int], columns: Sequence[Shown]) -> dict[str, Any]:
    """Return the live cells of some rows, by place of their column.

    Examples
    --------
    >>> changes([{}, {"cost": 0.02}], [1], [Shown("cost", "cost", "money")])
    {'at': [1], 'values': {'0': [0.02]}}
    """
    values = {
        str(place): [cell(rows[i].get(column.name), column.type) for i in at]
        for place, column in enumerate(columns)
        if column.name in LIVE
    }
    return {"at": list(at), "values": values}


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the counts by status, the cost, and whether the results are simulated.

    Returns
    -------
    dict
        ``counts`` by status, results first; ``cost`` in USD; ``unpriced``: completed points of
        unknown price; ``simulated``: True, False, or None while that is not known.
    """
    counts = Counter(str(row["status"]) for row in rows)
    costs = [cell(row.get("cost"), "money") for row in rows if row["status"] == _COMPLETED]
    known = [float(cost) for cost in costs if cost is not None]
    told = {row.get("simulated") for row in rows} - {None}
    return {
        "counts": in_order(counts),
        "cost": round(sum(known), 6),
        "unpriced": len(costs) - len(known),
        "simulated": any(told) if told else None,
    }


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of statuses in the order they are shown: results first, planned last.

    Examples
    --------
    >>> in_order({"planned": 3, "completed": 2, "lost": 0})
    {'completed': 2, 'planned': 3}
    """
    return {status: counts[status] for status in MARKS if counts.get(status)}
