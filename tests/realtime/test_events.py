"""Events reach whoever listens, and wait for who comes late."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from decart_lab.errors import InvalidInputError
from decart_lab.realtime.events import WAITING, Bus, SessionEvent


def _event(name: str, data: object = None) -> SessionEvent:
    return SessionEvent(name, data, datetime.now(UTC))


def _bus() -> Bus:
    return Bus(lambda handler, data: handler(data))


def test_a_first_handler_is_told_what_came_before_it() -> None:
    bus, heard = _bus(), []
    bus.tell(_event("generation_tick", 1))
    bus.on("generation_tick", heard.append)
    bus.tell(_event("generation_tick", 2))
    assert heard == [1, 2]


def test_a_second_handler_begins_with_the_next_event() -> None:
    bus, heard = _bus(), []
    bus.on("error", lambda _: None)
    bus.tell(_event("error", "early"))
    bus.on("error", heard.append)
    bus.tell(_event("error", "late"))
    assert heard == ["late"]


def test_a_handler_that_was_taken_away_is_not_called() -> None:
    bus, heard = _bus(), []
    bus.on("error", heard.append)
    bus.off("error", heard.append)
    bus.off("error", heard.append)
    bus.tell(_event("error", "x"))
    assert heard == []


def test_an_unknown_event_is_refused_with_the_list() -> None:
    with pytest.raises(InvalidInputError, match="generation_tick"):
        _bus().on("tick", print)


def test_what_waits_is_bounded() -> None:
    bus, heard = _bus(), []
    for number in range(WAITING + 50):
        bus.tell(_event("error", number))
    bus.on("error", heard.append)
    assert heard == list(range(50, WAITING + 50))


async def test_an_iteration_sees_everything_from_the_beginning_to_the_end() -> None:
    bus = _bus()
    bus.tell(_event("connection_change", "connecting"))

    async def read() -> list[object]:
        return [event.data async for event in bus.read()]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    bus.tell(_event("connection_change", "connected"))
    bus.tell(_event("connection_change", "disconnected"))
    bus.end()
    assert await reading == ["connecting", "connected", "disconnected"]


async def test_a_slow_reader_does_not_keep_others_waiting() -> None:
    bus = _bus()
    slow = bus.read()
    bus.tell(_event("error", 0))
    await anext(slow)
    for number in range(3 * WAITING):
        bus.tell(_event("error", number))
    assert (await anext(slow)).data == 2 * WAITING  # the oldest that were not read are gone
