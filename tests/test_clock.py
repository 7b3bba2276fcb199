"""Clocks: real, hurried, and moved by hand."""

import pytest

from decart_lab._clock import AcceleratedClock, ManualClock, RealClock

pytestmark = pytest.mark.anyio


async def test_a_manual_clock_wakes_sleepers_in_order_and_only_when_moved():
    import asyncio

    clock = ManualClock()
    woken = []

    async def sleeper(name, seconds):
        await clock.sleep(seconds)
        woken.append((name, clock.now()))

    tasks = [asyncio.create_task(sleeper("b", 2)), asyncio.create_task(sleeper("a", 1))]
    await clock.advance(0.5)
    assert woken == []
    await clock.advance(5)
    assert woken == [("a", 1), ("b", 2)]
    await asyncio.gather(*tasks)
    assert (clock.utc() - ManualClock().utc()).total_seconds() == 5.5


async def test_an_accelerated_clock_sleeps_a_fraction_of_its_own_seconds():
    clock, real = AcceleratedClock(1000), RealClock()
    before, began = clock.now(), real.now()
    await clock.sleep(20)
    assert clock.now() - before >= 20
    assert real.now() - began < 20


def test_a_speed_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        AcceleratedClock(0)
