"""Time, real or accelerated or moved by hand.

Everything that waits or measures takes a clock, so that tests do not sleep and the emulator can
hurry. Imports nothing of the package; everybody may import it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the package asks of time."""

    def now(self) -> float:
        """Seconds on a monotonic scale; only differences mean anything."""

    def utc(self) -> datetime:
        """Wall-clock time, aware, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait that many of this clock's seconds."""


class RealClock:
    """The machine's own time."""

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.monotonic()

    def utc(self) -> datetime:
        """Wall-clock time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(max(0.0, seconds))


class AcceleratedClock:
    """A clock that runs ``speed`` times as fast as the machine's.

    Parameters
    ----------
    speed : float
        Clock seconds per real second; 1 is real time.
    start : datetime, optional
        The earliest wall-clock time to tell at first, aware; now, or this if it is later.
    """

    def __init__(self, speed: float = 1.0, *, start: datetime | None = None) -> None:
        if not speed > 0:
            raise ValueError("speed must be greater than 0")
        self.speed = speed
        self._origin = time.monotonic()
        now = datetime.now(UTC)
        self._started = now if start is None else max(now, start)

    def now(self) -> float:
        """Clock seconds since this clock was made."""
        return (time.monotonic() - self._origin) * self.speed

    def utc(self) -> datetime:
        """Wall-clock time as this clock tells it."""
        return self._started + timedelta(seconds=self.now())

    async def sleep(self, seconds: float) -> None:
        """Wait that many clock seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)


class ManualClock:
    """A clock that stands still until it is told to move; for tests of one event loop."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = 0.0
        self._started = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Seconds moved so far."""
        return self._now

    def utc(self) -> datetime:
        """Start time plus the seconds moved so far."""
        return self._started + timedelta(seconds=self._now)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking sleepers in order and letting each run before the next."""
        target = self._now + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            self._now, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await _settle()
        self._now = target
        await _settle()


async def _settle() -> None:
    # A woken task may take several turns of the loop before it sleeps again.
    for _ in range(20):
        await asyncio.sleep(0)
