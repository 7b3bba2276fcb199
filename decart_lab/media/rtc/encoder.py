"""Encoding live video: pictures in, one encoded frame out each, at once.

What belongs here: how H.264 and VP8 encoders are set up for a live session, and what they are told
while they run. No threads, no tracks.

Why not aiortc's encoders (1.16): x264 at its default preset takes three to four times as long a
frame, is told 30 frames per second and level 3.1 whatever it is given, and is made anew, with a
key frame, whenever the bit rate moves by a tenth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from .connection import VideoCodec
from .frames import VIDEO_CLOCK

MIN_BITRATE: Final = 100_000
KEY_EVERY_S: Final = 10.0
"""Longest time between key frames, in seconds; whoever needs one sooner asks for it."""
_SMALL: Final = 640 * 480  # pixels that one thread encodes in a few milliseconds
_TICK: Final = Fraction(1, VIDEO_CLOCK)


class Encoded(NamedTuple):
    """What became of one picture."""

    data: bytes
    ticks: int
    key: bool


class VideoEncoder:
    """One codec's encoder; follows changes of size and of bit rate.

    Parameters
    ----------
    codec : {"h264", "vp8"}
    bitrate : int
        Bits per second aimed at.
    fps : float, default 25.0
        What the rate control reckons with; the frames' own times decide.
    key_every_s : float, default KEY_EVERY_S
        Longest time between key frames.
    """

    def __init__(
        self,
        codec: VideoCodec,
        *,
        bitrate: int,
        fps: float = 25.0,
        key_every_s: float = KEY_EVERY_S,
    ) -> None:
        self.codec: VideoCodec = codec
        self.bitrate = bitrate
        self._fps = Fraction(fps).limit_denominator(1001)
        self._gop = max(1, round(fps * key_every_s))
        self._context: VideoCodecContext | None = None
        self._bitrate = self._opened_for = 0

    def encode(self, frame: av.VideoFrame, ticks: int, *, key: bool = False) -> Encoded | None:
        """Encode one picture; None when the codec made nothing of it.

        Parameters
        ----------
        frame : av.VideoFrame
            Any size and format; odd sides lose a row or column. It is left as it was.
        ticks : int
            Its time in ticks of 90 kHz, greater than that of the frame before.
        key : bool, default False
            Whether decoding must be able to begin here.

        Raises
        ------
        av.FFmpegError
            The codec refused; the encoder begins anew with the next frame.
        """
        width, height = frame.width & ~1, frame.height & ~1
        picture = frame.reformat(width, height, "yuv420p")  # itself where nothing changes
        context = self._ready(width, height)
        was = picture.pts, picture.time_base, picture.pict_type
        try:
            picture.pts, picture.time_base = ticks, _TICK
            picture.pict_type = PictureType.I if key else PictureType.NONE
            packets = context.encode(picture)
        except av.FFmpegError:
            self._context = None
            raise
        finally:
            picture.pts, picture.pict_type = was[0], was[2]
            if was[1] is not None:
                picture.time_base = was[1]
        data = b"".join(map(bytes, packets))
        return Encoded(data, ticks, any(p.is_keyframe for p in packets)) if data else None

    def _ready(self, width: int, height: int) -> VideoCodecContext:
        bitrate = max(MIN_BITRATE, self.bitrate)
        context = self._context
        if context is not None and (context.width, context.height) == (width, height):
            if bitrate == self._bitrate:
                return context
            if self.codec == "h264" and bitrate <= self._opened_for:
                context.bit_rate = self._bitrate = bitrate  # taken over with the next frame
                return context
            # What is opened anew begins with a key frame, so small changes are not worth it.
            if abs(bitrate - self._bitrate) < 0.2 * self._bitrate:
                return context
        self._context = self._open(width, height, bitrate)
        return self._context

    def _open(self, width: int, height: int, bitrate: int) -> VideoCodecContext:
        name, options = _SETTINGS[self.codec]
        # With a ceiling equal to the aim x264 follows the aim down within a second; without it,
        # it evens out over minutes. The ceiling itself cannot be raised while it runs.
        self._bitrate = self._opened_for = bitrate
        context = cast(VideoCodecContext, av.CodecContext.create(name, "w"))
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = _TICK, self._fps
        context.bit_rate = bitrate
        context.gop_size = self._gop
        context.thread_count = 1 if width * height <= _SMALL else min(2, os.cpu_count() or 1)
        context.options = {**options(bitrate), "maxrate": str(bitrate)}
        if self.codec == "vp8":
            context.qmin, context.qmax = 2, 56
        return context


def _h264(bitrate: int) -> dict[str, str]:
    return {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "bufsize": str(bitrate // 2),
        # The level is left to x264, which fits it to size and rate.
        "x264-params": "repeat-headers=1:scenecut=0",
    }


def _vp8(bitrate: int) -> dict[str, str]:
    return {
        "deadline": "realtime",
        "cpu-used": "-12",
        "lag-in-frames": "0",
        "minrate": str(bitrate),
        "bufsize": str(bitrate),
        "static-thresh": "1",
        "undershoot-pct": "100",
        "overshoot-pct": "15",
    }


_Options = Callable[[int], dict[str, str]]
_SETTINGS: Final[Mapping[str, tuple[Any, _Options]]] = MappingProxyType(
    {"h264": ("libx264", _h264), "vp8": ("libvpx", _vp8)}
)
