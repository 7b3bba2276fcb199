"""What a browser's decoder must be told of an encoded frame: its codec's full name, and its size.

What belongs here: reading the few header bits that say so, of frames as they travel (see
``rtc/frames``). The names are those of the WebCodecs registry (RFC 6381 for H.264). Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_START: Final = re.compile(b"\x00\x00\x01")
_ESCAPED: Final = re.compile(b"\x00\x00\x03")
_SPS: Final = 7
_SLICES: Final = range(1, 6)
_WITH_CHROMA: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles whose parameter sets speak of chroma and scaling (H.264, 7.3.2.1.1)."""


@dataclass(frozen=True, slots=True)
class Description:
    """What decoding needs to know.

    Attributes
    ----------
    codec : str
        The name for ``VideoDecoder.configure``, such as "avc1.42C01F" or "vp8".
    width, height : int
        Of the picture, in pixels.
    """

    codec: str
    width: int
    height: int


def describe(codec: str, data: bytes) -> Description | None:
    """Read what a key frame says of its stream; None when it says nothing that is understood.

    Parameters
    ----------
    codec : str
        "h264" (Annex B) or "vp8".
    data : bytes
        The frame.

    Examples
    --------
    >>> describe("vp8", bytes([0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xB0, 0x00]))
    Description(codec='vp8', width=320, height=176)
    """
    try:
        if codec == "vp8":
            return _vp8(data)
        if codec == "h264":
            return _h264(data)
    except IndexError:  # it is cut off
        pass
    return None


def disposable(codec: str, data: bytes) -> bool:
    """Tell whether no other frame is made from this one, so that it may be left out alone.

    Only H.264 says so where it can be seen cheaply.

    Examples
    --------
    >>> disposable("h264", bytes([0, 0, 1, 0x01])), disposable("h264", bytes([0, 0, 1, 0x41]))
    (True, False)
    """
    if codec != "h264":
        return False
    heads = [data[at.end()] for at in _START.finditer(data) if at.end() < len(data)]
    slices = [head for head in heads if head & 0x1F in _SLICES]
    return bool(slices) and all(head & 0x60 == 0 for head in slices)


def _vp8(data: bytes) -> Description | None:
    if data[0] & 1 or data[3:6] != b"\x9d\x01\x2a":
        return None
    width = int.from_bytes(data[6:8], "little") & 0x3FFF
    height = int.from_bytes(data[8:10], "little") & 0x3FFF
    return Description("vp8", width, height)


def _h264(data: bytes) -> Description | None:
    for at in _START.finditer(data):
        begin = at.end()
        if data[begin] & 0x1F == _SPS:
            end = _START.search(data, begin)
            body = data[begin + 1 : len(data) if end is None else end.start()]
            return _parameters(_ESCAPED.sub(b"\x00\x00", body))
    return None


def _parameters(body: bytes) -> Description:
    bits = _Bits(body)
    profile, limits, level = bits.take(8), bits.take(8), bits.take(8)
    bits.number()  # its id
    chroma = 1
    if profile in _WITH_CHROMA:
        chroma = bits.number()
        if chroma == 3:
            bits.take(1)
        bits.number(), bits.number(), bits.take(1)  # depths of luma and chroma; lossless
        if bits.take(1):
            for index in range(8 if chroma != 3 else 12):
                if bits.take(1):
                    bits.skip_scaling(16 if index < 6 else 64)
    bits.number()  # how frames are numbered
    order = bits.number()
    if order == 0:
        bits.number()
    elif order == 1:
        bits.take(1), bits.signed(), bits.signed()
        for _ in range(bits.number()):
            bits.signed()
    bits.number(), bits.take(1)  # reference frames; gaps allowed
    width, rows = 16 * (bits.number() + 1), bits.number() + 1
    whole_frames = bits.take(1)
    if not whole_frames:
        bits.take(1)
    bits.take(1)
    height = 16 * rows * (2 - whole_frames)
    if bits.take(1):
        across = 2 if chroma in (1, 2) else 1
        down = (2 if chroma == 1 else 1) * (2 - whole_frames)
        width -= across * (bits.number() + bits.number())
        height -= down * (bits.number() + bits.number())
    return Description(f"avc1.{profile:02X}{limits:02X}{level:02X}", width, height)


class _Bits:
    """Reads bits, and numbers coded as Exp-Golomb (H.264, 9.1)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def number(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        value = self.number()
        return (value + 1) // 2 if value & 1 else -(value // 2)

    def skip_scaling(self, size: int) -> None:
        last = following = 8
        for _ in range(size):
            if following:  # after 0 the last one is repeated, without a word
                following = (last + self.signed()) % 256
            last = following
