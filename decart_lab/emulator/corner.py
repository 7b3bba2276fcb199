"""What stands in the corners of live frames: SIMULATED in the lower right, the input's marker.

What belongs here: writing into the pixels of a finished frame, in microseconds. The pixel marker
itself, in the upper left, is :mod:`decart_lab.media.marker`'s.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

WORD: Final = "SIMULATED"
LEAST_HEIGHT: Final = 96
"""Frames lower than this are not marked: nobody could read it, and it would hide the picture."""

_TEXT: Final = 0.028  # of the frame's height
_PLATE: Final = 0.5  # how much is seen of what lies under the plate
_WHITE: Final = 225.0


class CornerMark:
    """Writes SIMULATED, light on a dark plate, into the lower right corner of frames."""

    def draw(self, frame: av.VideoFrame, note: str = "") -> None:
        """Write the mark, and a note before it, into a yuv420p frame of this painter alone."""
        width, height = frame.width, frame.height
        if height < LEAST_HEIGHT:
            return
        keep, add = _plate(width, height, f"{note}  {WORD}" if note else WORD)
        rows, columns = add.shape
        frame.make_writable()
        place = plane(frame, 0)[height - rows : height, width - columns : width]
        place[:] = ((place * keep) >> 8) + add


def copy_corner(source: av.VideoFrame, target: av.VideoFrame, width: int, height: int) -> None:
    """Copy the upper left corner, of even width and height in pixels, from frame to frame.

    Both are planar YUV, 4:2:0.
    """
    target.make_writable()
    for number, part in ((0, 1), (1, 2), (2, 2)):
        corner = np.s_[: height // part, : width // part]
        plane(target, number)[corner] = plane(source, number)[corner]


def plane(frame: av.VideoFrame, number: int) -> npt.NDArray[np.uint8]:
    """Return a plane of a planar 8-bit frame as an array over the frame's own memory."""
    part = frame.planes[number]
    flat: npt.NDArray[np.uint8] = np.frombuffer(memoryview(part), np.uint8)
    return flat.reshape(part.height, part.line_size)[:, : part.width]


@lru_cache(maxsize=32)
def _plate(width: int, height: int, text: str) -> tuple[Any, Any]:
    """Return what of the luma is kept, in 256ths, and what is added to it."""
    size = max(8, round(height * _TEXT))
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    margin = size // 2
    wide = min(width, round(right - left) + 2 * margin)
    high = round(bottom - top) + 2 * margin
    letters = Image.new("L", (wide, high), 0)
    ImageDraw.Draw(letters).text((margin - left, margin - top), text, fill=255, font=font)
    ink = np.asarray(letters, np.float32) / 255
    keep = np.rint(256 * _PLATE * (1 - ink)).astype(np.uint16)
    add = np.rint(16 * (1 - _PLATE) * (1 - ink) + _WHITE * ink).astype(np.uint16)
    return keep, add
