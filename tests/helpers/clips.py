"""Pictures and clips made for tests: stills, moving ones, with sound, rotated, cut off."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

RATE = 48_000


def gradient(width: int = 64, height: int = 48, shift: int = 0) -> np.ndarray:
    """A picture whose corners differ, so that turning and cropping show."""
    y, x = np.mgrid[0:height, 0:width]
    red = (x * 255 // max(1, width - 1) + shift) % 256
    green = y * 255 // max(1, height - 1)
    return np.stack([red, green, np.full_like(red, 64)], axis=-1).astype(np.uint8)


def still(fmt: str = "PNG", width: int = 64, height: int = 48, orientation: int = 1) -> bytes:
    """An encoded picture, with an EXIF orientation when asked."""
    out = io.BytesIO()
    image = Image.fromarray(gradient(width, height))
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    image.save(out, fmt, exif=exif) if orientation != 1 else image.save(out, fmt)
    return out.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A few bytes of PNG whose header promises that size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 64)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def moving(frames: int = 10, width: int = 64, height: int = 48) -> Iterator[np.ndarray]:
    """Frames that drift, each different from the one before."""
    for index in range(frames):
        yield gradient(width, height, shift=index * 8)


def pan(photo: Path, width: int, height: int, frames: int) -> Iterator[np.ndarray]:
    """A slow move and zoom over a photograph."""
    with Image.open(photo) as image:
        image = image.convert("RGB")
        for index in range(frames):
            at = index / max(1, frames - 1)
            ease = at * at * (3 - 2 * at)
            scale = 0.72 + 0.2 * ease
            w = image.width * scale
            h = w * height / width
            left = (image.width - w) * (0.1 + 0.6 * ease)
            top = (image.height - h) * (0.7 - 0.5 * ease)
            box = (left, top, left + w, top + h)
            yield np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    fps: float = 25,
    sound: bool = False,
    rotation: int = 0,
    codec: str = "libx264",
    crf: int = 20,
    preset: str = "ultrafast",
) -> Path:
    """Write a clip with PyAV directly, so that the project's writer is not its own judge.

    ``rotation`` is what a player turns the frames by, clockwise, as a phone's clip asks.
    """
    rate = Fraction(fps).limit_denominator(1001)
    pictures = list(frames)
    height, width = pictures[0].shape[:2]
    options = {"crf": str(crf), "preset": preset} if codec == "libx264" else {"b": "300k"}
    webm = path.suffix == ".webm"
    container_options = {} if webm else {"movflags": "+faststart"}
    with av.open(str(path), "w", options=container_options) as out:
        video = out.add_stream(codec, rate=rate, options=options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.thread_count = 2
        if rotation:
            video.set_display_rotation(-rotation)
        audio = None
        if sound:
            audio = out.add_stream("libopus" if webm else "aac", rate=RATE)
            audio.codec_context.layout = "mono"
            audio.bit_rate = 64_000
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            out.mux(video.encode(frame))
            if audio is not None:
                for piece in chord(index / fps, (index + 1) / fps, len(pictures) / fps):
                    out.mux(audio.encode(piece))
        out.mux(video.encode(None))
        if audio is not None:
            out.mux(audio.encode(None))
    return path


def chord(start_s: float, end_s: float, total_s: float) -> Iterator[av.AudioFrame]:
    """A soft chord that fades in and out; one piece per call."""
    first, last = round(start_s * RATE), round(end_s * RATE)
    t = np.arange(first, last) / RATE
    wave = sum(np.sin(2 * math.pi * f * t) for f in (220.0, 277.18, 329.63)) / 3
    fade = np.clip(np.minimum(t, total_s - t) / 0.4, 0, 1)
    samples = (0.15 * wave * fade).astype(np.float32)[None, :]
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
    yield frame
