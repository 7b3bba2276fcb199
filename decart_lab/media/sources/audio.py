"""Files of sound as sources, for models whose picture is driven by it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import MediaError
from .. import limits
from ..demux import demuxed, identify, main_sound, opened
from ..probe import regular_file, show_name
from ..sound import read_sound
from .base import SOUND_BLOCK, SOUND_RATE, Item, Source
from .blocks import in_blocks
from .heads import as_path, format_of
from .wanted import Wanted

_FIELD = "source"


def matches(value: Any) -> bool:
    """Whether it is a file of sound alone, or its content."""
    found = format_of(value)
    return found is not None and found.kind == "sound"


def open_audio(value: Any, wanted: Wanted) -> Source:
    """Return a file of sound as a source without pictures."""
    path = as_path(value)
    content = path.absolute() if path is not None else bytes(value)
    name = show_name(path) if path is not None else "sound (bytes)"
    size = regular_file(path, field=_FIELD).st_size if path is not None else len(value)
    duration_s = _length(content, name, size)

    def items(_: threading.Event) -> Iterator[Item]:
        number = 0
        while True:
            before = number
            for block in in_blocks(read_sound(content, "stereo", field=_FIELD)):
                yield Item(number * SOUND_BLOCK / SOUND_RATE, block)
                number += 1
            if number == before or not wanted.loop:
                return

    traits = wanted.traits("audio", name, has_video=False, has_audio=True, duration_s=duration_s)
    return Source(traits, items)


def _length(content: Path | bytes, name: str, size: int) -> float | None:
    """Look at the headers: refuse what is too large or holds no sound, return the length."""
    if size > limits.MAX_CLIP_BYTES:
        raise MediaError(
            f"{name} has {size / 1e6:,.0f} MB; the most accepted is "
            f"{limits.MAX_CLIP_BYTES / 1e6:,.0f} MB.",
            field=_FIELD,
            hint="Make it shorter first.",
        )
    with opened(content) as file:
        kind = identify(file, name=name, field=_FIELD, sound=True)
        with demuxed(file, kind, name=name, field=_FIELD) as container:
            if main_sound(container) is None:
                raise MediaError(
                    f"{name} holds no sound that can be decoded here.",
                    field=_FIELD,
                    hint="Convert it to MP3 or WAV.",
                )
            duration_s = container.duration / 1e6 if container.duration else None
    if (duration_s or 0) > limits.MAX_CLIP_S:
        raise MediaError(
            f"{name} is {duration_s:,.0f} s long; the most accepted is 30 minutes.",
            field=_FIELD,
            hint="Take a part of it.",
        )
    return duration_s
