"""Reading forms: the same whatever pieces the network brings, in little memory."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import tracemalloc
from pathlib import Path

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from decart_lab.emulator.forms import Form, read_form

CONTENT = bytes(range(256)) * 3 + b"\r\n--not-the-boundary\r\n\r\n--"


def arriving(headers: httpx.Headers, pieces: list[bytes]) -> Request:
    """A request whose body comes in those pieces."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    messages.reverse()

    async def receive():
        return messages.pop()

    return Request(scope_of(headers), receive)


def scope_of(headers: httpx.Headers) -> dict:
    raw = [(name.lower(), value) for name, value in headers.raw]
    return {"type": "http", "method": "POST", "path": "/", "headers": raw}


def read(pieces: list[bytes], headers: httpx.Headers, folder: Path) -> Form:
    return asyncio.run(read_form(arriving(headers, pieces), folder, ("data", "end"), 10**9))


@settings(max_examples=60)
@given(cuts=st.lists(st.integers(0, 1500), max_size=12))
def test_a_form_is_the_same_however_it_is_cut(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("form")
    request = httpx.Request(
        "POST",
        "http://emulator",
        data={"prompt": "été", "seed": "7"},
        files={"data": ("cat.png", CONTENT), "other": ("x", b"dropped"), "end": b""},
    )
    body = request.read()
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
    form = read(pieces, request.headers, folder)
    assert form.texts == {"prompt": "été", "seed": "7"}
    assert set(form.files) == {"data", "end"}
    stored = form.files["data"]
    assert stored.path.read_bytes() == CONTENT
    assert stored.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (stored.size_bytes, stored.filename) == (len(CONTENT), "cat.png")
    assert form.files["end"].size_bytes == 0
    form.discard()
    assert not list(folder.iterdir())


def test_a_large_file_passes_through_little_memory(tmp_path):
    head = (
        b'--x\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\n',
        b"\r\n--x--\r\n",
    )
    piece = bytes(65_536)

    async def receive():
        return next(messages)

    def bodies():
        yield {"type": "http.request", "body": head[0], "more_body": True}
        for _ in range(800):
            yield {"type": "http.request", "body": piece, "more_body": True}
        yield {"type": "http.request", "body": head[1], "more_body": False}

    messages = bodies()
    headers = httpx.Headers({"content-type": "multipart/form-data; boundary=x"})
    tracemalloc.start()
    try:
        form = asyncio.run(
            read_form(Request(scope_of(headers), receive), tmp_path, ("data",), 10**9)
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert form.files["data"].size_bytes == 800 * len(piece)
    assert peak < 2_000_000
