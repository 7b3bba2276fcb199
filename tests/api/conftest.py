"""A scripted service, and clients that wait on a clock which does not sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from decart_lab import DecartClient
from decart_lab.media import samples

from ..helpers.serve import serve
from .service import Service

KEY = "dct_0123456789abcdef"


class EagerClock:
    """Time that jumps instead of passing: sleeping moves it and returns."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        """Seconds slept so far."""
        return sum(self.slept)

    def utc(self) -> datetime:
        """A fixed morning plus the seconds slept."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now())

    async def sleep(self, seconds: float) -> None:
        """Do not wait."""
        self.slept.append(max(0.0, seconds))
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> EagerClock:
    """The time of the clients that ``connected`` makes."""
    return EagerClock()


class Switch:
    """One server for all tests, since starting and stopping one costs a fifth of a second."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def switch() -> Iterator[tuple[Switch, str]]:
    """The server and its address."""
    switch = Switch()
    with serve(switch) as url:
        yield switch, url


@pytest.fixture
def connected(clock: EagerClock, switch: tuple[Switch, str]) -> Any:
    """Make a client of a scripted service: ``connected(Service(...))``."""

    def connect(service: Service, **options: Any) -> DecartClient:
        switch[0].app = service.app
        return DecartClient(KEY, base_url=switch[1], **({"clock": clock} | options))

    return connect


@pytest.fixture(scope="session")
def cat() -> Any:
    """A small picture."""
    return samples.path("cat.jpg")


@pytest.fixture(scope="session")
def short_clip() -> Any:
    """A small clip."""
    return samples.path("clip.mp4")
