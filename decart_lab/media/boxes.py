"""The skeleton of MP4, MOV and WebM files: is everything there, and which way is up.

Walks box headers and skips what they hold, so that a clip of any length costs a few reads. What
the streams are is left to the demuxer; this is what the demuxer is silent about: a fast-start
MP4 cut at 60 % opens without a complaint and gives half of its frames.

Functions raise ValueError with the end of a sentence that begins with the file's name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

_CUT: Final = "is cut off before its end"
_MAX_BOXES: Final = 100_000  # a fragmented clip has two or three per second


def check_mp4(file: BinaryIO, size: int) -> int:
    """Check that every top-level box lies inside the file and that an index is there.

    Returns
    -------
    int
        Degrees the first video track is to be turned clockwise for display: 0, 90, 180 or 270.
    """
    turn: int | None = None
    pictures = False
    for kind, start, end in _boxes(file, 0, size):
        if end > size:
            raise ValueError(_CUT)
        if kind == b"moov":
            turn = _turn(file, start, end)
        pictures = pictures or kind in (b"mdat", b"moof")
    if turn is None:
        raise ValueError("holds no index (moov), so that it cannot be played: it is cut off")
    if not pictures:
        raise ValueError("holds an index and nothing else: it is cut off")
    return turn


def check_webm(file: BinaryIO, size: int) -> None:
    """Check that the segment, when it says its length, lies inside the file."""
    file.seek(0)
    head = file.read(4096)
    at, (_, length) = _ebml(head, 4)
    at += length
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        raise ValueError("is not a proper WebM: it holds no segment")
    at, (unknown, length) = _ebml(head, at + 4)
    if not unknown and at + length > size:
        raise ValueError(_CUT)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the start of the content and the end of each box."""
    for _ in range(_MAX_BOXES):
        if end - start < 8:
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        length, kind = struct.unpack_from(">I4s", head)
        inside = start + 8
        if kind == b"\0\0\0\0":
            return  # padding
        if length == 1 and len(head) == 16:
            length = struct.unpack_from(">Q", head, 8)[0]
            inside += 8
        elif length == 0:
            length = end - start
        if length < inside - start:
            raise ValueError("is damaged: its boxes do not fit each other")
        yield kind, inside, start + length
        start += length
    raise ValueError("is damaged: it has too many boxes")


def _turn(file: BinaryIO, start: int, end: int) -> int:
    for kind, at, stop in _boxes(file, start, end):
        if kind == b"trak" and stop <= end:
            matrix, handler = _track(file, at, stop)
            if handler == b"vide":
                return _degrees(matrix)
    return 0


def _track(file: BinaryIO, start: int, end: int) -> tuple[bytes, bytes]:
    matrix = handler = b""
    for kind, at, stop in _boxes(file, start, end):
        if kind == b"tkhd":
            file.seek(at)
            box = file.read(92)
            offset = 52 if box[:1] == b"\1" else 40  # version 1 has 64-bit times
            matrix = box[offset : offset + 36]
        elif kind == b"mdia":
            for inner, where, _ in _boxes(file, at, stop):
                if inner == b"hdlr":
                    file.seek(where + 8)
                    handler = file.read(4)
    return matrix, handler


def _degrees(matrix: bytes) -> int:
    if len(matrix) < 36:
        return 0
    a, b = struct.unpack_from(">ii", matrix)
    if abs(a) >= abs(b):
        return 180 if a < 0 else 0
    return 90 if b > 0 else 270


def _ebml(data: bytes, at: int) -> tuple[int, tuple[bool, int]]:
    """Read a length: where its content begins, whether it is unknown, and how long it is."""
    if at >= len(data) or not data[at]:
        raise ValueError("is not a proper WebM: its header is damaged")
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return at + width, (value == (1 << 7 * width) - 1, value)
