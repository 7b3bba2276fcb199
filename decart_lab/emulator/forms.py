"""Reading a request's form: files go to disk as they arrive, hashed on the way; text is bounded.

Which parts are files is decided by their names alone: the type and the file name that a client
gives are never trusted (wire contract, section 4). A part nobody asked for is read and dropped.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from .answers import Refusal, invalid, row

MAX_TEXT: Final = 100_000
MAX_PARTS: Final = 64


@dataclass(slots=True)
class StoredFile:
    """A file part on disk."""

    path: Path
    sha256: str = ""
    size_bytes: int = 0
    filename: str | None = None


@dataclass(slots=True)
class Form:
    """A request's text parts and files, by field name."""

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, StoredFile] = field(default_factory=dict)

    def discard(self) -> None:
        """Remove the files that are still where they were stored."""
        for stored in self.files.values():
            stored.path.unlink(missing_ok=True)


async def read_form(
    request: Request, folder: Path, file_fields: Collection[str], max_bytes: int
) -> Form:
    """Read a multipart or URL-encoded body.

    Parameters
    ----------
    request : Request
        Its body has not been touched.
    folder : Path
        Where files go, under names of their own.
    file_fields : collection of str
        The parts that are files.
    max_bytes : int
        Largest body.

    Raises
    ------
    Refusal
        413 for a body that is too large, 422 for one that is not a form.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    if kind == b"application/x-www-form-urlencoded":
        return await _read_urlencoded(request)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        if declared in ("", "0"):
            return Form()  # the fields that are missing will be named one by one
        raise invalid(row((), "The body is not multipart/form-data with a boundary", "form_type"))
    parts = _Parts(folder, file_fields)
    try:
        parser = MultipartParser(options[b"boundary"], parts.callbacks())
        total = 0
        async for chunk in request.stream():
            total += len(chunk)
            if total > max_bytes:
                raise _too_large(max_bytes)
            parser.write(chunk)
        parser.finalize()
        if not parts.ended:
            raise invalid(row((), "The form ends before its last boundary", "form_truncated"))
    except FormParserError as error:
        parts.abandon()
        raise invalid(row((), f"The form cannot be read: {error}"[:200], "form_invalid")) from error
    except BaseException:
        parts.abandon()
        raise
    return parts.form


async def _read_urlencoded(request: Request) -> Form:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_TEXT:
            raise _too_large(MAX_TEXT)
    return Form(dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)))


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"The request is larger than {limit:,} bytes.")


class _Parts:
    """The multipart parser's callbacks: one part is open at a time."""

    def __init__(self, folder: Path, file_fields: Collection[str]) -> None:
        self.form = Form()
        self.ended = False
        self._folder = folder
        self._file_fields = file_fields
        self._count = 0
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._name = ""
        self._text: bytearray | None = None
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self._close,
            "on_end": self._end,
        }

    def abandon(self) -> None:
        """Close and remove what was stored."""
        if self._file is not None:
            self._file.close()
        self.form.discard()

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise invalid(row((), f"The form has more than {MAX_PARTS} parts", "form_invalid"))
        self._header = self._value = self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._text = None
        if self._name in self._file_fields:
            if self._name in self.form.files:
                raise invalid(row(self._name, "The file was sent twice", "form_invalid"))
            path = self._folder / f"up_{secrets.token_hex(12)}"
            given = options.get(b"filename")
            filename = given.decode("utf-8", "replace") if given else None
            self.form.files[self._name] = StoredFile(path, filename=filename)
            self._file = path.open("xb")
            self._hash = hashlib.sha256()
        elif b"filename" not in options:
            self._text = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        piece = memoryview(data)[start:end]
        if self._file is not None:
            self._hash.update(piece)
            self._file.write(piece)
        elif self._text is not None:
            if len(self._text) + len(piece) > MAX_TEXT:
                field = self._name[:100]
                raise invalid(row(field, f"More than {MAX_TEXT:,} bytes", "string_too_long"))
            self._text += piece

    def _close(self) -> None:
        if self._file is not None:
            stored = self.form.files[self._name]
            stored.size_bytes = self._file.tell()
            stored.sha256 = self._hash.hexdigest()
            self._file.close()
            self._file = None
        elif self._text is not None:
            self.form.texts[self._name] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True


@contextlib.contextmanager
def discarding(form: Form) -> Iterator[Form]:
    """Remove the form's files at the end, except those that were moved elsewhere."""
    try:
        yield form
    finally:
        form.discard()


def keep(stored: StoredFile, destination: Path) -> None:
    """Move a stored file to where it will live."""
    stored.path.replace(destination)
