"""The form that carries a request: text parts and files, streamed with a known length.

What belongs here: encoding. Fields arrive checked and as wire text, files as prepared inputs. Our
own encoder, because what was sent must be known to the byte (``_http`` counts), and because a
user's file name or path never goes on the wire: parts are named after their field.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import InvalidInputError, MediaError
from ..media.inputs import PreparedInput
from ..media.prepared import stamp
from ..media.sniff import FORMATS

CHUNK: Final = 256 * 1024
REMEMBERED: Final = 32
"""So many files of one chunk are kept in memory: a sweep sends the same ones again and again."""

_SUFFIXES: Final = {row.name: row.suffix for row in FORMATS}


class MultipartBody:
    """A ``multipart/form-data`` body that can be sent again.

    Parameters
    ----------
    fields : mapping of str to str
        Text parts, in order.
    files : mapping of str to PreparedInput
        File parts, after the text; each is read from its start whenever the body is sent.
    """

    def __init__(self, fields: Mapping[str, str], files: Mapping[str, PreparedInput]) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._segments: list[bytes | tuple[str, PreparedInput]] = []
        text = b""
        for name, value in fields.items():
            text += _part(boundary, name) + value.encode() + b"\r\n"
        for name, prepared in files.items():
            suffix = _SUFFIXES.get(prepared.probe.format, "")
            text += _part(boundary, name, f"{name}{suffix}", prepared.mime)
            self._segments += [text, (name, prepared)]
            text = b"\r\n"
        self._segments.append(text + f"--{boundary}--\r\n".encode())
        self.length = sum(
            len(part) if isinstance(part, bytes) else part[1].size_bytes for part in self._segments
        )

    async def chunks(self) -> AsyncIterator[bytes]:
        """Produce the body; files are read in a thread.

        Raises
        ------
        MediaError
            A file cannot be read any more, or is not what it was when it was checked.
        """
        for segment in self._segments:
            if isinstance(segment, bytes):
                yield segment
                continue
            name, prepared = segment
            async for chunk in _read(name, prepared):
                yield chunk


def _part(boundary: str, name: str, filename: str | None = None, mime: str | None = None) -> bytes:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
    if filename is not None:
        head += f'; filename="{_quoted(filename)}"\r\nContent-Type: {mime}'
    return f"{head}\r\n\r\n".encode()


def _quoted(text: str) -> str:
    """Escape as browsers do, so that a name cannot end its quotes or its line."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


class _Lately:
    """Small files that were sent lately, by path and stamp: one that was changed is another."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[Path, tuple[int, int]], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, prepared: PreparedInput) -> bytes | None:
        """Return what a file holds, None when it is to be read."""
        if prepared.path is None or prepared.size_bytes > CHUNK or not self._held:
            return None
        try:
            found = stamp(prepared.path.stat())
        except OSError:
            return None
        changed = prepared.changed(found) or found[0] != prepared.size_bytes
        return None if changed else self._held.get((prepared.path, found))

    def keep(self, path: Path, found: tuple[int, int], content: bytes) -> None:
        """Remember a file, and forget the one remembered longest."""
        with self._lock:
            self._held[path, found] = content
            if len(self._held) > REMEMBERED:
                self._held.popitem(last=False)


_lately: Final = _Lately()


def _begin(prepared: PreparedInput) -> tuple[BinaryIO, bytes]:
    file = prepared.open()
    try:
        chunk = file.read(min(CHUNK, prepared.size_bytes))
        if prepared.path is not None and len(chunk) == prepared.size_bytes:
            _lately.keep(prepared.path, stamp(os.fstat(file.fileno())), chunk)
        return file, chunk
    except OSError:
        file.close()
        raise


async def _read(name: str, prepared: PreparedInput) -> AsyncIterator[bytes]:
    if prepared.content is not None:
        for start in range(0, len(prepared.content), CHUNK):
            yield prepared.content[start : start + CHUNK]
        return
    known = _lately.recall(prepared)
    if known is not None:
        yield known
        return
    left = prepared.size_bytes
    file = None
    problem: OSError | InvalidInputError | None = None
    try:
        file, chunk = await asyncio.to_thread(_begin, prepared)
        while chunk:
            left -= len(chunk)
            yield chunk
            # a small file is one visit to a thread
            chunk = await asyncio.to_thread(file.read, min(CHUNK, left)) if left else b""
    except (OSError, InvalidInputError) as error:
        problem = error
    finally:
        if file is not None:
            file.close()
    if problem is not None or left:
        raise MediaError(
            f"{name} ({prepared.label}) could not be read to its end while it was sent.",
            field=name,
            hint="Leave the file in place and unchanged until the call returns.",
        ) from problem
