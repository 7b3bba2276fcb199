"""What the first bytes of a value say, without reading what can be read only once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..sniff import HEAD_BYTES, Format, sniff, sniff_sound


def as_path(value: Any) -> Path | None:
    """Return the path that a text or path-like names; None for anything else."""
    if not isinstance(value, (str, os.PathLike)):
        return None
    path = Path(os.fsdecode(value))
    try:
        return path.expanduser()
    except RuntimeError:  # "~" of a user that does not exist
        return path


def format_of(value: Any) -> Format | None:
    """Tell the format of a file or of content in memory; None when there is nothing to tell by."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        head = bytes(value[:HEAD_BYTES])
        return sniff_sound(head) or sniff(head)
    path = as_path(value)
    try:
        # A pipe would hang, and a device is none of our files.
        if path is None or not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return None  # whoever opens it in earnest says what is wrong
    return sniff_sound(head) or sniff(head)
