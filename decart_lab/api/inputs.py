"""Inputs of one request made ready to send: read once, checked for kind and length.

What belongs here: running :func:`decart_lab.media.inputs.prepare` off the loop and fetching URL
inputs first. What a picture or a clip is, ``media`` knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ..contract.models import ModelSpec
from ..contract.requests import ValidRequest, file_kinds
from ..errors import InvalidInputError
from ..media.inputs import PreparedInput, prepare
from .multipart import MultipartBody

Fetch = Callable[[str, str], Awaitable[Path]]
"""Takes an address and the field it is for; returns the file it was saved to."""


async def form(request: ValidRequest, fetch: Fetch) -> MultipartBody:
    """Return the body of a request, every input read, checked and still on disk.

    Raises
    ------
    InvalidInputError
        An input is missing, unreadable, of the wrong kind or too long; no request was made.
    """
    kinds = file_kinds(request.model)
    local = {name: value for name, value in request.files.items() if not is_url(value)}
    prepared = {
        name: await _prepare_local(value, name, kinds[name]) for name, value in local.items()
    }
    # Addresses last: nothing is fetched for a request that another input already spoils.
    for name, value in request.files.items():
        if name not in prepared:
            prepared[name] = await prepare_url(value, name, kinds[name], fetch)
    for name, item in prepared.items():
        _check_length(request.model, name, item)
    return MultipartBody(request.wire(), {name: prepared[name] for name in request.files})


def is_url(value: Any) -> bool:
    """Return whether an input is an address to fetch.

    Examples
    --------
    >>> is_url("https://example.com/cat.png"), is_url("cat.png"), is_url("file:///etc/passwd")
    (True, False, False)
    """
    return isinstance(value, str) and value[:8].lower().startswith(("http://", "https://"))


async def _prepare_local(value: Any, field: str, kind: Any) -> PreparedInput:
    if isinstance(value, PreparedInput):
        return prepare(value, field=field, kind=kind)  # it was read before
    return await asyncio.to_thread(prepare, value, field=field, kind=kind)


async def prepare_url(url: str, field: str, kind: Any, fetch: Fetch) -> PreparedInput:
    """Fetch an address and return it as an input that is labelled with the address."""
    path = await fetch(url, field)
    return await asyncio.to_thread(prepare, url, field=field, kind=kind, fetch=lambda _: path)


def _check_length(model: ModelSpec, name: str, item: PreparedInput) -> None:
    seconds = item.probe.duration_s
    if model.max_input_s is None or seconds is None or seconds <= model.max_input_s:
        return
    raise InvalidInputError(
        f"{name} lasts {seconds:.0f} s; {model.name} takes at most {model.max_input_s:.0f} s.",
        field=name,
        hint="Trim it: Media(path).trim(start_s, end_s).",
    )
