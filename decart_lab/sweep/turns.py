"""Whose turn it is to ask the service: one heap of times and one bucket of tokens for the kernel.

Every job that is asked after puts the time of its next poll here and is woken when that time has
come and a token is left, the longest due first. When there are more polls than tokens, polls are
late and nothing else happens. All runs of a kernel share one, since the service sees one key.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Final
from weakref import WeakKeyDictionary

from .._clock import Clock, RealClock

RATE: Final = 100.0
"""Status calls a second."""

SLOWEST: Final = 5.0
BURST_S: Final = 0.5
"""What was not used of the last half second may be used at once."""

NOTHING_S: Final = 1e-6
"""A wait this short is rounding: sleeping it out would not move a clock of floats."""

REGROWTH_S: Final = 30.0
"""After a 429 the rate is halved, and grows back in about this time."""


class Turns:
    """Hands out turns on the loop that awaits them.

    Parameters
    ----------
    clock : Clock
        The time.
    rate : float
        Turns a second.
    """

    def __init__(self, clock: Clock, rate: float = RATE) -> None:
        self._clock = clock
        self._most = self._rate = rate
        self._tokens = rate * BURST_S
        self._filled = clock.now()
        self._heap: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._pump: asyncio.Task[None] | None = None
        self._nap: asyncio.Task[None] | None = None
        self.waiting = 0

    @property
    def rate(self) -> float:
        """Turns a second as things are."""
        return self._rate

    async def at(self, time: float) -> None:
        """Wait for the first free turn at or after a time of the clock."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (time, next(self._order), turn))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        elif self._heap[0][2] is turn and self._nap is not None:
            self._nap.cancel()  # the pump sleeps towards a later time
        self.waiting += 1
        try:
            await turn
        finally:
            self.waiting -= 1

    def refused(self) -> None:
        """Note a 429: half as many turns, for a while."""
        self._fill()
        self._rate = max(SLOWEST, self._rate / 2)
        self._tokens = 0.0

    def _fill(self) -> None:
        now = self._clock.now()
        passed, self._filled = max(0.0, now - self._filled), now
        self._rate = min(self._most, self._rate + self._most / 2 * passed / REGROWTH_S)
        self._tokens = min(self._rate * BURST_S, self._tokens + passed * self._rate)

    async def _run(self) -> None:
        while self._heap:
            time, _, turn = self._heap[0]
            if turn.done():  # its job is not asked after any more
                heapq.heappop(self._heap)
                continue
            self._fill()
            wait = max(time - self._clock.now(), (1 - self._tokens) / self._rate)
            if wait <= NOTHING_S:
                heapq.heappop(self._heap)
                self._tokens -= 1
                turn.set_result(None)
                continue
            self._nap = asyncio.create_task(self._clock.sleep(wait))
            await asyncio.wait({self._nap})
            self._nap = None


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def shared_turns(clock: Clock) -> Turns:
    """Return the turns of the running loop, which all runs of this kernel share."""
    if not isinstance(clock, RealClock):
        return Turns(clock)  # another time is another world
    loop = asyncio.get_running_loop()
    found = _shared.get(loop)
    if found is None:
        found = _shared[loop] = Turns(clock)
    return found
