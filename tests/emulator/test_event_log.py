"""The events of a session: numbered, replayed from anywhere, bounded."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.emulator.event_log import TICK, EventLog, last_event_id

NAMES = st.lists(st.sampled_from([TICK, "ice-candidate", "generation_started"]), max_size=60)


def told(names: list[str], kept: int = 500) -> EventLog:
    log = EventLog(kept)
    for number, name in enumerate(names):
        log.append(name, {"seconds": number})
    return log


@given(NAMES, st.integers(0, 70))
def test_taken_up_anywhere_it_goes_on_where_it_ended(names, last):
    log = told(names)
    before = [event for event in log.after(0) if event.id <= last]
    assert [event.name for event in (*before, *log.after(last))] == names
    ids = [event.id for event in log.after(0)]
    assert ids == sorted(set(ids))


@given(NAMES, st.integers(1, 20))
def test_it_is_bounded_and_old_ticks_go_first(names, kept):
    log = told(names, kept)
    left = [event.name for event in log.after(0)]
    assert len(left) == min(kept, len(names))
    others = [name for name in names if name != TICK]
    if len(others) <= kept:
        assert [name for name in left if name != TICK] == others
    if names and kept > len(others):
        assert log.after(0)[-1].data == {"seconds": len(names) - 1}


@pytest.mark.anyio
async def test_whoever_waits_hears_of_it_at_once_and_of_the_end():
    log = EventLog()
    waiting = asyncio.ensure_future(log.wait(0))
    await asyncio.sleep(0)
    event = log.append("generation_started", {})
    assert await waiting == [event]
    ended = asyncio.ensure_future(log.wait(event.id))
    await asyncio.sleep(0)
    log.close()
    assert await ended == []
    assert await log.wait(0) == [event]


@pytest.mark.anyio
async def test_a_cut_throws_out_those_who_listen_and_nobody_else():
    log = EventLog()
    waiting = asyncio.ensure_future(log.wait(0))
    await asyncio.sleep(0)
    log.cut()
    assert await waiting == []
    later = asyncio.ensure_future(log.wait(0))
    await asyncio.sleep(0)
    assert not later.done()
    log.close()
    await later


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "٣", "9" * 40, None, "1 2"])
def test_an_id_that_is_none_of_ours_asks_for_everything(value):
    assert last_event_id(value) == 0
