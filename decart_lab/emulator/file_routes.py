"""``/v1/files``: upload once, refer to it by id until it expires (wire contract, section 5.1)."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime, timedelta
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..media.sniff import HEAD_BYTES, sniff
from .answers import Refusal, invalid, row
from .forms import StoredFile, discarding, keep, read_form
from .records import FileRecord
from .services import services

DEFAULT_TTL_S: Final = 86_400
MIN_TTL_S: Final = 60
MAX_TTL_S: Final = 2_592_000


async def upload(request: Request) -> Response:
    """Store a file and answer with its reference."""
    parts = services(request)
    parts.gatekeeper.admit(request.headers)
    limit = parts.settings.max_upload_bytes
    form = await read_form(request, parts.world.uploads, ("file",), limit)
    with discarding(form):
        stored = form.files.get("file")
        if stored is None:
            raise invalid(row("file", "Field required", "missing", input=None))
        if not stored.size_bytes:
            raise invalid(row("file", "The file is empty", "value_error"))
        now = parts.clock.utc()
        expires = _expiry(form.texts.get("ttl_seconds"), now)
        record = FileRecord(
            id=f"file_{secrets.token_hex(12)}",
            filename=_shown_name(stored.filename),
            mime_type=await asyncio.to_thread(_mime, stored),
            size_bytes=stored.size_bytes,
            created_at=now,
            expires_at=expires,
        )
        keep(stored, parts.world.contents / record.id)
    await asyncio.wrap_future(parts.world.save_file(record))
    return JSONResponse(record.as_json())


async def describe(request: Request) -> Response:
    """Answer with a file's reference."""
    return JSONResponse(_find(request).as_json())


async def delete(request: Request) -> Response:
    """Remove a file."""
    await asyncio.wrap_future(services(request).world.drop_file(_find(request).id))
    return Response(status_code=204)


def _find(request: Request) -> FileRecord:
    parts = services(request)
    parts.gatekeeper.admit(request.headers)
    record = parts.world.files.get(request.path_params["file_id"])
    if record is not None and record.expires_at and record.expires_at <= parts.clock.utc():
        parts.world.drop_file(record.id)
        record = None
    if record is None:
        raise Refusal(404, "File not found, or it has expired.")
    return record


def _expiry(text: str | None, now: datetime) -> datetime | None:
    if text is None or text == "":
        return now + timedelta(seconds=DEFAULT_TTL_S)
    if text == "persistent":
        return None
    if text.isascii() and text.isdigit() and MIN_TTL_S <= int(text[:12]) <= MAX_TTL_S:
        return now + timedelta(seconds=int(text))
    wanted = f'a whole number from {MIN_TTL_S} to {MAX_TTL_S}, or "persistent"'
    fault: dict[str, Any] = row("ttl_seconds", f"Expected {wanted}", "value_error")
    raise invalid(fault | {"input": text[:200]})


def _shown_name(given: str | None) -> str | None:
    """Return the last part of the client's file name: shown, never used as a name here."""
    if given is None:
        return None
    name = PureWindowsPath(PurePosixPath(given).name).name
    return "".join(c for c in name if c.isprintable())[:200] or None


def _mime(stored: StoredFile) -> str:
    with stored.path.open("rb") as file:
        found = sniff(file.read(HEAD_BYTES))
    return found.mime if found is not None else "application/octet-stream"


routes = [
    Route("/v1/files", upload, methods=["POST"]),
    Route("/v1/files/{file_id}", describe, methods=["GET"]),
    Route("/v1/files/{file_id}", delete, methods=["DELETE"]),
]
