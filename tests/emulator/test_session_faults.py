"""What the faults of realtime sessions really do, seen by a client that has no help of ours."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from decart_lab.emulator import emulator
from decart_lab.emulator.fault_rows import FAULTS
from tests.emulator.test_sessions_stream import closed, hear, join, say, talking
from tests.helpers.calling import (
    PATH,
    an_offer,
    asked,
    browsing,
    calling,
    connect,
    create,
    until,
)
from tests.helpers.rest import KEY

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def running():
    with emulator(session_limit=None, restart_s=3.0) as emu:
        yield emu


@pytest.fixture
def emu(running):
    yield running
    running.faults.clear()
    # What this test left running would meet the next one's fault.
    for name in [key for key, session in running.sessions.items() if not session.log.closed]:
        httpx.delete(f"{running.url}{PATH}/{name}", headers=KEY)


@pytest.fixture(scope="module")
def offer():
    return asyncio.run(an_offer())


@pytest.fixture
async def http(emu):
    async with browsing(emu.url) as http:
        yield http


def test_the_faults_of_sessions_are_in_the_table_with_what_they_must_provoke():
    rows = [fault for fault in FAULTS.values() if fault.hook == "session"]
    assert {fault.name for fault in rows} == {
        "session_unavailable",
        "slow_start",
        "queue_position",
        "ice_drop",
        "ice_restart",
        "ice_restart_fails",
        "sse_cut",
        "etag_storm",
        "frozen_media",
        "packet_loss",
        "socket_closed",
        "server_killed",
        "session_ended",
    }
    words = {"unharmed", "recovered", "replaced", "ended", "refused"}
    assert {o.status for fault in rows for o in fault.outcomes.values()} == words


# -- creation ------------------------------------------------------------------------------------


async def test_no_room_says_when_to_come_back(emu, http, offer):
    emu.faults.add("session_unavailable", times=1, retry_after_s=7)
    before = len(emu.ledger)
    answer = await http.post(PATH, json=asked(offer))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.json()["type"].endswith("/unavailable")
    assert len(emu.ledger) == before
    await http.delete((await create(http, offer)).path)


async def test_no_room_on_a_socket_closes_it_with_1013(emu):
    emu.faults.add("session_unavailable", times=1)
    async with talking(emu) as socket:
        assert "No machine is free" in (await hear(socket, "error"))["error"]
        assert await closed(socket) == 1013


async def test_a_slow_start_sends_nothing_before_its_time(emu, http):
    emu.faults.add("slow_start", wait_s=1.0)
    async with calling() as call:
        begun = time.monotonic()
        live = await connect(http, call)
        await live.events(until="generation_started")
        assert time.monotonic() - begun >= 0.9
        await until(lambda: call.frames)
        await http.delete(live.path)


async def test_a_queue_says_where_it_stands_and_lets_nobody_in_before(emu):
    emu.faults.add("queue_position", positions=3, each_s=0.2)
    async with talking(emu) as socket, calling() as call:
        await say(socket, "prompt", prompt="ink")
        places = [await hear(socket, "queue_position") for _ in range(3)]
        assert [(told["position"], told["queue_size"]) for told in places] == [
            (3, 3),
            (2, 3),
            (1, 3),
        ]
        assert (await hear(socket, "prompt_ack"))["success"] is True
        await join(socket, call)


async def test_over_http_the_answer_waits_in_the_queue(emu, http, offer):
    emu.faults.add("queue_position", positions=2, each_s=0.3)
    begun = time.monotonic()
    live = await create(http, offer)
    assert time.monotonic() - begun >= 0.55
    await http.delete(live.path)


async def test_a_storm_of_etags_passes(emu, http, offer):
    emu.faults.add("etag_storm", patches=3)
    live = await create(http, offer)
    statuses, tags = [], set()
    for _ in range(5):
        tag = (await http.get(live.path)).headers["etag"]
        tags.add(tag)
        body = {"candidates": [None]}
        answer = await http.patch(live.path, json=body, headers={"If-Match": tag})
        statuses.append(answer.status_code)
    assert statuses == [412, 412, 412, 204, 204]
    assert len(tags) == 5  # somebody else was first each time


# -- while it runs -------------------------------------------------------------------------------


async def test_a_cut_stream_can_be_taken_up_and_has_lost_nothing(emu, http):
    async with calling() as call:
        live = await connect(http, call)
        emu.faults.add("sse_cut", after_s=0.5, times=1)
        before = []
        with pytest.raises(httpx.TransportError):
            async with asyncio.timeout(20):
                async for event in live.listen():
                    before.append(event)
        after = await live.events(last_id=before[-1][0], until="generation_tick")
        ids = [number for number, *_ in before + after]
        assert ids == list(range(1, len(ids) + 1))
        assert len(call.frames) > 3
        await http.delete(live.path)


async def test_a_dropped_connection_sends_nothing_more(emu, http):
    async with calling() as call:
        live = await connect(http, call)
        await until(lambda: len(call.frames) > 5)
        emu.faults.add("ice_drop", after_s=0)
        await until(lambda: emu.faults._armed[0].struck)
        await asyncio.sleep(0.5)
        frozen = len(call.frames)
        await asyncio.sleep(0.7)
        assert len(call.frames) == frozen
        async with calling() as second:  # a new connection brings it back
            body = {"sdp": {"type": "offer", "sdp": await second.offer()}}
            answer = await http.patch(live.path, json=body, headers={"If-Match": "*"})
            await second.accept(answer.json()["sdp"]["sdp"])
            await until(lambda: len(second.frames) > 3)
        await http.delete(live.path)


async def test_a_restart_that_is_asked_for_helps(emu, http):
    emu.faults.add("ice_restart", after_s=0.2)
    async with calling() as call, calling() as second:
        live = await connect(http, call)
        told = await live.events(until="ice-restart")
        assert told[-1][2] == {"ice_servers": []}
        assert (await http.get(live.path)).json()["status"] == "reconnecting"
        body = {"sdp": {"type": "offer", "sdp": await second.offer()}}
        answer = await http.patch(live.path, json=body, headers={"If-Match": "*"})
        await second.accept(answer.json()["sdp"]["sdp"])
        await until(lambda: len(second.frames) > 3)
        session = emu.sessions[live.id]
        await until(lambda: session.state == "generating")
        await asyncio.sleep(3.5)  # beyond the time that an answer may take
        assert not session.log.closed
        await http.delete(live.path)


async def test_a_restart_that_nobody_answers_ends_the_session(emu, http):
    emu.faults.add("ice_restart", after_s=0.2)
    async with calling() as call:
        live = await connect(http, call)
        told = await live.events()
        assert told[-1][2]["reason"] == "ice_failure"


async def test_a_restart_that_does_not_help_ends_the_session(emu, http):
    emu.faults.add("ice_restart_fails", after_s=0.2)
    async with calling() as call, calling() as second:
        live = await connect(http, call)
        told = await live.events(until="ice-restart")
        body = {"sdp": {"type": "offer", "sdp": await second.offer()}}
        answer = await http.patch(live.path, json=body, headers={"If-Match": "*"})
        assert answer.status_code == 200
        told = await live.events(last_id=told[-1][0])
        assert told[-1][2]["reason"] == "ice_failure"


async def test_frozen_media_thaws_by_itself_or_when_the_fault_is_cleared(emu, http):
    async with calling() as call:
        live = await connect(http, call)
        await until(lambda: len(call.frames) > 5)
        emu.faults.add("frozen_media", after_s=0, for_s=60)
        await until(lambda: emu.faults._armed[0].struck)
        await asyncio.sleep(0.5)
        frozen = len(call.frames)
        await asyncio.sleep(0.5)
        assert len(call.frames) <= frozen + 1
        emu.faults.clear()
        await until(lambda: len(call.frames) > frozen + 5)
        await http.delete(live.path)


async def test_packets_are_lost_at_the_rate_that_was_asked_for(emu, http):
    async with calling() as call:
        live = await connect(http, call)
        emu.faults.add("packet_loss", share=0.2)
        await until(lambda: len(call.frames) > 60, limit_s=20)
        peer = emu.sessions[live.id].peer
        assert peer.lost > 5
        await http.delete(live.path)


async def test_a_socket_is_closed_with_the_code(emu):
    emu.faults.add("socket_closed", after_s=0.2)
    async with talking(emu) as socket, calling() as call:
        await join(socket, call)
        assert await closed(socket) == 1013


@pytest.mark.parametrize("reason", ["moderation_violation", "insufficient_credits", "a new word"])
async def test_a_session_ends_for_any_reason(emu, http, reason):
    emu.faults.add("session_ended", after_s=0.2, reason=reason)
    async with calling() as call:
        live = await connect(http, call)
        told = await live.events()
        assert told[-1][2]["reason"] == reason
        [entry] = [entry for entry in emu.ledger if entry.session_id == live.id]
        assert entry.reason == reason


async def test_a_killed_server_forgets_sessions_and_comes_back():
    with emulator() as emu:
        emu.faults.add("server_killed", after_s=0.2, for_s=0.5, times=1)
        async with browsing(emu.url) as http, calling() as call:
            live = await connect(http, call)
            with pytest.raises(httpx.TransportError):
                await live.events()
            with pytest.raises(httpx.ConnectError):
                await http.get("/health")

            for _ in range(100):
                try:
                    answer = await http.get(live.path)
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
                else:
                    break
            assert answer.status_code == 404
            seen = len(call.frames)
            assert (await http.get("/v1/realtime/quota")).json()["active"] == 0
            async with calling() as second:
                again = await connect(http, second)
                await until(lambda: len(second.frames) > 3)
                await http.delete(again.path)
            assert len(call.frames) <= seen + 50
        assert len(emu.ledger) == 2


async def test_a_fault_strikes_so_many_sessions_and_each_once(emu, http, offer):
    emu.faults.add("session_ended", after_s=0, times=2, after=1)
    for wanted in (False, True, True, False):
        async with calling() as call:
            live = await connect(http, call)
            await live.events(until="generation_started")
            session = emu.sessions[live.id]
            if wanted:
                await until(lambda s=session: s.log.closed)
            else:
                await asyncio.sleep(0.4)
                assert not session.log.closed
                await http.delete(live.path)
    [armed] = emu.faults
    assert armed.struck == 2


async def test_a_session_that_goes_on_is_not_struck_again(emu, http):
    async with calling() as call:
        live = await connect(http, call)
        emu.faults.add("sse_cut", after_s=0)
        await live_for(emu.sessions[live.id], 1)
        [armed] = emu.faults
        assert armed.struck == 1
        await http.delete(live.path)


async def live_for(session, seconds: int) -> None:
    """Wait until a session has been charged for so many seconds."""
    await until(lambda: session.seconds >= seconds)


async def test_it_is_armed_over_http_and_by_a_line_too(emu, http, offer):
    control = "/_emulator/faults"
    made = await http.post(control, json={"fault": "session_unavailable:times=1"})
    assert made.status_code == 201
    assert (await http.post(PATH, json=asked(offer))).status_code == 503
    with emulator(faults=["session_unavailable:times=1,retry_after_s=2"]) as other:
        async with browsing(other.url) as there:
            answer = await there.post(PATH, json=asked(offer))
            assert answer.headers["retry-after"] == "2"
