"""A scripted service, and clients that wait on a clock which does not sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
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


@pytest.fixture
def connected(clock: EagerClock) -> Iterator[Any]:
    """Make a client of a scripted service: ``connected(Service(...))``."""
    with ExitStack() as stack:

        def connect(service: Service, **options: Any) -> DecartClient:
            url = stack.enter_context(serve(service.app))
            return DecartClient(KEY, base_url=url, **({"clock": clock} | options))

        yield connect


@pytest.fixture(scope="session")
def cat() -> Any:
    """A small picture."""
    return samples.path("cat.jpg")


@pytest.fixture(scope="session")
def short_clip() -> Any:
    """A small clip."""
    return samples.path("clip.mp4")
