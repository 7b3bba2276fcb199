"""Text on a picture that keeps to the room it is given.

What belongs here: measuring, breaking and cutting captions in Pillow's own font. No layout.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .html import clean

if TYPE_CHECKING:
    from PIL import ImageDraw

LINE: Final = 20
"""Height of a line, in pixels."""

_LONGEST: Final = 400


class Pen:
    """Writes on one picture.

    Parameters
    ----------
    draw : PIL.ImageDraw.ImageDraw
        The picture's drawing surface.
    """

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self.draw = draw

    def write(
        self,
        at: tuple[int, int],
        text: str,
        width: int,
        *,
        colour: str,
        lines: int = 1,
        size: int = 14,
    ) -> None:
        """Write at most that many lines, each at most ``width`` pixels wide."""
        x, y = at
        for number, line in enumerate(broken(text, width, lines, size)):
            self.draw.text((x, y + number * LINE), line, fill=colour, font=_font(size))


def broken(text: str, width: int, lines: int, size: int = 14) -> list[str]:
    """Break a text at spaces; where the room ends, the last line ends in an ellipsis."""
    font = _font(size)
    rest = " ".join(clean(text, _LONGEST).split())
    out: list[str] = []
    while rest and len(out) < lines:
        line = _fitting(rest, width, font)
        if len(line) < len(rest):
            if len(out) == lines - 1:
                room = width - int(font.getlength("…"))
                return [*out, _fitting(rest, room, font).rstrip() + "…"]
            line = line.rsplit(" ", 1)[0]
        out.append(line)
        rest = rest[len(line) :].lstrip()
    return out


def _fitting(text: str, width: int, font: Any) -> str:
    """Return as much of the text as fits, at least one character."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low]


@cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
