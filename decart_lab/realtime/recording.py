"""What a recording came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recording:
    """What was recorded.

    Attributes
    ----------
    path : Path or None
        The file, or the first of several; None when no picture came.
    paths : tuple of Path
        All files, in order: one more each time the pictures' size changed.
    subtitles : tuple of Path
        The WebVTT file of prompts beside each.
    seconds : float
        Length of all files together.
    frames : int
        Received pictures in them.
    dropped : int
        Received pictures that are not, because the disk was too slow or a key frame was missing.
    codec : str
        "h264" or "vp8"; "" when no picture came.
    size : (int, int)
        Width and height of the last file.
    audio, input : bool
        Whether there is sound, and a track of what was sent.
    size_bytes : int
        Size of all files together.
    """

    path: Path | None
    paths: tuple[Path, ...]
    subtitles: tuple[Path, ...]
    seconds: float
    frames: int
    dropped: int
    codec: str
    size: tuple[int, int]
    audio: bool
    input: bool
    size_bytes: int
