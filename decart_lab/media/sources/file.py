"""Clips as sources: any MP4, MOV or WebM, upright, at the rate asked for, with its sound.

Whatever media can be made of ends here: paths, bytes, open files, ``Media`` with its edits. What
turns out to be a picture becomes a still.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from .. import temp
from ..inputs import prepare
from ..media import Media
from ..prepared import PreparedInput
from ..sound import read_sound
from ..video import read_frames
from .ahead import ahead
from .base import SOUND_BLOCK, SOUND_RATE, Item, Source
from .blocks import in_blocks, silence
from .image import still
from .packets import Packets, suits
from .wanted import Wanted

_FIELD = "source"
_BLOCK_S = SOUND_BLOCK / SOUND_RATE


def matches(value: Any) -> bool:
    """Whether media may be made of it; opening tells for certain."""
    kinds = (str, Path, bytes, bytearray, memoryview, Media, PreparedInput)
    return isinstance(value, kinds) or callable(getattr(value, "read", None))


def open_clip(value: Any, wanted: Wanted) -> Source:
    """Return a clip as a source, or a picture as a still."""
    prepared = prepare(value, field=_FIELD)
    if prepared.probe.kind == "image":
        return still(prepared, wanted)
    path = prepared.path or _spilled(prepared)
    sound = wanted.audio and prepared.probe.has_audio
    packets = suits(path, prepared.probe, wanted)
    clip = _Clip(prepared, path, wanted, sound=sound, packets=packets)
    return Source(
        wanted.traits(
            "file",
            prepared.label,
            has_audio=sound,
            duration_s=prepared.probe.duration_s,
            passthrough=packets,
        ),
        clip.items,
    )


def _spilled(prepared: PreparedInput) -> Path:
    """Write content that is in memory to a file, since clips are read from one."""
    path = temp.new_path(".clip")
    with prepared.open() as content:
        path.write_bytes(content.read())
    return path


class _Clip:
    """Passes through a clip, one after the other without a leap in time."""

    def __init__(
        self, prepared: PreparedInput, path: Path, wanted: Wanted, *, sound: bool, packets: bool
    ) -> None:
        self._prepared = prepared  # a temporary file lasts as long as this does
        self._path = path
        self._wanted = wanted
        self._sound = sound
        self._packets = packets

    def items(self, halt: threading.Event) -> Iterator[Item]:
        return ahead(self._passes, halt)

    def _passes(self, halt: threading.Event) -> Iterator[Item]:
        began_s = heard_s = 0.0
        while not halt.is_set():
            pictures = Packets(self._path) if self._packets else _Pictures(self._path, self._wanted)
            sound = _Sound(self._blocks(), began_s, heard_s)
            for at_s, picture in pictures:
                yield from sound.until(began_s + at_s)
                yield Item(began_s + at_s, picture)
            began_s += pictures.length_s
            if not self._wanted.loop or not pictures.length_s:
                return
            yield from sound.until(began_s - _BLOCK_S / 2)
            heard_s = sound.heard_s

    def _blocks(self) -> Iterator[av.AudioFrame]:
        """Yield the sound of a pass, then silence for as long as there are pictures."""
        if not self._sound:
            return
        yield from in_blocks(read_sound(self._path, "stereo", field=_FIELD))
        while True:
            yield silence()


class _Sound:
    """The sound of one pass, given out in step with its pictures.

    A pass ends with a picture, in the middle of a block; where the block before reaches into the
    next pass, that begins with its second block.
    """

    def __init__(self, blocks: Iterator[av.AudioFrame], began_s: float, heard_s: float) -> None:
        self.heard_s = heard_s
        self._blocks = blocks
        self._at_s = began_s

    def until(self, limit_s: float) -> Iterator[Item]:
        while self._at_s <= limit_s and (block := next(self._blocks, None)) is not None:
            if self._at_s >= self.heard_s - 1e-6:
                self.heard_s = self._at_s + _BLOCK_S
                yield Item(self._at_s, block)
            self._at_s += _BLOCK_S


class _Pictures:
    """The decoded pictures of one pass, at the rate asked for."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.length_s = 0.0
        self._path = path
        self._fps = wanted.fps

    def __iter__(self) -> Iterator[tuple[float, av.VideoFrame]]:
        for tick, frame in enumerate(read_frames(self._path, fps=self._fps, field=_FIELD)):
            yield tick / self._fps, frame
            self.length_s = (tick + 1) / self._fps
