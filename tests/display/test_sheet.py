"""The contact sheet."""

from __future__ import annotations

from pathlib import Path

import pytest

from decart_lab.display.pen import broken
from decart_lab.display.sheet import contact_sheet
from decart_lab.errors import InvalidInputError
from tests.helpers.markup import HOSTILE
from tests.helpers.runs import MadeRun, picture, style_run

COLOURS = {"ink": (38, 48, 58), "clay": (181, 101, 61), "neon": (197, 31, 176)}


def test_every_result_is_on_the_sheet_in_its_place(tmp_path: Path) -> None:
    """From left to right and top to bottom the pictures are those of the grid."""
    run = style_run(tmp_path)
    sheet = contact_sheet(run.df(), run.folder_of, rows="light", cols="style", tile=100)
    height = 56  # of a tile, at 16:9
    tops = [sheet.height - 24 - height, sheet.height - 24 - 2 * height - 8]
    for top in tops:
        for column, colour in enumerate(COLOURS.values()):
            if (top, column) == (tops[0], 2):
                colour = (238, 240, 242)  # the point that failed
            middle = sheet.getpixel((160 + 108 * column + 70, top + height - 8))
            assert all(abs(a - b) < 12 for a, b in zip(middle, colour, strict=True)), middle


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_can_be_drawn(text: str, tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    run.add(picture("x"), prompt=text, style=text)
    run.add(None, prompt=text, style="b", error_message=text)
    contact_sheet(run.df(), run.folder_of, title=text, tile=64)


def test_a_sheet_that_would_be_huge_is_refused_before_it_is_drawn(tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    run.add(picture("x"), seed=0)
    run.rows = [run.rows[0] | {"point_id": str(at), "seed": at} for at in range(400)]
    with pytest.raises(InvalidInputError, match="pixels") as caught:
        contact_sheet(run.df(), run.folder_of, tile=1024)
    assert caught.value.field == "tile"


@pytest.mark.parametrize("tile", [0, 63, 1025])
def test_a_tile_of_no_use_is_refused(tile: int, tmp_path: Path) -> None:
    run = style_run(tmp_path)
    with pytest.raises(InvalidInputError):
        contact_sheet(run.df(), run.folder_of, tile=tile)


def test_no_points_make_no_sheet(tmp_path: Path) -> None:
    run = style_run(tmp_path)
    with pytest.raises(InvalidInputError):
        contact_sheet(run.df().iloc[:0], run.folder_of)


def test_a_text_is_broken_at_spaces_and_ends_in_an_ellipsis() -> None:
    assert broken("one two", 500, 2) == ["one two"]
    lines = broken("a long line of words that goes on and on and on", 80, 2)
    assert len(lines) == 2
    assert lines[0] == lines[0].strip()
    assert lines[1].endswith("…")
    assert broken("x" * 300, 40, 3)[2].endswith("…")
    assert broken("", 40, 3) == []
