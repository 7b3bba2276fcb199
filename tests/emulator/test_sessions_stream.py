"""The WebSocket dialect, spoken by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidStatus

from decart_lab.emulator import emulator
from tests.helpers.calling import Call, browsing, calling, until
from tests.helpers.clips import still

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def emu():
    with emulator(allow_origins=["https://app.example"]) as emu:
        yield emu


@asynccontextmanager
async def talking(
    emu, path: str = "/v1/stream", *, key: str = "a-key", model: str = "lucy-2.1", **more: Any
) -> AsyncIterator[ClientConnection]:
    """Open a socket."""
    url = f"{emu.ws_url}{path}?api_key={key}&model={model}&user_agent=test"
    async with dial(url, max_size=2**24, **more) as socket:
        yield socket


async def say(socket: ClientConnection, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind} | fields))


async def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of that kind; others are passed over."""
    async with asyncio.timeout(10):
        while True:
            told = json.loads(await socket.recv())
            if told["type"] == kind:
                return told


async def closed(socket: ClientConnection) -> int:
    """Return the code it is closed with."""
    async with asyncio.timeout(10):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return int(socket.close_code or 0)


async def join(socket: ClientConnection, call: Call) -> None:
    """Negotiate."""
    await say(socket, "offer", sdp=await call.offer())
    await call.accept((await hear(socket, "answer"))["sdp"])


async def test_a_whole_conversation(emu):
    async with talking(emu) as socket, calling() as call:
        assert socket.response.headers["x-decart-emulator"] == "1"
        first = json.loads(await socket.recv())
        assert first["type"] == "session_id"
        assert (first["server_ip"], first["server_port"]) == ("127.0.0.1", emu.port)
        name = first["session_id"]
        assert not [entry for entry in emu.ledger if entry.session_id == name]
        await say(socket, "set_image", image_data=None, prompt=None)
        acked = await hear(socket, "set_image_ack")
        assert acked == {"type": "set_image_ack", "success": True, "error": None}
        await say(socket, "offer", sdp=await call.offer())
        answer = await hear(socket, "answer")
        assert "a=candidate" in answer["sdp"]
        await call.accept(answer["sdp"])
        assert await hear(socket, "generation_started") == {"type": "generation_started"}
        assert (await hear(socket, "generation_tick"))["seconds"] == 1
        await say(socket, "prompt", prompt=" Snow ", enhance_prompt=True)
        acked = await hear(socket, "prompt_ack")
        assert acked == {"type": "prompt_ack", "prompt": " Snow ", "success": True, "error": None}
        await until(lambda: len(call.frames) > 5)
    [entry] = [entry for entry in emu.ledger if entry.session_id == name]
    await until(lambda: entry.reason)
    assert entry.reason == "disconnect"
    assert entry.seconds >= 1


async def test_the_closing_socket_ends_the_session_at_once(emu):
    async with talking(emu) as socket, calling() as call:
        name = (await hear(socket, "session_id"))["session_id"]
        await join(socket, call)
        await hear(socket, "generation_started")
        socket.transport.abort()  # as when the process is killed
        await until(lambda: emu.sessions[name].log.closed, limit_s=3)
        assert emu.sessions[name].reason == "disconnect"


async def test_the_initial_state_is_what_it_begins_with(emu):
    image = base64.b64encode(still("PNG")).decode()
    async with talking(emu) as socket, calling() as call:
        name = (await hear(socket, "session_id"))["session_id"]
        message = {"image_data": image, "prompt": "ink", "enhance_prompt": False}
        await say(socket, "set_image", **message)
        assert (await hear(socket, "set_image_ack"))["success"] is True
        await join(socket, call)
        [entry] = [entry for entry in emu.ledger if entry.session_id == name]
        assert entry.enhanced_prompt == "ink"
        await say(socket, "set_image", image_data=image)  # a prompt that is not said is kept
        await hear(socket, "set_image_ack")
        assert entry.enhanced_prompt == "ink"
        await say(socket, "set_image", image_data=None, prompt=None)
        await hear(socket, "set_image_ack")
        assert entry.enhanced_prompt == ""


@pytest.mark.parametrize(
    ("message", "ack", "says"),
    [
        ({"type": "prompt", "prompt": "[[blocked]]"}, "prompt_ack", "moderation"),
        ({"type": "set_image", "image_data": "aGVsbG8="}, "set_image_ack", ""),
        ({"type": "set_image", "image_data": "..."}, "set_image_ack", "base64"),
        ({"type": "set_image", "image_data": "A" * 10_000_001}, "set_image_ack", "10 MB"),
        ({"type": "set_image", "image_data": 7}, "set_image_ack", "text"),
    ],
    ids=["moderation", "no image", "no base64", "too large", "a number"],
)
async def test_a_refused_change_is_acknowledged_as_such(emu, message, ack, says):
    async with talking(emu) as socket:
        await socket.send(json.dumps(message))
        told = await hear(socket, ack)
        assert told["success"] is False
        assert says in told["error"]
        await say(socket, "prompt", prompt="ink")
        assert (await hear(socket, "prompt_ack"))["success"] is True


NONSENSE = [
    "{",
    "[]",
    "7",
    "",
    "[" * 9999,
    '{"type": "prompt"}',
    '{"type": "offer"}',
    '{"type": "offer", "sdp": 7}',
    '{"type": "offer", "sdp": "v=0"}',
    '{"type": "ice-candidate", "candidate": 7}',
]


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: text[:40] or "nothing")
async def test_nonsense_is_told_and_the_session_goes_on(emu, text):
    async with talking(emu) as socket:
        await socket.send(text)
        assert (await hear(socket, "error"))["error"]
        await say(socket, "prompt", prompt="ink")
        assert (await hear(socket, "prompt_ack"))["success"] is True


@pytest.mark.parametrize("message", [{"type": "nothing"}, {}, {"type": 7}, {"type": "answer"}])
async def test_what_nobody_knows_is_left_alone(emu, message):
    async with talking(emu) as socket:
        await socket.send(json.dumps(message))
        await say(socket, "prompt", prompt="ink")
        told = [json.loads(await socket.recv())["type"] for _ in range(2)]
        assert told == ["session_id", "prompt_ack"]


async def test_candidates_are_taken_in_every_spelling(emu):
    async with talking(emu) as socket, calling() as call:
        await join(socket, call)
        line = "candidate:1 1 UDP 2130706431 127.0.0.1 9 typ host"
        inner = {"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0}
        for given in (inner, None, {"candidate": None}):
            await say(socket, "ice-candidate", candidate=given)
        await say(socket, "prompt", prompt="ink")
        assert (await hear(socket, "prompt_ack"))["success"] is True


async def test_another_offer_brings_another_peer(emu):
    async with talking(emu) as socket, calling() as call:
        await join(socket, call)
        await until(lambda: call.frames)
        async with calling() as second:
            await join(socket, second)
            await until(lambda: len(second.frames) > 3)


async def test_livekit_is_declined(emu):
    async with talking(emu) as socket:
        await say(socket, "livekit_join")
        assert "LiveKit" in (await hear(socket, "error"))["error"]
        assert await closed(socket) == 1008


# -- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"key": ""}, "Invalid API key"),
        ({"key": "invalid"}, "Invalid API key"),
        ({"key": "ek_forged"}, "Invalid API key"),
        ({"model": "mirage"}, "'lucy-restyle-2'"),
        ({"model": "nothing"}, "not served"),
        ({"model": ""}, "model"),
        ({"origin": "https://evil.example"}, "Not allowed"),
    ],
)
async def test_whoever_is_refused_is_told_why_and_then_hung_up_on(emu, given, says):
    async with talking(emu, **given) as socket:
        assert says in (await hear(socket, "error"))["error"]
        assert await closed(socket) == 1008


async def test_a_token_is_held_to_its_origins_and_models(emu):
    async with browsing(emu.url) as http:
        asked = {"allowedOrigins": ["https://app.example"], "allowedModels": ["lucy-2.1"]}
        key = (await http.post("/v1/client/tokens", json=asked)).json()["apiKey"]
    async with talking(emu, key=key, origin="https://app.example") as socket:
        await hear(socket, "session_id")
    async with talking(emu, key=key) as socket:
        await hear(socket, "session_id")
    async with talking(emu, key=key, origin="http://localhost:8888") as socket:
        assert "Not allowed" in (await hear(socket, "error"))["error"]
    async with talking(emu, key=key, model="lucy-2.5") as socket:
        assert "Not allowed" in (await hear(socket, "error"))["error"]


async def test_one_too_many_is_told_to_try_later():
    with emulator(session_limit=1) as emu:
        async with talking(emu) as one:
            await hear(one, "session_id")
            async with talking(emu) as two:
                told = await hear(two, "error")
                assert told["error"] == "Concurrent session limit reached."
                assert await closed(two) == 1013
        async with browsing(emu.url) as http:
            for _ in range(100):
                if (await http.get("/v1/realtime/quota")).json()["active"] == 0:
                    break
                await asyncio.sleep(0.05)
        async with talking(emu) as three:
            await hear(three, "session_id")


async def test_a_host_that_is_not_served_is_turned_away(emu):
    url = f"ws://evil.example:{emu.port}/v1/stream?api_key=k&model=lucy-2.1"
    with pytest.raises(InvalidStatus) as caught:
        async with dial(url, host="127.0.0.1", port=emu.port):
            pass
    assert caught.value.response.status_code == 403


async def test_a_plain_request_finds_nothing_there(emu):
    answer = httpx.get(f"{emu.url}/v1/stream", headers={"x-api-key": "k"})
    assert answer.status_code == 404


async def test_the_end_of_a_session_is_told_before_the_socket_closes():
    with emulator(session_s=1.0) as emu:
        async with talking(emu) as socket, calling() as call:
            await join(socket, call)
            told = await hear(socket, "generation_ended")
            assert told["reason"] == "timeout"
            assert isinstance(told["seconds"], int)
            assert await closed(socket) == 1000


async def test_no_key_of_an_address_is_logged(emu, caplog):
    caplog.set_level("DEBUG")
    key = "dct_a_key_that_is_secret"
    async with talking(emu, key=key) as socket:
        await hear(socket, "session_id")
    served = [row for row in caplog.records if not row.name.startswith("websockets.client")]
    assert key not in "\n".join(row.getMessage() for row in served)


# -- viewers -------------------------------------------------------------------------------------


async def test_a_viewer_watches_and_has_no_say(emu):
    async with talking(emu) as socket, calling() as call:
        name = (await hear(socket, "session_id"))["session_id"]
        await join(socket, call)
        await until(lambda: call.frames)
        watching = talking(emu, f"/subscribe/{name}", model="")
        async with watching as gallery, calling(receive_only=True) as viewer:
            await say(gallery, "prompt", prompt="mine")
            await join(gallery, viewer)
            await until(lambda: len(viewer.frames) > 3)
        [entry] = [entry for entry in emu.ledger if entry.session_id == name]
        assert entry.enhanced_prompt == ""
        assert not emu.sessions[name].log.closed
        await until(lambda: len(call.frames) > 20)


async def test_a_viewer_of_nothing_is_told_so(emu):
    async with talking(emu, "/subscribe/rs_nothing", model="") as gallery:
        assert "Invalid session" in (await hear(gallery, "error"))["error"]
        assert await closed(gallery) == 1008


async def test_a_viewer_hears_of_the_end(emu):
    async with talking(emu) as socket:
        name = (await hear(socket, "session_id"))["session_id"]
        async with talking(emu, f"/subscribe/{name}", model="") as gallery:
            await say(gallery, "offer", sdp="v=0")
            assert "no media yet" in (await hear(gallery, "error"))["error"]
            await socket.close()
            assert (await hear(gallery, "generation_ended"))["reason"] == "disconnect"
            assert await closed(gallery) == 1000
