"""How sessions end, with what reason, and what they have cost then."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref

import pytest

from decart_lab.emulator import emulator
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

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def offer():
    return asyncio.run(an_offer())


async def ended(live) -> dict:
    """Return what the session said last."""
    return (await live.events())[-1][2]


async def test_its_greatest_length_ends_it(offer):
    with emulator(session_s=1.0) as emu:
        async with browsing(emu.url) as http, calling() as call:
            live = await connect(http, call)
            told = await ended(live)
            assert told["reason"] == "timeout"
            assert (await http.get(live.path)).status_code == 404
        [entry] = emu.ledger
        assert (entry.reason, entry.seconds) == ("timeout", told["seconds"])


async def test_a_client_token_can_shorten_it(offer):
    with emulator(speed=10) as emu:
        async with browsing(emu.url) as http:
            constraints = {"realtime": {"maxSessionDuration": 10}}
            made = await http.post("/v1/client/tokens", json={"constraints": constraints})
            async with browsing(emu.url, made.json()["apiKey"]) as page:
                live = await create(page, offer)
                assert (await ended(live))["reason"] == "timeout"
            long = await create(http, offer)
            assert (await http.get(long.path)).status_code == 200


async def test_silence_ends_it_and_is_billed_no_longer_than_the_limit():
    with emulator(idle_s=1.5) as emu:
        async with browsing(emu.url) as http:
            async with calling() as call:
                live = await connect(http, call)
                await until(lambda: len(call.frames) > 3)
            [entry] = emu.ledger
            at_loss = entry.seconds
            told = await ended(live)  # the client has gone without a word
            assert told["reason"] == "timeout"
            assert told["seconds"] <= at_loss + 1.5 + 1


async def test_a_client_that_never_sends_media_is_silent(offer):
    with emulator(idle_s=1.0) as emu:
        async with browsing(emu.url) as http:
            live = await create(http, offer)
            assert await ended(live) == {"seconds": 0, "reason": "timeout"}
        assert emu.ledger.total == 0


async def test_the_credits_run_out():
    # Two seconds at 0.02 USD.
    with emulator(credits=0.04) as emu:
        async with browsing(emu.url) as http:
            async with calling() as call:
                live = await connect(http, call)
                assert await ended(live) == {"seconds": 2, "reason": "insufficient_credits"}
            async with calling() as call:
                answer = await http.post(PATH, json=asked(await call.offer()))
                assert answer.status_code == 402
                assert answer.json()["type"].endswith("/insufficient-credits")
        assert len(emu.ledger) == 1
        assert emu.ledger.total == pytest.approx(0.04)


async def test_the_fast_tier_costs_twice_as_much():
    with emulator() as emu:
        async with browsing(emu.url) as http, calling() as call:
            live = await connect(http, call, model="lucy-2.5", speed="fast")
            await live.events(until="generation_tick")
            seconds = (await http.delete(live.path)).json()["seconds"]
        assert emu.ledger.total == pytest.approx(0.04 * seconds)


async def test_a_model_without_a_price_is_listed_without_one():
    with emulator() as emu:
        async with browsing(emu.url) as http, calling() as call:
            live = await connect(http, call, model="lucy-2.6")
            await live.events(until="generation_tick")
        assert [entry.price for entry in emu.ledger] == [None]


async def test_the_end_of_the_server_is_told(offer, caplog):
    emu = emulator().start()
    async with browsing(emu.url) as http:
        live = await create(http, offer)
        reading = asyncio.ensure_future(live.events(until=""))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(emu.stop)
        told = await reading
    assert told[-2][1:] == ("generation_ended", {"seconds": 0, "reason": "error"})
    assert told[-1] == (0, "", {})
    # Told in time: uvicorn had no stream left to cancel.
    assert [row.getMessage() for row in caplog.records if row.levelno >= logging.ERROR] == []


async def test_what_it_cost_outlives_the_server(tmp_path):
    with emulator(state=tmp_path) as emu:
        async with browsing(emu.url) as http, calling() as call:
            live = await connect(http, call)
            await live.events(until="generation_tick")
        before = [entry.session_id for entry in emu.ledger]
    with emulator(state=tmp_path) as emu:
        [entry] = emu.ledger
        assert [entry.session_id] == before
        assert entry.seconds >= 1
        assert entry.reason == "error"
        async with browsing(emu.url) as http:
            assert (await http.get(live.path)).status_code == 404
            quota = (await http.get("/v1/realtime/quota")).json()
            assert quota == {"limit": 5, "active": 0, "remaining": 5}


# -- the quota -----------------------------------------------------------------------------------


async def test_the_quota_counts_sessions_that_run(offer):
    with emulator(session_limit=2) as emu:
        async with browsing(emu.url) as http:
            one, two = await create(http, offer), await create(http, offer)
            quota = (await http.get("/v1/realtime/quota")).json()
            assert quota == {"limit": 2, "active": 2, "remaining": 0}
            full = await http.post(PATH, json=asked(offer))
            assert full.status_code == 503
            assert full.headers["retry-after"] == "5"
            assert full.json()["detail"] == "Concurrent session limit reached."
            assert len(emu.ledger) == 2
            await http.delete(one.path)
            three = await create(http, offer)
            for live in (two, three):
                await http.delete(live.path)
            quota = (await http.get("/v1/realtime/quota")).json()
            assert quota == {"limit": 2, "active": 0, "remaining": 2}


async def test_many_at_once_are_never_more_than_the_quota(offer):
    with emulator(session_limit=3) as emu:
        async with browsing(emu.url) as http:
            answers = await asyncio.gather(*(http.post(PATH, json=asked(offer)) for _ in range(10)))
            statuses = sorted(answer.status_code for answer in answers)
            assert statuses == [201] * 3 + [503] * 7
            assert len(emu.ledger) == 3


async def test_fifty_sessions_leave_nothing_running(offer):
    with emulator(session_limit=None) as emu:
        async with browsing(emu.url) as http:
            await http.delete((await create(http, offer)).path)
            before = threading.active_count()
            for _ in range(50):
                live = await create(http, offer)
                assert (await http.delete(live.path)).status_code == 200
            assert all(session.log.closed for session in emu.sessions.values())
            await until(lambda: threading.active_count() <= before + 2)


async def test_an_ended_session_keeps_neither_its_peer_nor_its_painter():
    with emulator() as emu:
        async with browsing(emu.url) as http:
            async with calling() as call:
                live = await connect(http, call)
                await until(lambda: len(call.frames) > 3)
                session = emu.sessions[live.id]
                held = [weakref.ref(session.peer), weakref.ref(session._painter)]
                await http.delete(live.path)

            def let_go() -> bool:
                gc.collect()
                return all(ref() is None for ref in held)

            await until(let_go)
            assert emu.sessions[live.id] is session
