"""The key is in no repr, text, traceback or log line, wherever a call breaks."""

from __future__ import annotations

import asyncio
import copy
import gc
import io
import json
import logging
import pickle
import traceback

import pytest

from decart_lab import DecartClient
from decart_lab._wire import Timeouts
from decart_lab.errors import DecartSDKError

from ..helpers.serve import read_request, reset, serve_raw

KEY = "dct_canary0123456789abcdef"
QUICK = Timeouts(connect_s=1, read_s=0.3, write_s=0.3, call_s=0.5, process_s=0.6, upload_s=0.6)

JSON = b"content-type: application/json\r\n"
ANSWERS = {
    "refused": b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n",
    "echo": b"HTTP/1.1 422 No\r\ncontent-length: 20\r\n\r\nX-API-KEY not allowed",
    "redirect": b"HTTP/1.1 307 Go\r\nlocation: https://x.example/\r\ncontent-length: 0\r\n\r\n",
    "short": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
    "not json": b"HTTP/1.1 200 OK\r\n" + JSON + b"content-length: 2\r\n\r\n{]",
    "not http": b"SSH-2.0-OpenSSH\r\n",
    "encoded": b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 1\r\n\r\nx",
    "silence": b"",
    "chunks": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz",
}


def everything_shown(error):
    """Every text a person or a tool might make of an exception, its causes and contexts."""
    shown = []
    seen = set()
    queue = [error]
    while queue:
        one = queue.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        queue += [one.__cause__, one.__context__]
        whole = traceback.TracebackException.from_exception(one, capture_locals=True)
        shown += [str(one), repr(one), repr(vars(one)), repr(one.args), "".join(whole.format())]
        frame = one.__traceback__
        while frame is not None:
            # As deep as IPython's verbose mode and error reporters go: attributes of locals.
            if "/decart_lab/" in frame.tb_frame.f_code.co_filename:
                shown.append(repr(deep(frame.tb_frame.f_locals)))
            frame = frame.tb_next
    return "\n".join(shown)


def deep(values, level=2):
    """Locals with the attributes of each, some levels down."""
    if level == 0:
        return repr(values)
    return {
        name: (repr(value), deep(getattr(value, "__dict__", {}), level - 1))
        for name, value in dict(values).items()
        if not name.startswith("__")
    }


async def calls(client, cat, name):
    """Every operation that reaches the network, with its arguments."""
    yield lambda: client.process(model="lucy-image-2", prompt="x", data=cat)
    yield lambda: client.queue.submit(
        model="lucy-image-2", prompt="x", data=cat, image_route="queue"
    )
    yield lambda: client.queue.status("job_1")
    yield lambda: client.queue.wait("job_1", timeout_s=0.7)
    yield lambda: client.queue.result("job_1")
    yield lambda: client.tokens.create()
    yield lambda: client.files.upload(cat)
    yield lambda: client.files.get("file_1")
    if name != "not json":  # whose answer is not looked at
        yield lambda: client.files.delete("file_1")
    yield lambda: client.models.resolve("lucy-latest")
    yield lambda: client.realtime.quota()


@pytest.mark.anyio
@pytest.mark.parametrize("name", ANSWERS)
async def test_no_failure_of_any_operation_shows_the_key(name, cat, caplog, capfd, clock):
    caplog.set_level(logging.DEBUG)

    def handle(connection):
        head, _ = read_request(connection)
        assert not head or KEY.encode() in head
        connection.sendall(ANSWERS[name])
        if name == "silence":
            reset(connection)

    logged = io.StringIO()
    logger = logging.getLogger("decart_lab.test")
    logger.addHandler(logging.StreamHandler(logged))
    failures = 0
    with serve_raw(handle) as url:
        async with DecartClient(
            KEY, base_url=url, timeouts=QUICK, logger=logger, clock=clock
        ) as client:
            async for call in calls(client, cat, name):
                with pytest.raises(DecartSDKError) as caught:
                    await call()
                failures += 1
                assert KEY not in everything_shown(caught.value)
    assert failures >= 10
    assert logged.getvalue()
    assert KEY not in logged.getvalue() + caplog.text + "".join(capfd.readouterr())


@pytest.mark.anyio
async def test_neither_a_deadline_nor_a_cancellation_shows_the_key(cat):
    def handle(connection):
        read_request(connection)
        connection.recv(1)

    with serve_raw(handle) as url:
        async with DecartClient(KEY, base_url=url, timeouts=QUICK) as client:
            with pytest.raises(DecartSDKError) as caught:
                await client.queue.status("job_1")
            assert KEY not in everything_shown(caught.value)
            task = asyncio.ensure_future(client.process(model="lucy-image-2", prompt="x", data=cat))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
            assert KEY not in everything_shown(cancelled.value)


@pytest.mark.anyio
async def test_no_public_object_shows_the_key():
    client = DecartClient(KEY, base_url="http://127.0.0.1:1")
    reachable = [client]
    for thing in reachable[:]:
        reachable += [value for value in vars(thing).values() if hasattr(value, "__dict__")]
    for thing in reachable:
        for text in (
            repr(thing),
            str(thing),
            f"{thing}",
            repr(vars(thing)),
            repr(deep(vars(thing), 3)),
        ):
            assert KEY not in text
    for dump in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            dump(client._key)
    await client.aclose()


def test_a_dead_client_leaves_no_message_with_the_key(capfd):
    async def main():
        client = DecartClient(KEY, base_url="http://127.0.0.1:1", timeouts=QUICK)
        with pytest.raises(DecartSDKError):
            await client.realtime.quota()
        del client

    asyncio.run(main())
    gc.collect()
    assert KEY not in "".join(capfd.readouterr())
