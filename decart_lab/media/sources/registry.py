"""Which kinds of source there are, and which of them takes a given value.

A kind is a row: whether a value is its, and how to open it. Rows are asked in order, those that
were registered last first; the last of all takes whatever else media can be made of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ...errors import InvalidInputError
from . import audio, devices, file, frames, image, synthetic, track
from .base import Source
from .wanted import Wanted

_MOST_FPS: Final = 240.0
_MOST_SIDE: Final = 4096


@dataclass(frozen=True)
class SourceKind:
    """One kind of source.

    Parameters
    ----------
    name : str
        One word.
    matches : callable
        Whether a value is of this kind; must not raise, nor read what can be read only once.
    open : callable
        Given the value and what is wanted, returns the source or raises InvalidInputError.
    says : str
        What it takes, for the message when nothing matches.
    """

    name: str
    matches: Callable[[Any], bool]
    open: Callable[[Any, Wanted], Source]
    says: str


KINDS: Final[list[SourceKind]] = [
    SourceKind("synthetic", synthetic.matches, synthetic.open_pattern, '"synthetic"'),
    SourceKind("camera", devices.is_camera, devices.open_camera, '"camera" or "/dev/video0"'),
    SourceKind("microphone", devices.is_microphone, devices.open_microphone, '"microphone"'),
    SourceKind("track", track.matches, track.open_track, "an object with async recv()"),
    SourceKind("audio", audio.matches, audio.open_audio, "an MP3, WAV, FLAC, Ogg or M4A file"),
    SourceKind(
        "frames", frames.matches, frames.open_frames, "arrays or images, or what makes them"
    ),
    SourceKind("image", image.matches, image.open_still, "a picture"),
    SourceKind("file", file.matches, file.open_clip, "an MP4, MOV or WebM file"),
]
_lock = threading.Lock()


def register(row: SourceKind) -> None:
    """Add a kind of source, to be asked before those there are; one of its name is replaced."""
    with _lock:
        KINDS[:] = [row, *(kind for kind in KINDS if kind.name != row.name)]


def open_source(
    value: Any,
    *,
    size: tuple[int, int],
    fps: float,
    mirror: bool = False,
    loop: bool = True,
    audio: bool = True,
    passthrough: bool = True,
) -> Source:
    """Open anything that frames can come from.

    Parameters
    ----------
    value : str, Path, bytes, image, array, iterable, callable, track or Source
        The path of a clip, picture or sound file; ``"synthetic"``; ``"camera"``, ``"camera:1"``,
        ``"/dev/video0"`` or ``"microphone"``, on the machine where Python runs; a Pillow image or
        array; a list or generator of them, or a function of the frame's number (None ends it); an
        array of shape (T, H, W, 3); an aiortc track. A Source passes through as it is.
    size : (int, int)
        Width and height to give, in pixels, both even; other shapes are letterboxed.
    fps : float
        Frames per second.
    mirror : bool
        Flip left to right.
    loop : bool
        Begin again at the end, where there is one that can be begun again.
    audio : bool
        Give the sound as well.
    passthrough : bool
        Give an H.264 file's own packets when they suit: of that size, upright, no faster than
        ``fps``, without B-frames, a key frame at least every two seconds.

    Returns
    -------
    Source

    Raises
    ------
    InvalidInputError
        Nothing can be made of the value, or there is no such device.
    MediaError
        The file is no media, damaged or over the caps.
    """
    if isinstance(value, Source):
        return value
    width, height = size
    if not all(
        isinstance(side, int) and side % 2 == 0 and 16 <= side <= _MOST_SIDE for side in size
    ):
        raise InvalidInputError(
            f"Frames cannot be {width} x {height} pixels.",
            field="size",
            hint=f"Give an even width and height from 16 to {_MOST_SIDE}.",
        )
    if not 0 < fps <= _MOST_FPS:
        raise InvalidInputError(
            f"fps must be above 0 and at most {_MOST_FPS:g}; it is {fps}.", field="fps"
        )
    wanted = Wanted(size, fps, mirror, loop, audio, passthrough)
    with _lock:
        kinds = list(KINDS)
    for kind in kinds:
        if kind.matches(value):
            return kind.open(value, wanted)
    raise InvalidInputError(
        f"No frames can be made of {type(value).__name__}.",
        field="source",
        hint=f"Give {'; '.join(kind.says for kind in reversed(kinds))}.",
    )
