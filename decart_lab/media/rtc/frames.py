"""An encoded frame as it travels, and the time it is stamped with.

What belongs here: the value that taps, recorders and tracks pass around, telling a key frame from
others, and the arithmetic of RTP time stamps. Pure; no tracks, no codecs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

VIDEO_CLOCK: Final = 90_000
"""Ticks per second of every video codec's RTP time stamps (RFC 6184, RFC 7741)."""
AUDIO_CLOCK: Final = 48_000
"""The same for Opus (RFC 7587)."""
JUMP_S: Final = 2.0
"""A longer step forwards in a source's times is a new beginning."""
BACK_S: Final = 0.1
"""So is a longer step backwards; a shorter one is two frames that changed places."""
_START: Final = re.compile(b"\x00\x00\x01")
_IDR: Final = 5


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One frame as its codec made it.

    Attributes
    ----------
    codec : str
        "h264" (Annex B, parameter sets before every key frame), "vp8" or "opus".
    data : bytes
        The frame.
    timestamp : int
        RTP ticks of the sender's clock, unwrapped: they never jump back by 2**32.
    clock_rate : int
        Ticks per second.
    key : bool
        Whether decoding can begin here.
    arrived_s : float
        When it was complete here, on ``time.monotonic()``.
    """

    codec: str
    data: bytes
    timestamp: int
    clock_rate: int
    key: bool
    arrived_s: float


def is_key(codec: str, data: bytes) -> bool:
    """Tell whether decoding can begin with this frame.

    Examples
    --------
    >>> is_key("vp8", bytes([0x10])), is_key("vp8", bytes([0x11]))
    (True, False)
    >>> is_key("h264", bytes([0, 0, 0, 1, 0x65])), is_key("h264", bytes([0, 0, 0, 1, 0x41]))
    (True, False)
    """
    if codec == "vp8":
        return bool(data) and not data[0] & 1
    if codec == "h264":
        return any(
            data[at.end()] & 0x1F == _IDR for at in _START.finditer(data) if at.end() < len(data)
        )
    return True


class Unwrapper:
    """Counts on where 32-bit time stamps start again at 0; small steps back stay small.

    Examples
    --------
    >>> unwrap = Unwrapper()
    >>> [unwrap(t) for t in (2**32 - 10, 5, 2**32 - 5)]
    [4294967286, 4294967301, 4294967291]
    """

    def __init__(self) -> None:
        self._last: int | None = None

    def __call__(self, timestamp: int) -> int:
        """Return the time stamp as a number without an upper end."""
        if self._last is None:
            self._last = timestamp
        else:
            step = (timestamp - self._last) & 0xFFFFFFFF
            self._last += step - (1 << 32) if step >= 1 << 31 else step
        return self._last


class Timeline:
    """Turns the times of frames into RTP ticks that only ever grow.

    Steps of the frames' own times are kept to the tick. Where they jump (a source that loops, or
    is changed for another), and where a frame has no time, the time that has passed here takes
    their place.

    Parameters
    ----------
    clock_rate : int
        Ticks per second.
    clock : callable, optional
        Seconds on a monotonic scale.

    Examples
    --------
    >>> from fractions import Fraction
    >>> line = Timeline(90_000, clock=iter([10.0, 10.04, 10.08]).__next__)
    >>> [line.ticks(pts, Fraction(1, 25)) for pts in (100, 101, 0)]  # it loops
    [0, 3600, 7200]
    """

    def __init__(self, clock_rate: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = clock_rate
        self._clock = clock
        self._last = -1
        self._at_s = 0.0  # when that was, here
        self._source: Fraction | None = None  # the last frame's own time, in seconds
        self._origin = Fraction(0)  # the source's time at which the ticks would be 0

    def ticks(self, pts: int | None, time_base: Fraction | None) -> int:
        """Return the next time stamp; a frame that does not move on is a tick later."""
        now_s, source = self._clock(), None
        if pts is not None and time_base:
            source = pts * Fraction(time_base.numerator, time_base.denominator)
        follows = (
            source is not None
            and self._source is not None
            and -BACK_S <= source - self._source <= JUMP_S
        )
        if source is None or not follows:
            passed = round((now_s - self._at_s) * self._rate) if self._last >= 0 else 1
            ticks = self._last + max(1, passed)
            if source is not None:
                self._origin = source - Fraction(ticks, self._rate)
        else:
            # Reckoned from the origin, so that a frame which came late shifts none after it.
            ticks = max(self._last + 1, round((source - self._origin) * self._rate))
        self._last, self._at_s, self._source = ticks, now_s, source
        return ticks
