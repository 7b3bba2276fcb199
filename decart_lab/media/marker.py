"""The pixel marker: a frame's number, written into its corner and read back from another frame.

What belongs here: where the marker stands, its code, stamping and reading. Who stamps which number,
and what the times between mean, is the session's business.

The marker is a block of 8 by 4 cells in the upper left corner, dark or bright: sixteen bits of
counter, then sixteen of checksum, row by row, most significant first. A cell is 8 x 8 pixels at
640 x 352 and grows and shrinks with the picture, so that a marker is still read from an answer of
another size. Only luma carries it; the chroma beneath is made neutral, so that a detour over RGB
does not clip it.
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import lru_cache
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

COLUMNS: Final = 8
ROWS: Final = 4
DARK: Final = 16
BRIGHT: Final = 235
COUNTERS: Final = 2**16
"""Counters wrap around here."""

_CELLS_ALONG: Final = 80
_CELLS_ACROSS: Final = 44
"""So many cells would fit along the picture's longer and shorter side."""
_LEAST_CELL: Final = 4.0  # below this a video codec's blocks swallow the cells
_LEAST_CONTRAST: Final = 60.0
_LEAST_CLARITY: Final = 0.22
"""How far every cell must be from the middle between dark and bright, in contrasts."""
_SEED: Final = 0xA55A  # neither all dark nor all bright is then a marker
_SAMPLES: Final = (0.3, 0.43, 0.57, 0.7)
"""Where in a cell is looked, from edge to edge: its own edges are the codec's to blur."""
_LUMA: Final = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"}
)

Luma = npt.NDArray[np.uint8]


def region(width: int, height: int) -> tuple[int, int]:
    """Return the width and height in pixels of the corner the marker covers, both even.

    Whoever repaints a marked picture leaves the luma of ``[:height, :width]`` as it was. (0, 0)
    when the picture is too small to be marked.

    Examples
    --------
    >>> region(640, 352), region(1280, 720), region(160, 90)
    ((64, 32), (128, 66), (0, 0))
    """
    across, down = _cell(width, height)
    if min(across, down) < _LEAST_CELL:
        return 0, 0
    wide, high = -(-COLUMNS * across // 1), -(-ROWS * down // 1)
    return int(wide + wide % 2), int(high + high % 2)


def stamp(frame: av.VideoFrame, counter: int) -> bool:
    """Write a number into the corner of a frame.

    Parameters
    ----------
    frame : av.VideoFrame
        8-bit planar YUV, NV12 or grey; changed in place, and no other frame that shares its memory.
    counter : int
        Taken modulo 65,536.

    Returns
    -------
    bool
        False, and nothing is changed, when the frame is too small for a marker.

    Raises
    ------
    ValueError
        The frame is of another pixel format.
    """
    name = frame.format.name
    if name not in _LUMA:
        raise ValueError(f"a frame in {name} has no luma plane to stamp")
    wide, high = region(frame.width, frame.height)
    if not wide:
        return False
    frame.make_writable()
    rows, columns = _edges(frame.width, frame.height)
    bits = _bits(counter).reshape(ROWS, COLUMNS)
    cells = np.where(bits, np.uint8(BRIGHT), np.uint8(DARK))
    block = cells.repeat(np.diff(rows), axis=0).repeat(np.diff(columns), axis=1)
    _plane(frame, 0)[: rows[-1], : columns[-1]] = block
    for number in range(1, len(frame.planes)):
        chroma = _plane(frame, number)
        # An interleaved chroma plane has two bytes per sample and the luma's width in bytes.
        down = -(-high * chroma.shape[0] // frame.height)
        along = -(-wide * chroma.shape[1] // frame.width)
        chroma[:down, :along] = 128
    return True


def read(frame: av.VideoFrame) -> int | None:
    """Read the number in the corner of a frame, of any pixel format.

    Returns
    -------
    int or None
        From 0 to 65,535; None when there is no marker, or none that can be trusted: its checksum
        must be right, and every cell clearly dark or bright.
    """
    if not region(frame.width, frame.height)[0]:
        return None
    if frame.format.name not in _LUMA:
        frame = frame.reformat(format="yuv420p")
    return read_luma(_plane(frame, 0))


def read_luma(luma: Luma) -> int | None:
    """Read the number from a luma plane of shape (H, W); None as :func:`read` says."""
    height, width = luma.shape
    if not region(width, height)[0]:
        return None
    rows, columns = _looked_at(width, height)
    seen = luma[rows, columns].reshape(ROWS, len(_SAMPLES), COLUMNS, len(_SAMPLES))
    cells = seen.mean(axis=(1, 3), dtype=np.float32).ravel()
    low, high = float(cells.min()), float(cells.max())
    contrast = high - low
    if contrast < _LEAST_CONTRAST:
        return None
    away = cells - (low + high) / 2
    if float(np.abs(away).min()) < _LEAST_CLARITY * contrast:
        return None
    word = np.packbits(away > 0).tobytes()
    return int.from_bytes(word[:2], "big") if _check(word[:2]) == word[2:] else None


def _bits(counter: int) -> npt.NDArray[np.uint8]:
    number = (counter % COUNTERS).to_bytes(2, "big")
    return np.unpackbits(np.frombuffer(number + _check(number), np.uint8))


def _check(number: bytes) -> bytes:
    return crc_hqx(number, _SEED).to_bytes(2, "big")


def _cell(width: int, height: int) -> tuple[float, float]:
    if width >= height:
        return width / _CELLS_ALONG, height / _CELLS_ACROSS
    return width / _CELLS_ACROSS, height / _CELLS_ALONG


@lru_cache(maxsize=16)
def _edges(width: int, height: int) -> tuple[Any, Any]:
    """Return the pixels at which rows and columns of cells begin, and where the last ones end."""
    across, down = _cell(width, height)
    return (
        np.rint(np.arange(ROWS + 1) * down).astype(np.intp),
        np.rint(np.arange(COLUMNS + 1) * across).astype(np.intp),
    )


@lru_cache(maxsize=16)
def _looked_at(width: int, height: int) -> tuple[Any, Any]:
    """Return the index that picks the samples of all cells out of a luma plane."""
    across, down = _cell(width, height)
    inside = np.array(_SAMPLES)
    rows = ((np.arange(ROWS)[:, None] + inside) * down).astype(np.intp).ravel()
    columns = ((np.arange(COLUMNS)[:, None] + inside) * across).astype(np.intp).ravel()
    return np.ix_(rows, columns)


def _plane(frame: av.VideoFrame, number: int) -> Luma:
    """Return one plane as an array over the frame's own memory, without its padding."""
    plane = frame.planes[number]
    flat: Luma = np.frombuffer(memoryview(plane), np.uint8)
    samples = plane.width
    if frame.format.name == "nv12" and number == 1:
        samples *= 2
    return flat.reshape(plane.height, plane.line_size)[:, :samples]
