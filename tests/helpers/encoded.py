"""Encoded frames as a session receives them: numbered pictures and sound, with RTP time stamps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np

from decart_lab.media import marker
from decart_lab.media.rtc.frames import EncodedFrame, is_key

FPS = 25
OPTIONS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
}
ENCODERS = {"h264": "libx264", "vp8": "libvpx"}


@lru_cache(maxsize=16)
def pictures(
    codec: str = "h264", count: int = 50, size: tuple[int, int] = (320, 180), gop: int = 250
) -> tuple[EncodedFrame, ...]:
    """Pictures that carry their numbers as markers, 25 a second, stamped and arriving from 0."""
    context = av.CodecContext.create(ENCODERS[codec], "w")
    context.width, context.height, context.pix_fmt = *size, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 90_000), FPS
    context.bit_rate = 400_000
    context.gop_size = gop
    context.options = OPTIONS[ENCODERS[codec]]
    found = []
    for number in range(count):
        grey = np.full((size[1] * 3 // 2, size[0]), 100 + number % 50, np.uint8)
        frame = av.VideoFrame.from_ndarray(grey, format="yuv420p")
        marker.stamp(frame, number)
        frame.pts, frame.time_base, frame.pict_type = number * 3600, Fraction(1, 90_000), 0
        for packet in context.encode(frame):
            data = bytes(packet)
            found.append(
                EncodedFrame(
                    codec, data, packet.pts, 90_000, is_key(codec, data), packet.pts / 90_000
                )
            )
    assert len(found) == count
    return tuple(found)


@lru_cache(maxsize=4)
def sound(seconds: float = 2.0) -> tuple[EncodedFrame, ...]:
    """A tone that beeps for a tenth of a second at each full one, in Opus."""
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, "stereo", "s16"
    context.options = {"application": "lowdelay"}
    found = []
    for block in range(round(seconds * 50)):
        t = (np.arange(960) + 960 * block) / 48_000
        wave = (np.sin(2 * np.pi * 880 * t) * 12_000 * ((t % 1.0) < 0.1)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave.repeat(2)[None, :], format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 960 * block, Fraction(1, 48_000)
        for packet in context.encode(frame):
            at = 960 * len(found)
            found.append(EncodedFrame("opus", bytes(packet), at, 48_000, True, at / 48_000))
    return tuple(found)


def later(
    frames: tuple[EncodedFrame, ...], *, stamps: int = 0, arrival_s: float = 0.0
) -> tuple[EncodedFrame, ...]:
    """The same frames, stamped from another beginning, and arriving later."""
    return tuple(
        replace(f, timestamp=f.timestamp + stamps, arrived_s=f.arrived_s + arrival_s)
        for f in frames
    )


def merged(*tracks: tuple[str, tuple[EncodedFrame, ...]]) -> Iterator[tuple[str, EncodedFrame]]:
    """Frames of named tracks in the order in which they arrive."""
    named = [(name, frame) for name, frames in tracks for frame in frames]
    yield from sorted(named, key=lambda pair: pair[1].arrived_s)
