"""Sizes and orientation of pictures, from their headers, and whether the file reaches its end.

Reads a bounded part of the file and decodes nothing: a picture that promises 50,000 x 50,000
pixels costs 24 bytes. Decoding is the business of :mod:`decart_lab.media.image`.

Each reader returns ``(width, height, orientation)``, orientation as EXIF spells it (1 to 8), and
raises ValueError with the end of a sentence that begins with the file's name.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import BinaryIO, Final

from .sniff import JPEG, PNG, WEBP, Format

_EXIF_MAX: Final = 2**17
_TAIL: Final = 2**16
_MAX_CHUNKS: Final = 50_000  # the largest accepted PNG has 32,768 of the usual 8 KiB
_CUT: Final = "is cut off before its end"

Header = tuple[int, int, int]


def png_header(file: BinaryIO, size: int) -> Header:
    """Read a PNG: IHDR first, IEND last, eXIf wherever it stands."""
    head = _exactly(file, 0, 33)
    if head[12:16] != b"IHDR" or head[8:12] != b"\0\0\0\x0d":
        raise ValueError("is not a proper PNG: it does not begin with its header")
    width, height = struct.unpack(">II", head[16:24])
    orientation = 1
    offset = 33
    for _ in range(_MAX_CHUNKS):
        length, kind = struct.unpack(">I4s", _exactly(file, offset, 8))
        if offset + length + 12 > size:
            raise ValueError(_CUT)
        if kind == b"eXIf" and length <= _EXIF_MAX:
            orientation = exif_orientation(_exactly(file, offset + 8, length))
        if kind == b"IEND":
            return width, height, orientation
        offset += length + 12
    raise ValueError("is damaged: it has too many chunks")


def jpeg_header(file: BinaryIO, size: int) -> Header:
    """Read a JPEG: its markers up to the scan, then look for the end marker after it."""
    width = height = 0
    orientation = 1
    offset = 2
    while True:
        marker, length = struct.unpack(">HH", _exactly(file, offset, 4))
        if marker >> 8 != 0xFF:
            raise ValueError("is not a proper JPEG: its markers are damaged")
        if marker == 0xFFFF:  # fill byte before a marker
            offset += 1
            continue
        if marker == 0xFFDA:
            break
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack(">HH", _exactly(file, offset + 5, 4))
        elif marker == 0xFFE1:
            block = _exactly(file, offset + 4, max(0, length - 2))
            if block.startswith(b"Exif\0\0"):
                orientation = exif_orientation(block[6:])
        offset += 2 + length
    if not width or not height:
        raise ValueError("is not a proper JPEG: it has no size")
    # Inside the scan FF is always escaped, so that the first FFD9 after its start is the end.
    # Padding and appended clips (motion photos) may follow, hence the second, longer look.
    file.seek(max(offset, size - _TAIL))
    if b"\xff\xd9" not in file.read(_TAIL) and not _contains(file, b"\xff\xd9", offset):
        raise ValueError(_CUT)
    return width, height, orientation


def webp_header(file: BinaryIO, size: int) -> Header:
    """Read a WebP: the RIFF length, the first picture chunk, and EXIF wherever it stands."""
    declared = struct.unpack("<I", _exactly(file, 4, 4))[0] + 8
    if declared > size:
        raise ValueError(_CUT)
    width = height = 0
    orientation = 1
    offset = 12
    for _ in range(_MAX_CHUNKS):
        if offset + 8 > declared:
            break
        kind, length = struct.unpack("<4sI", _exactly(file, offset, 8))
        if offset + 8 + length > declared:
            raise ValueError(_CUT)
        if kind == b"VP8X" and not width:
            canvas = _exactly(file, offset + 12, 6)
            width = int.from_bytes(canvas[:3], "little") + 1
            height = int.from_bytes(canvas[3:], "little") + 1
        elif kind == b"VP8 " and not width:
            start = _exactly(file, offset + 14, 4)
            width, height = (side & 0x3FFF for side in struct.unpack("<HH", start))
        elif kind == b"VP8L" and not width:
            bits = struct.unpack("<I", _exactly(file, offset + 9, 4))[0]
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif kind == b"EXIF" and length <= _EXIF_MAX:
            block = _exactly(file, offset + 8, length)
            orientation = exif_orientation(block.removeprefix(b"Exif\0\0"))
        offset += 8 + length + (length & 1)
    if not width or not height:
        raise ValueError("is not a proper WebP: it holds no picture")
    return width, height, orientation


def exif_orientation(block: bytes) -> int:
    """Find tag 0x0112 in the first directory of a TIFF block; 1 when there is none."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 10:
        return 1
    start = struct.unpack_from(order + "I", block, 4)[0]
    if start + 2 > len(block):
        return 1
    entries = struct.unpack_from(order + "H", block, start)[0]
    for index in range(entries):
        at = start + 2 + 12 * index
        if at + 12 > len(block):
            break
        tag, kind = struct.unpack_from(order + "HH", block, at)
        if tag == 0x0112 and kind == 3:
            value: int = struct.unpack_from(order + "H", block, at + 8)[0]
            return value if 1 <= value <= 8 else 1
    return 1


READERS: Final[dict[Format, Callable[[BinaryIO, int], Header]]] = {
    PNG: png_header,
    JPEG: jpeg_header,
    WEBP: webp_header,
}


def _exactly(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise ValueError(_CUT)
    return data


def _contains(file: BinaryIO, needle: bytes, offset: int) -> bool:
    file.seek(offset)
    last = b""
    while block := file.read(io.DEFAULT_BUFFER_SIZE * 32):
        if needle in last + block:
            return True
        last = block[-1:]
    return False
