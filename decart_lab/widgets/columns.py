"""A run's columns for a front end, and what has changed since the last time.

Pure: columns of a journal in, plain JSON out. Texts are foreign: they are cleaned and cut here, and
the front end writes them as text only. A text that many rows share is sent once.
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

Held = Mapping[str, Sequence[Any]]
"""Columns as a journal keeps them: by name, every point in the order the points joined."""

TEXT_LIMIT: Final = 120
"""Longest text of a cell, in characters; the whole is in the details."""

_OWN: Final = (
    ("total_s", "time", "seconds"),
    ("cost", "cost", "money"),
    ("error_message", "reason", "text"),
)
LIVE: Final = ("status", *(name for name, _, _ in _OWN))
"""The columns that change while a run goes on."""

TICKED: Final = (*LIVE, "simulated")
"""What is read each time."""

_COMPLETED: Final = PointStatus.COMPLETED
_ASKED: Final = (
    *(("input", "string"), ("model", "string"), ("prompt", "string"), ("seed", "Int64")),
    *(("reference", "string"), ("replicate", "Int16")),
)
_TEXTS: Final = frozenset({"text", "status", "boolean"})
_NUMBERS: Final = frozenset({"Int16", "Int64", "Float64"})


@dataclass(frozen=True, slots=True)
class Shown:
    """One column of the table.

    Attributes
    ----------
    name, label : str
        The column of the run's DataFrame, and its heading.
    type : {"status", "text", "boolean", "number", "seconds", "money"}
        How it is written and sorted.
    """

    name: str
    label: str
    type: str


def wanted(axes: Mapping[str, str]) -> list[str]:
    """Return the columns to read for a table of a run with these axes."""
    return list(dict.fromkeys([*axes, *(name for name, _ in _ASKED), "template", *TICKED]))


def shown_columns(held: Held, axes: Mapping[str, str]) -> list[Shown]:
    """Return the columns worth a place: status, what varies, time, cost and reason.

    A prompt made from a template says again what its variables say, and has no place.
    """
    templated = any(held["template"])
    asked = {**axes, **dict(_ASKED)}
    if templated and "prompt" not in axes:
        del asked["prompt"]
    kinds = {
        name: kind if kind == "boolean" else "number" if kind in _NUMBERS else "text"
        for name, kind in asked.items()
        if any(value != held[name][0] for value in held[name])
    }
    return [
        Shown("status", "status", "status"),
        *(Shown(name, name, kind) for name, kind in kinds.items()),
        *(Shown(*own) for own in _OWN),
    ]


def cell(value: Any, kind: str) -> str | float | int | None:
    """Return a value as JSON that the front end can write and sort.

    Examples
    --------
    >>> cell(0.02, "money"), cell(float("nan"), "money"), cell(True, "text"), cell(3, "text")
    (0.02, None, 'True', '3')
    """
    if value is None:
        return None
    if kind == "boolean":
        return "True" if value else "False"
    if kind in _TEXTS:
        return clean(value, TEXT_LIMIT)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not isfinite(number):
        return None
    return int(number) if number.is_integer() else round(number, 6)


def whole(held: Held, columns: Sequence[Shown]) -> dict[str, Any]:
    """Return all rows column by column; texts as places in a list of words.

    Examples
    --------
    >>> held = {"point_id": ["a", "b"], "style": ["ink", None]}
    >>> whole(held, [Shown("style", "style", "text")])["columns"]
    [{'name': 'style', 'label': 'style', 'type': 'text', 'words': ['ink'], 'at': [0, -1]}]
    """
    found: list[dict[str, Any]] = []
    for column in columns:
        values = [cell(value, column.type) for value in held[column.name]]
        told: dict[str, Any] = {"name": column.name, "label": column.label, "type": column.type}
        if column.type in _TEXTS:
            told["type"] = "text" if column.type == "boolean" else column.type
            words: dict[Any, int] = {}
            at = [-1 if v is None else words.setdefault(v, len(words)) for v in values]
            told |= {"words": list(words), "at": at}
        else:
            told["values"] = values
        found.append(told)
    return {"count": len(held["point_id"]), "columns": found}


def live(held: Held) -> list[tuple[Any, ...]]:
    """Return what of each row changes while it is bought; the rest is sent once."""
    return list(zip(*(held[name] for name in LIVE), strict=True))


def changes(held: Held, at: Sequence[int], columns: Sequence[Shown]) -> dict[str, Any]:
    """Return the live cells of some rows, by place of their column.

    Examples
    --------
    >>> changes({"cost": [None, 0.02]}, [1], [Shown("cost", "cost", "money")])
    {'at': [1], 'values': {'0': [0.02]}}
    """
    values = {
        str(place): [cell(held[column.name][i], column.type) for i in at]
        for place, column in enumerate(columns)
        if column.name in LIVE
    }
    return {"at": list(at), "values": values}


def summary(held: Held) -> dict[str, Any]:
    """Return the counts by status, the cost, and whether the results are simulated.

    Returns
    -------
    dict
        ``counts`` by status, results first; ``cost`` in USD; ``unpriced``: completed points of
        unknown price; ``simulated``: True, False, or None while that is not known.
    """
    counts = Counter(map(str, held["status"]))
    pairs = zip(held["status"], held["cost"], strict=True)
    costs = [cell(cost, "money") for status, cost in pairs if status == _COMPLETED]
    known = [float(cost) for cost in costs if cost is not None]
    told = set(held["simulated"]) - {None}
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
