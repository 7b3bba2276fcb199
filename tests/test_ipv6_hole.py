"""A host whose IPv6 address swallows everything: the other address is tried within seconds."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from decart_lab._http import Http
from decart_lab._wire import BytesBody, Call, Timeouts

from .helpers.serve import read_request, serve_raw

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CONNECT_S = 10.0
TRIES_THE_OTHER_S = 2.0 * 3
"""The promise, and the factor that the suite allows a busy machine; far below the timeout."""


@contextmanager
def hole(port: int) -> Iterator[None]:
    """Listen on IPv6 with a full queue: the kernel drops what else comes, as a black hole does."""
    waiting: list[socket.socket] = []
    try:
        listening = socket.create_server(("::1", port), family=socket.AF_INET6, backlog=0)
    except OSError as error:
        pytest.skip(f"there is no IPv6 on this machine's loopback: {error}")
    try:
        for _ in range(8):
            one = socket.socket(socket.AF_INET6)
            one.setblocking(False)
            one.connect_ex(("::1", port))
            waiting.append(one)
        with socket.socket(socket.AF_INET6) as probe:
            probe.settimeout(0.3)
            with pytest.raises(TimeoutError):
                probe.connect(("::1", port))
        yield
    finally:
        for one in (*waiting, listening):
            one.close()


@pytest.mark.parametrize("once", [False, True])
async def test_an_ipv6_address_that_leads_nowhere_costs_seconds_and_not_the_call(monkeypatch, once):
    look_up = socket.getaddrinfo

    def both(host, port, *rest, **options):
        if host != "localhost":
            return look_up(host, port, *rest, **options)
        kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [
            (socket.AF_INET6, *kind, ("::1", port, 0, 0)),
            (socket.AF_INET, *kind, ("127.0.0.1", port)),
        ]

    def answer(connection):
        read_request(connection)
        connection.sendall(OK)

    with serve_raw(answer) as url:
        port = urlsplit(url).port
        with hole(port):
            monkeypatch.setattr(socket, "getaddrinfo", both)
            timeouts = Timeouts(connect_s=CONNECT_S)
            http = Http(f"http://localhost:{port}", key=None, user_agent="t", timeouts=timeouts)
            began = time.monotonic()
            try:
                found = await http.exchange(
                    Call("POST", "/x", "/x", 30.0, body=BytesBody(b"{}"), once=once)
                )
            finally:
                await http.aclose()
    assert found.head.status == 200
    assert time.monotonic() - began < TRIES_THE_OTHER_S
