"""Prompts as subtitles: a WebVTT file that is whole after every change.

The cue of the prompt that holds has no end yet; it is written with one far away, and the next
prompt, or the end, puts the real one in its place. So the file can be read at any time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_HEAD: Final = b"WEBVTT\n"
_OPEN_END_S: Final = 99 * 3600 + 59 * 60 + 59.0
_MOST_CHARS: Final = 5_000


class Subtitles:
    """A WebVTT file.

    Parameters
    ----------
    path : Path
        The file to write; replaced.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "prompts.vtt"
    >>> subtitles = Subtitles(path)
    >>> subtitles.say("ink & paper", 0.0)
    >>> subtitles.close(1.5)
    >>> print(path.read_text())
    WEBVTT
    <BLANKLINE>
    00:00:00.000 --> 00:00:01.500
    ink &amp; paper
    <BLANKLINE>
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._at = os.write(self._file, _HEAD)  # where the open cue begins
        self._said: tuple[str, float] | None = None

    def say(self, text: str, at_s: float) -> None:
        """Show a text from a time on, and the one before no longer; "" shows none."""
        done = self._closed(at_s)
        shown = " ".join(text.split())[:_MOST_CHARS]
        self._said = (shown, at_s) if shown else None
        self._write(done, _cue(shown, at_s, _OPEN_END_S) if shown else b"")

    def close(self, end_s: float) -> None:
        """Give the last cue its end, and close the file."""
        self._write(self._closed(end_s), b"")
        os.close(self._file)

    def _closed(self, end_s: float) -> bytes:
        if self._said is None:
            return b""
        text, at_s = self._said
        self._said = None
        return _cue(text, at_s, end_s) if end_s > at_s + 0.0005 else b""

    def _write(self, done: bytes, still_open: bytes) -> None:
        os.lseek(self._file, self._at, os.SEEK_SET)
        os.write(self._file, done + still_open)
        self._at += len(done)
        os.ftruncate(self._file, self._at + len(still_open))


def _cue(text: str, start_s: float, end_s: float) -> bytes:
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"\n{_time(start_s)} --> {_time(end_s)}\n{shown}\n".encode()


def _time(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, thousandths = divmod(thousandths, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{thousandths // 1000:02}.{thousandths % 1000:03}"
