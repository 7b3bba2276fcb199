"""Answers that cost next to nothing, for harnesses that do not look at pictures.

Each is a valid picture or clip of the asked size, rate and length, encoded once and kept, and made
unique by writing the job id over a place held open in its metadata.
"""

from __future__ import annotations

import re
import struct
import tempfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from ..media.image import png_bytes
from ..media.video import VideoWriter
from .marks import COMMENT, PNG_TEXT

_ID_LENGTH: Final = 64
_PLACE: Final = b"#" * _ID_LENGTH


def canned_picture(width: int, height: int, job_id: str) -> bytes:
    """Return a PNG of a size that holds the job id in a text chunk."""
    return _signed_png(_picture(width, height), job_id)


def canned_clip(width: int, height: int, fps: int, frames: int, job_id: str) -> bytes:
    """Return an MP4 of a size, rate and length that holds the job id in its comment."""
    before, after = _clip(width, height, fps, frames)
    return before + _padded(job_id) + after


def _padded(job_id: str) -> bytes:
    # Ids are ASCII; anything else must not change the length of the file.
    return re.sub(rb"[^ -~]", b"?", job_id.encode())[:_ID_LENGTH].ljust(_ID_LENGTH)


def _signed_png(content: bytes, job_id: str) -> bytes:
    """Add a text chunk before the end chunk, which is always the last 12 bytes."""
    body = b"tEXt" + b"Job\x00" + _padded(job_id).rstrip()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return content[:-12] + chunk + content[-12:]


@lru_cache(maxsize=32)
def _picture(width: int, height: int) -> bytes:
    return png_bytes(_gradient(width, height), level=9, text=PNG_TEXT)


@lru_cache(maxsize=64)
def _clip(width: int, height: int, fps: int, frames: int) -> tuple[bytes, bytes]:
    comment = f"{COMMENT}; canned; job {_PLACE.decode()}"
    with tempfile.TemporaryDirectory(prefix="decart-lab-canned-") as folder:
        path = Path(folder) / "clip.mp4"
        picture = np.asarray(_gradient(width, height))
        with VideoWriter(
            path,
            width,
            height,
            fps,
            metadata={"comment": comment},
            crf=40,
            preset="ultrafast",
            threads=1,
        ) as writer:
            for _ in range(frames):
                writer.write(picture)
        before, place, after = path.read_bytes().partition(_PLACE)
    assert place, "the muxer kept the comment as it was given"
    return before, after


def _gradient(width: int, height: int) -> Image.Image:
    return Image.linear_gradient("L").resize((width, height)).convert("RGB")
