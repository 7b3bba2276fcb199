"""The wire: evidence, deadlines, bounds, redirects, and library exceptions that never escape."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import time
import zlib

import pytest

from decart_lab._clock import ManualClock
from decart_lab._http import Http
from decart_lab._wire import MAX_ERROR, MAX_JSON, BytesBody, Call, Timeouts, fast_enough
from decart_lab.config import Secret, is_loopback
from decart_lab.errors import (
    DeadlineError,
    DecartSDKError,
    InvalidBaseURLError,
    MediaError,
    NetworkError,
    ResponseError,
)

from .helpers.serve import read_request, reset, serve_raw

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
HELLO = BytesBody(b"hello")
QUICK = Timeouts(connect_s=2.0, pool_s=0.2, write_s=0.4, read_s=0.5)


def get(**facts):
    return Call("GET", "/x", "/x", **({"total_s": 5.0} | facts))


def sending(body, **facts):
    return Call("POST", "/x", "/x", **({"total_s": 5.0, "body": body} | facts))


async def exchange(url, call, **options):
    http = Http(url, **({"key": None, "user_agent": "test", "timeouts": QUICK} | options))
    try:
        return await http.exchange(call)
    finally:
        await http.aclose()


async def failure(url, call, **options):
    with pytest.raises(DecartSDKError) as caught:
        await exchange(url, call, **options)
    return caught.value


def answering(raw):
    def handle(connection):
        read_request(connection)
        connection.sendall(raw)

    return handle


async def test_an_answer_comes_with_status_headers_and_body():
    with serve_raw(answering(OK)) as url:
        answer = await exchange(url, get())
    assert (answer.head.status, answer.body) == (200, b"{}")
    assert answer.head.content_type == "application/json"
    assert not answer.head.simulated


async def test_what_is_sent_is_exactly_what_we_mean_to_send():
    seen = []

    def handle(connection):
        seen.append(read_request(connection))
        connection.sendall(OK)

    with serve_raw(handle) as url:
        await exchange(url, sending(HELLO, once=True))
    head, body = seen[0]
    lines = sorted(line.decode().lower() for line in head.split(b"\r\n")[1:])
    assert head.split(b"\r\n")[0] == b"POST /x HTTP/1.1"
    assert body == b"hello"
    assert lines == [
        "accept-encoding: identity",
        "accept: application/json",
        "connection: close",
        "content-length: 5",
        "content-type: application/json",
        f"host: {url[7:]}",
        "user-agent: test",
    ]


# --- evidence -------------------------------------------------------------------------------


async def test_nothing_was_sent_when_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = await failure(f"http://127.0.0.1:{port}", sending(HELLO))
    assert isinstance(error, NetworkError)
    assert (error.sent, error.response_started) == ("none", False)


async def test_a_reset_after_the_whole_request_says_that_all_was_sent():
    # The transport reports this as a connect timeout, which would look like nothing was sent.
    def handle(connection):
        read_request(connection)
        reset(connection)

    with serve_raw(handle) as url:
        error = await failure(url, sending(HELLO))
    assert isinstance(error, NetworkError)
    assert (error.sent, error.response_started) == ("all", False)


async def test_a_reset_in_the_middle_of_an_upload_says_partial():
    def handle(connection):
        connection.recv(1000)
        reset(connection)

    body = Slow([b"x" * 200_000] * 100)
    with serve_raw(handle) as url:
        error = await failure(url, sending(body))
    assert isinstance(error, NetworkError)
    assert error.sent == "partial"


async def test_a_connection_lost_in_the_answer_says_that_it_had_started():
    raw = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"
    with serve_raw(answering(raw)) as url:
        error = await failure(url, sending(HELLO))
    assert isinstance(error, NetworkError)
    assert (error.sent, error.response_started) == ("all", True)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-many: 1\r\n" * 50_000 + b"\r\n",
    ],
)
async def test_whatever_a_server_says_no_library_exception_escapes(raw):
    with serve_raw(answering(raw)) as url:
        error = await failure(url, sending(HELLO))
    assert isinstance(error, NetworkError)
    assert error.sent == "all"


class Slow:
    """A body that yields its pieces and then does as told."""

    content_type = "application/octet-stream"

    def __init__(self, pieces, *, then=None, length=None):
        self.pieces = pieces
        self.then = then
        self.length = length or sum(len(piece) for piece in pieces)

    async def chunks(self):
        for piece in self.pieces:
            yield piece
        if self.then is not None:
            raise self.then


async def test_a_file_that_cannot_be_read_while_it_is_sent_is_the_error_that_is_raised():
    lost = MediaError("data could not be read to its end.", field="data")
    body = Slow([b"x" * 1000], then=lost, length=5000)
    with serve_raw(answering(OK)) as url:
        error = await failure(url, sending(body))
    assert error is lost


async def test_progress_counts_the_bytes_handed_over_and_a_broken_callback_stops_nothing():
    seen = []

    def progress(sent, total):
        seen.append((sent, total))
        if len(seen) == 2:
            raise RuntimeError("closed")

    body = Slow([b"x" * 1000] * 4)
    with serve_raw(answering(OK)) as url:
        answer = await exchange(url, sending(body, on_progress=progress))
    assert answer.head.status == 200
    assert seen == [(1000, 4000), (2000, 4000)]


# --- time -----------------------------------------------------------------------------------


async def test_a_drip_of_bytes_does_not_outlive_the_calls_own_deadline():
    def handle(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    with serve_raw(handle) as url:
        error = await failure(url, get(total_s=0.3))
    assert isinstance(error, DeadlineError)
    assert isinstance(error, TimeoutError)
    assert (error.sent, error.response_started) == ("all", True)


async def test_silence_ends_with_the_read_timeout():
    def handle(connection):
        read_request(connection)
        time.sleep(2)

    with serve_raw(handle) as url:
        error = await failure(url, get())
    assert isinstance(error, NetworkError)
    assert not isinstance(error, DeadlineError)


async def test_an_upload_that_stops_moving_is_given_up():
    def handle(connection):
        connection.recv(100)
        time.sleep(2)

    body = Slow([b"x" * 1_000_000] * 30)
    with serve_raw(handle) as url:
        error = await failure(url, sending(body))
    assert isinstance(error, NetworkError)
    assert error.sent == "partial"
    assert "stopped moving" in error.message


async def test_a_crawling_download_is_given_up_by_the_clock():
    clock = ManualClock()
    evidence = []

    async def chunks():
        for _ in range(100):
            await clock.advance(10.0)
            yield b"x" * 1000

    with pytest.raises(NetworkError, match="100 bytes a second"):
        async for chunk in fast_enough(chunks(), clock, "host"):
            evidence.append(chunk)
    assert len(evidence) == 2


async def test_a_fast_enough_download_is_left_alone():
    clock = ManualClock()

    async def chunks():
        for _ in range(20):
            await clock.advance(10.0)
            yield b"x" * 400_000

    assert len([chunk async for chunk in fast_enough(chunks(), clock, "host")]) == 20


async def test_waiting_for_a_free_slot_has_its_own_limit(monkeypatch):
    release = asyncio.Event()
    monkeypatch.setattr("decart_lab._http.MAX_IN_FLIGHT", 2)

    async def hold(head, chunks):
        await release.wait()

    with serve_raw(answering(OK)) as url:
        http = Http(url, key=None, user_agent="test", timeouts=QUICK)
        busy = [asyncio.ensure_future(http.exchange(get(receive=hold))) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(NetworkError, match="slot") as caught:
            await http.exchange(get())
        assert caught.value.sent == "none"
        release.set()
        await asyncio.gather(*busy)
        assert (await http.exchange(get())).head.status == 200
        await http.aclose()


async def test_the_pool_survives_cancelled_calls():
    def handle(connection):
        while True:
            head, _ = read_request(connection)
            if not head:
                return
            time.sleep(0.01)
            connection.sendall(OK)

    with serve_raw(handle) as url:
        http = Http(url, key=None, user_agent="test", timeouts=QUICK)
        for _ in range(5):
            calls = [asyncio.ensure_future(http.exchange(get())) for _ in range(130)]
            await asyncio.sleep(0.01)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert (await http.exchange(get())).head.status == 200
        await http.aclose()


# --- bounds ---------------------------------------------------------------------------------


def chunked(pieces):
    def handle(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in pieces:
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")

    return handle


async def test_a_body_beyond_its_cap_is_not_taken_in():
    with serve_raw(chunked([b"x" * 100_000] * 50)) as url:
        error = await failure(url, get())
    assert isinstance(error, ResponseError)
    assert f"{MAX_JSON:,}" in error.message


async def test_of_an_errors_body_only_the_beginning_is_kept():
    raw = b"HTTP/1.1 500 No\r\ncontent-length: 500000\r\n\r\n" + b"x" * 500_000
    with serve_raw(answering(raw)) as url:
        answer = await exchange(url, get())
    assert (answer.head.status, len(answer.body)) == (500, MAX_ERROR)


async def test_an_errors_status_counts_even_when_its_body_breaks_off():
    raw = b"HTTP/1.1 429 No\r\ncontent-length: 500\r\n\r\nslow"
    with serve_raw(answering(raw)) as url:
        answer = await exchange(url, get())
    assert (answer.head.status, answer.body) == (429, b"slow")


def encoded(encoding, body):
    return (
        f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_a_compressed_answer_is_understood_though_we_never_ask_for_one(encoding, pack):
    with serve_raw(answering(encoded(encoding, pack(b'{"job_id": "j"}')))) as url:
        assert (await exchange(url, get())).body == b'{"job_id": "j"}'


async def test_a_compression_bomb_is_refused_before_it_unfolds():
    bomb = gzip.compress(b"\0" * 200_000_000)
    with serve_raw(answering(encoded("gzip", bomb))) as url:
        error = await failure(url, get(max_bytes=10**9))
    assert isinstance(error, ResponseError)


@pytest.mark.parametrize("raw", [encoded("gzip", b"not gzip"), encoded("br", b"x")])
async def test_damaged_and_unknown_encodings_are_refused(raw):
    with serve_raw(answering(raw)) as url:
        assert isinstance(await failure(url, get()), ResponseError)


# --- redirects, connections, loops ----------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status):
    visits = []

    def elsewhere(connection):
        visits.append(read_request(connection))
        connection.sendall(OK)

    with serve_raw(elsewhere) as target:
        raw = f"HTTP/1.1 {status} Go\r\nlocation: {target}/y\r\ncontent-length: 0\r\n\r\n".encode()
        with serve_raw(answering(raw)) as url:
            answer = await exchange(url, sending(HELLO), key=Secret("dct_0123456789"))
    assert answer.head.status == status
    assert visits == []


async def test_a_paid_request_never_rides_on_a_used_connection():
    connections = []

    def handle(connection):
        requests = 0
        connections.append(connection)
        while read_request(connection)[0]:
            requests += 1
            connection.sendall(OK)

    with serve_raw(handle) as url:
        http = Http(url, key=None, user_agent="test", timeouts=QUICK)
        for _ in range(3):
            await http.exchange(get())
        assert len(connections) == 1
        for _ in range(3):
            await http.exchange(sending(HELLO, once=True))
        assert len(connections) == 4
        await http.aclose()


async def test_no_connection_is_left_open(recwarn):
    with serve_raw(answering(OK)) as url:
        await exchange(url, get())
        await exchange(url, sending(HELLO, once=True))
        await failure(url, sending(HELLO, once=True, total_s=0.0001))
    gc.collect()
    assert [str(w.message) for w in recwarn if issubclass(w.category, ResourceWarning)] == []


def test_a_client_belongs_to_one_loop_and_says_so():
    with serve_raw(answering(OK)) as url:
        http = Http(url, key=None, user_agent="test", timeouts=QUICK)
        first = asyncio.new_event_loop()
        first.run_until_complete(http.exchange(get()))
        with pytest.raises(DecartSDKError, match="another event loop"):
            asyncio.run(http.exchange(get()))
        first.run_until_complete(http.aclose())
        with pytest.raises(DecartSDKError, match="closed"):
            first.run_until_complete(http.exchange(get()))
        first.close()


async def test_environment_proxies_are_not_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serve_raw(answering(OK)) as url:
        assert (await exchange(url, get())).head.status == 200


# --- where a key may go ---------------------------------------------------------------------

LOCAL = [
    "http://127.0.0.1:8765",
    "http://localhost:8765",
    "http://[::1]:8765",
    "http://127.9.9.9",
    "https://example.com",
    "https://api.decart.ai",
]
ELSEWHERE = [
    "http://example.com",
    "http://api.decart.ai",
    "http://127.0.0.1.example.com",
    "http://localhost.example.com",
    "http://0.0.0.0:8765",
    "http://127.1",
    "http://2130706433",
    "http://0x7f.0.0.1",
    "http://127.0.0.999",
    "http://[::ffff:10.0.0.1]",
    "http://192.168.1.5:8765",
    "http://169.254.169.254",
]


@pytest.mark.parametrize("url", LOCAL)
def test_a_key_goes_to_https_and_to_this_machine(url):
    Http(url, key=Secret("dct_0123456789"), user_agent="test")


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_key_goes_nowhere_else_in_clear(url):
    assert not is_loopback(url)
    with pytest.raises(InvalidBaseURLError, match="unencrypted"):
        Http(url, key=Secret("dct_0123456789"), user_agent="test")
    Http(url, key=None, user_agent="test")


@pytest.mark.parametrize("once", [False, True])
async def test_a_cookie_that_is_given_is_never_sent_back(once):
    seen = []

    def handle(connection):
        while head := read_request(connection)[0]:
            seen.append(head.lower())
            connection.sendall(OK.replace(b"\r\n\r\n", b"\r\nset-cookie: a=b\r\n\r\n", 1))

    with serve_raw(handle) as url:
        named = url.replace("127.0.0.1", "localhost")  # a jar keeps none for a bare address
        http = Http(named, key=None, user_agent="test", timeouts=QUICK)
        for _ in range(2):
            await http.exchange(sending(HELLO, once=once))
        await http.aclose()
    assert len(seen) == 2
    assert [head for head in seen if b"cookie" in head] == []
