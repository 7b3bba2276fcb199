"""What a live session in the kernel can send, as a menu offers it: names, and what they stand for.

What belongs here: names. How a source is opened is :mod:`decart_lab.media.sources`'s; a page that
sends its own camera lists its sources itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from ..display.html import clean

_MOST: Final = 60


def name_of(source: Any) -> str:
    """Return what a source is called in a menu.

    Examples
    --------
    >>> name_of("clips/street.mp4"), name_of("synthetic"), name_of([1, 2])
    ('street.mp4', 'synthetic', 'list')
    """
    if isinstance(source, os.PathLike):
        source = os.fsdecode(source)
    if isinstance(source, str):
        # a camera's path stays whole: it is its name
        return clean(source if source.startswith("/dev/") else Path(source).name or source, _MOST)
    return type(source).__name__


def same_source(one: Any, other: Any) -> bool:
    """Return whether two values are the same source: one object, or equal names of a file."""
    return one is other or (isinstance(one, (str, Path)) and one == other)


def offers(given: Any) -> dict[str, Any]:
    """Return what may be chosen beside what was given, by name; that comes first.

    Examples
    --------
    >>> list(offers("street.mp4"))[:3]
    ['street.mp4', 'synthetic', 'sample clip.mp4']
    """
    from ..media import samples
    from ..media.sources.devices import cameras

    clips = [name for name in samples.names() if name.endswith(".mp4")]
    rows = {name_of(given): given, "synthetic": "synthetic"}
    rows |= {f"sample {name}": samples.path(name) for name in clips}
    return rows | {name: name for name in cameras()}
