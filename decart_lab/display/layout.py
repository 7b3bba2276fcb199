"""Which point goes where: rows, columns, and what still varies inside a box.

What belongs here: the pure arrangement that galleries and contact sheets share. No markup, no
pixels, no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InvalidInputError
from .tiles import Tile, label


@dataclass(frozen=True, slots=True)
class Layout:
    """Points arranged in boxes.

    Attributes
    ----------
    rows, cols : str or None
        Columns of the DataFrame that make the rows and columns; both None for a plain flow.
    row_labels, col_labels : tuple of str
        Their values in order of appearance; one empty label where there is no such axis.
    boxes : dict of (int, int) to list of Tile
        The tiles of each box, by row and column number; an empty box is absent.
    inner : tuple of str
        What else differs, and so tells apart the tiles of one box.
    """

    rows: str | None
    cols: str | None
    row_labels: tuple[str, ...]
    col_labels: tuple[str, ...]
    boxes: dict[tuple[int, int], list[Tile]]
    inner: tuple[str, ...]

    @property
    def flows(self) -> bool:
        """Whether the tiles simply follow each other."""
        return self.rows is None and self.cols is None

    def inner_label(self, tile: Tile) -> str:
        """Return what tells a tile from others of its box."""
        return ", ".join(
            telling_label(name, label(name, tile.values.get(name))) for name in self.inner
        )


def telling_label(name: str, word: str) -> str:
    """Return a value with the name of its axis, where the value alone would say little.

    Examples
    --------
    >>> telling_label("seed", "2"), telling_label("style", "ink")
    ('seed 2', 'ink')
    """
    bare = word.replace(".", "", 1).lstrip("-").isdigit() or word in ("–", "True", "False")
    return f"{name} {word}" if bare else word


def arrange(
    tiles: Sequence[Tile],
    axes: Sequence[str],
    rows: str | None = None,
    cols: str | None = None,
) -> Layout:
    """Arrange tiles by two of their columns, chosen here when neither is given.

    Parameters
    ----------
    tiles : sequence of Tile
        In the order in which their values are to appear.
    axes : sequence of str
        Columns that may vary, the most telling first.
    rows, cols : str, optional
        Columns of the DataFrame.

    Raises
    ------
    InvalidInputError
        No such column, or the same one twice.
    """
    known = set(axes) | {name for tile in tiles[:1] for name in tile.values}
    for field, name in (("rows", rows), ("cols", cols)):
        if name is not None and name not in known:
            near = ", ".join(axes) or "none"
            raise InvalidInputError(
                f"{field}={str(name)[:80]!r} is not a column of the DataFrame.",
                field=field,
                hint=f"Columns that make a grid here: {near}.",
            )
    if rows is not None and rows == cols:
        raise InvalidInputError("rows and cols are the same column.", field="cols")

    given = [name for name in (rows, cols) if name is not None]
    inner = telling(tiles, axes, given)
    if not given and len(inner) >= 2:
        first, second, *inner = inner
        # A page grows downwards, so the shorter axis goes across.
        across = first if len(_values(tiles, first)) <= len(_values(tiles, second)) else second
        rows, cols = (second if across == first else first), across

    row_keys, col_keys = _values(tiles, rows), _values(tiles, cols)
    boxes: dict[tuple[int, int], list[Tile]] = {}
    for tile in tiles:
        place = row_keys[_key(tile, rows)], col_keys[_key(tile, cols)]
        boxes.setdefault(place, []).append(tile)
    return Layout(
        rows=rows,
        cols=cols,
        row_labels=_labels(tiles, rows),
        col_labels=_labels(tiles, cols),
        boxes=boxes,
        inner=tuple(inner),
    )


def _key(tile: Tile, name: str | None) -> str:
    if name is None:
        return ""
    key = str(tile.values.get(name))
    if name in ("input", "reference"):  # short names; two folders may hold a cat.png each
        key = f"{key}|{tile.values.get(f'{name}_sha256')}"
    return key


def _values(tiles: Sequence[Tile], name: str | None) -> dict[str, int]:
    """Return the values of a column in order of appearance, numbered."""
    return {key: at for at, key in enumerate(dict.fromkeys(_key(tile, name) for tile in tiles))}


def _labels(tiles: Sequence[Tile], name: str | None) -> tuple[str, ...]:
    if name is None:
        return ("",)
    return tuple({_key(tile, name): label(name, tile.values.get(name)) for tile in tiles}.values())


def telling(tiles: Sequence[Tile], axes: Sequence[str], given: Sequence[str] = ()) -> list[str]:
    """Return the axes that vary and do not follow from those before them.

    A prompt made from a template follows from its variables, and linked axes from each other: to
    name both would say the same thing twice.
    """
    chosen = list(given)
    for name in axes:
        if name in chosen:
            continue
        seen: dict[tuple[str, ...], str] = {}
        for tile in tiles:
            group = tuple(_key(tile, other) for other in chosen)
            if seen.setdefault(group, _key(tile, name)) != _key(tile, name):
                chosen.append(name)
                break
    return chosen[len(given) :]
