"""What the service said and nobody has read yet: in order, each once, bounded.

A full inbox makes the writer wait, and with it the connection: the service is then slowed down by
its own flow control, and nothing is dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from ...contract.realtime import Malformed, Problem, ServerEvent, Unknown, parse_event
from ...errors import DecartSDKError

UNREAD: Final = 1_000
TOLD: Final = 10
"""Malformed events that are reported as problems; further ones are only counted."""


class Inbox:
    """Events from one writer to one reader, and how they ended.

    Attributes
    ----------
    malformed, unknown : int
        Events that made no sense, and those of names that we do not know.
    """

    def __init__(self) -> None:
        self.malformed = 0
        self.unknown = 0
        self._events: deque[ServerEvent] = deque()
        self._over = False
        self._error: DecartSDKError | None = None
        self._came = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, event: ServerEvent) -> None:
        """Add an event, when there is room."""
        while len(self._events) >= UNREAD and not self._over:
            self._room.clear()
            await self._room.wait()
        if not self._over:
            self._events.append(event)
            self._came.set()

    def read_event(self, name: str, data: Mapping[str, Any]) -> ServerEvent | None:
        """Return the event that a message means; None when it is not worth telling any more."""
        try:
            event = parse_event(name, data)
        except Malformed as error:
            return self.nonsense(f"{name[:60]}: {error}")
        self.unknown += isinstance(event, Unknown)
        return event

    def nonsense(self, why: str) -> Problem | None:
        """Count something that makes no sense; return how to tell it, as long as it is new."""
        self.malformed += 1
        if self.malformed > TOLD:
            return None
        text = "".join(c if c.isprintable() else "?" for c in why)[:200]
        return Problem("The service sent an event that makes no sense.", text)

    def end(self, error: DecartSDKError | None = None) -> None:
        """Say that nothing more will come; the first word on it counts."""
        if not self._over:
            self._over = True
            self._error = error
        self._came.set()
        self._room.set()

    async def read(self) -> AsyncIterator[ServerEvent]:
        """Yield events until the end; raise what it ended with."""
        while True:
            while self._events:
                event = self._events.popleft()
                self._room.set()
                yield event
            if self._over:
                break
            self._came.clear()
            await self._came.wait()
        if self._error is not None:
            raise self._error
