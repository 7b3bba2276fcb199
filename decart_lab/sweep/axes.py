"""What may stand on an axis: the values of a keyword, checked and made plain.

Here is decided whether a value is an axis or a constant, which values are equal, and which names
an axis may have. Crossing axes is the grid's.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from ..errors import GridError, MediaError
from .table import FIXED, METRIC_PREFIX

FREE_NAMES: Final = frozenset({"model", "prompt", "seed"})
"""Columns of the table that are axes by their own right."""

STANDS_IN: Final = {"data": "input", "reference_image": "reference"}
"""Axes whose values appear in a fixed column of the table instead of one of their own."""


MAX_VALUES: Final = 1_000_000


def is_axis(name: str, value: Any) -> bool:
    """Return whether a keyword's value is a list of values rather than one value.

    Lists, tuples and ranges are; so are one-dimensional arrays and Series, except where an array
    is itself an input.
    """
    if isinstance(value, (list, tuple, range)):
        return True
    if getattr(value, "ndim", None) != 1:
        return False
    from ..contract.requests import FILE_FIELDS  # brings pydantic, which templates do not need

    return name not in FILE_FIELDS


def axis_values(name: str, value: Any, *, scalar_ok: bool = False) -> tuple[Any, ...]:
    """Return the values of one axis, plain and without repetition.

    Parameters
    ----------
    name : str
        The axis.
    value : list, tuple, range, or one-dimensional array
        Its values.
    scalar_ok : bool, default False
        Take anything else as the only value.

    Raises
    ------
    GridError
        No values, too many, the same value twice, or a collection without order or end.
    """
    if is_axis(name, value):
        if len(value) > MAX_VALUES:
            raise GridError(
                f"The axis {name!r} has {len(value):,} values; at most {MAX_VALUES:,} are held.",
                field=name,
                hint="Draw some of them first, for example with random.sample.",
            )
        raw: Iterable[Any] = value.tolist() if hasattr(value, "tolist") else value
    elif isinstance(value, (set, frozenset, Iterator)) and not hasattr(value, "read"):
        raise GridError(
            f"{name} is a {type(value).__name__}, which has no fixed order or length.",
            field=name,
            hint="Make it a list.",
        )
    elif scalar_ok:
        raw = [value]
    else:
        raise GridError(
            f"{name} is one value where several are expected: {value!r:.60}.",
            field=name,
            hint="Pass a list.",
        )
    values = tuple(_plain(item) for item in raw)
    if not values:
        raise GridError(
            f"The axis {name!r} has no values, so the grid would have no points.",
            field=name,
            hint="Give at least one value, or leave the keyword out.",
        )
    seen: set[object] = set()
    for item in values:
        key = value_key(item)
        if key in seen:
            raise GridError(
                f"The axis {name!r} holds {item!r:.60} twice.",
                field=name,
                hint="Leave one out; to buy each point several times, use .repeat(n).",
            )
        seen.add(key)
    return values


def value_key(value: Any) -> object:
    """Return what makes a value the same as another: 1 and True are not, two equal lists are."""
    if isinstance(value, (list, tuple, dict)):
        try:
            return (list, json.dumps(value, sort_keys=True))
        except (TypeError, ValueError):
            return (id, id(value))
    try:
        hash(value)
    except TypeError:
        return (id, id(value))
    return (type(value), value)


def check_name(name: str) -> None:
    """Refuse a name that could not be a column of its own beside the fixed ones.

    Raises
    ------
    GridError
        Not an identifier, or a column of the table.
    """
    if not name.isidentifier():
        raise GridError(f"{name!r:.60} cannot name an axis: it is not a plain name.", field=name)
    if (name in FIXED and name not in FREE_NAMES) or name.startswith(METRIC_PREFIX):
        raise GridError(
            f"{name!r} cannot name an axis: the table has a column of that name.",
            field=name,
            hint="Choose another name for the variable.",
        )


def inputs(*patterns: str | Path) -> list[Path]:
    """Return the files that match, as an axis for ``data=``.

    Parameters
    ----------
    *patterns : str or Path
        Paths with ``*``, ``?``, ``[...]`` or ``**``; each pattern's files come sorted by name.

    Raises
    ------
    MediaError
        A pattern that matches no file.

    Examples
    --------
    >>> inputs("no_such_folder/*.mp4")
    Traceback (most recent call last):
    ...
    decart_lab.errors.MediaError: No file matches 'no_such_folder/*.mp4'. ...
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        text = str(Path(pattern).expanduser())
        matches = glob.glob(text, recursive=True)  # noqa: PTH207 (takes absolute patterns)
        files = sorted(path for path in map(Path, matches) if path.is_file())
        if not files:
            raise MediaError(
                f"No file matches {text!r}.",
                field="data",
                hint=f"The search started in {Path.cwd()}.",
            )
        found.update(dict.fromkeys(files))
    return list(found)


def _plain(item: Any) -> Any:
    # numpy's own numbers are not numbers to the request's validators
    if getattr(item, "ndim", None) == 0 and hasattr(item, "item"):
        return item.item()
    return item
