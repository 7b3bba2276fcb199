"""A run as one picture: a contact sheet with captions, for slides, chats and READMEs.

What belongs here: drawing the same arrangement that the gallery shows. The sheet's size is bounded
before anything is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import InvalidInputError
from .cards import total_words
from .html import clean, plural
from .layout import Layout, arrange, telling_label
from .pen import LINE, Pen, broken
from .tiles import Tile, axes_of, open_picture, tiles_of, usual_shape

if TYPE_CHECKING:
    from pandas import DataFrame
    from PIL import Image, ImageDraw

MOST_PIXELS: Final = 40_000_000
"""Largest sheet, in pixels; a larger one is refused with what to do."""

_GAP: Final = 8
_MARGIN: Final = 24
_LEFT: Final = 136
_TEXT, _QUIET, _WELL, _GROUND, _BAD = "#1f2328", "#5f6670", "#eef0f2", "#ffffff", "#b3261e"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where everything goes, in pixels."""

    layout: Layout
    tile: tuple[int, int]
    across: tuple[int, ...]  # tiles beside each other in a box, by column
    down: tuple[int, ...]  # tiles below each other in a box, by row
    left: int
    top: int
    head: int  # room for the column headers

    @property
    def caption(self) -> int:
        return LINE if self.layout.inner or self.layout.flows else 0

    @property
    def step(self) -> tuple[int, int]:
        return self.tile[0] + _GAP, self.tile[1] + self.caption + _GAP

    @property
    def size(self) -> tuple[int, int]:
        width = self.left + sum(self.across) * self.step[0] - _GAP + _MARGIN
        height = self.top + sum(self.down) * self.step[1] - _GAP + _MARGIN
        return max(width, 480), height


def contact_sheet(
    df: DataFrame,
    folder_of: Callable[[str], Path],
    *,
    rows: str | None = None,
    cols: str | None = None,
    title: str | None = None,
    tile: int = 240,
) -> Image.Image:
    """Draw a run's results as one picture.

    Parameters
    ----------
    df : DataFrame
        ``run.df``, or a selection of its rows.
    folder_of : callable
        Returns the folder of a run by its id.
    rows, cols : str, optional
        Columns to lay the grid out by; the two most telling axes by default.
    title : str, optional
        First line; a summary of the points follows it.
    tile : int, default 240
        Width of one tile in pixels, 64 to 1024.

    Returns
    -------
    PIL.Image.Image
        Mode RGB. Points without a result are labelled tiles.

    Raises
    ------
    StoreError
        Not the DataFrame of a run.
    InvalidInputError
        ``rows`` or ``cols`` is no column, ``tile`` is out of range, the sheet would be too large,
        or there are no points.
    """
    from PIL import Image, ImageDraw

    if not 64 <= tile <= 1024:
        raise InvalidInputError("tile must be 64 to 1024 pixels.", field="tile")
    tiles = tiles_of(df, folder_of)
    if not tiles:
        raise InvalidInputError("There are no points to draw.", field="df")
    plan = _plan(tiles, arrange(tiles, axes_of(list(df.columns)), rows, cols), tile)
    width, height = plan.size
    if width * height > MOST_PIXELS:
        raise InvalidInputError(
            f"The sheet of {plural(len(tiles), 'point')} would be {width} x {height} pixels.",
            field="tile",
            hint="Select fewer rows of the DataFrame, or give a smaller tile=.",
        )
    sheet = Image.new("RGB", (width, height), _GROUND)
    pen = Pen(ImageDraw.Draw(sheet))
    room = width - 2 * _MARGIN
    pen.write((_MARGIN, _MARGIN), title or "Sweep", room, size=18, colour=_TEXT)
    pen.write((_MARGIN, _MARGIN + 26), total_words(tiles), room, colour=_QUIET)
    _draw_headers(pen, plan)
    for (row, column), boxed in plan.layout.boxes.items():
        for number, one in enumerate(boxed):
            _draw_tile(sheet, pen, plan, one, _place(plan, row, column, number))
    return sheet


def _plan(tiles: Sequence[Tile], layout: Layout, width: int) -> _Plan:
    shape = 1 / usual_shape(tiles)
    columns, rows = len(layout.col_labels), len(layout.row_labels)
    across: tuple[int, ...]
    down: tuple[int, ...]
    most = max(len(boxed) for boxed in layout.boxes.values())
    if layout.flows:
        side = min(most, max(1, round((most * shape) ** 0.5)), 8)
        across, down = (side,), (-(-most // side),)
    else:
        # Tiles of one box stand beside each other where a sheet has room to the right.
        side = min(most, max(1, 8 // columns))
        across = (side,) * columns
        down = tuple(
            max(-(-len(layout.boxes.get((row, column), [])) // side) for column in range(columns))
            for row in range(rows)
        )
        down = tuple(max(1, count) for count in down)
    head = 0
    if layout.cols:
        room = side * (width + _GAP) - _GAP
        head = LINE * max(len(broken(text, room, 2)) for text in layout.col_labels) + 4
    return _Plan(
        layout=layout,
        tile=(width, round(width * shape)),
        across=across,
        down=down,
        left=_MARGIN + (_LEFT if layout.rows else 0),
        top=_MARGIN + 64 + head,
        head=head,
    )


def _place(plan: _Plan, row: int, column: int, number: int) -> tuple[int, int]:
    side = plan.across[column]
    x = sum(plan.across[:column]) + number % side
    y = sum(plan.down[:row]) + number // side
    return plan.left + x * plan.step[0], plan.top + y * plan.step[1]


def _draw_headers(pen: Pen, plan: _Plan) -> None:
    layout = plan.layout
    if layout.cols:
        for column, word in enumerate(layout.col_labels):
            text = telling_label(layout.cols, word)
            x, _ = _place(plan, 0, column, 0)
            width = plan.across[column] * plan.step[0] - _GAP
            pen.write((x, plan.top - plan.head), text, width, lines=2, colour=_TEXT)
    if layout.rows:
        for row, word in enumerate(layout.row_labels):
            text = telling_label(layout.rows, word)
            _, y = _place(plan, row, 0, 0)
            lines = max(1, plan.tile[1] // LINE)
            pen.write((_MARGIN, y), text, _LEFT - _GAP, lines=lines, colour=_TEXT)


def _draw_tile(sheet: Image.Image, pen: Pen, plan: _Plan, tile: Tile, at: tuple[int, int]) -> None:
    x, y = at
    width, height = plan.tile
    pen.draw.rectangle((x, y, x + width - 1, y + height - 1), fill=_WELL)
    picture = open_picture(tile, max(plan.tile)) if tile.has_result else None
    if picture is None:
        status = tile.status.replace("_", " ") if not tile.has_result else "file cannot be shown"
        pen.write((x + 12, y + 10), status, width - 24, colour=_BAD if tile.reason else _QUIET)
        lines = (height - 40) // LINE
        pen.write((x + 12, y + 32), tile.reason, width - 24, lines=lines, size=12, colour=_QUIET)
    else:
        picture.thumbnail(plan.tile)
        sheet.paste(picture, (x + (width - picture.width) // 2, y + (height - picture.height) // 2))
        if tile.kind == "video":
            _draw_play(pen.draw, x + 12, y + height - 28)
    if plan.caption:
        caption = plan.layout.inner_label(tile) or clean(tile.values.get("prompt") or "", 200)
        pen.write((x, y + height + 3), caption, width, size=12, colour=_QUIET)


def _draw_play(draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """Mark a clip: a white triangle with a dark rim, legible on any picture."""
    triangle = [(x, y), (x, y + 16), (x + 14, y + 8)]
    draw.polygon(triangle, fill="#ffffff", outline="#000000")
