"""An emulator, a client of it, and short sessions on a small picture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from decart_lab import DecartClient
from decart_lab.emulator import emulator
from decart_lab.realtime.session import Session

SMALL = (320, 176)


@pytest.fixture(scope="module")
def emu() -> Iterator[Any]:
    """An emulator for the module; its faults are cleared after each test."""
    with emulator() as running:
        yield running


@pytest.fixture
async def client(emu: Any) -> AsyncIterator[DecartClient]:
    async with DecartClient(
        api_key="dct_secret_key_12345", base_url=emu.url, realtime_base_url=emu.ws_url
    ) as made:
        yield made
    emu.faults.clear()


@pytest.fixture(params=["http", "websocket"])
def dialect(request: Any) -> str:
    return str(request.param)


@pytest.fixture
async def connect(client: DecartClient) -> AsyncIterator[Callable[..., Any]]:
    """Open small sessions that are ended with the test."""
    opened: list[Session] = []

    async def open_one(source: Any = "synthetic", **options: Any) -> Session:
        given = {"model": "lucy-2.1", "prompt": "ink drawing", "size": SMALL, **options}
        opened.append(await client.realtime.connect(source, **given))
        return opened[-1]

    yield open_one
    for session in opened:
        await session.end()


async def until(what: Callable[[], Any], within_s: float = 15.0) -> Any:
    """Wait until something is so, and return it."""
    async with asyncio.timeout(within_s):
        while not (found := what()):
            await asyncio.sleep(0.02)
        return found
