"""What happens to a session, told to whoever listens: by handler, by iteration, and kept.

Nothing is lost before a handler is registered: events wait for the first one of their name, within
bounds. Handlers run off the loop, on the caller's choice of worker. Names are the official SDKs'
where they have one (``connection_change``, ``generation_tick``, ``error``).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from ..errors import InvalidInputError

NAMES: Final = (
    "connection_change",  # SessionState
    "generation_started",  # None
    "generation_tick",  # Tick
    "generation_ended",  # Ended
    "queue_position",  # Queued
    "prompt",  # the prompt that was accepted, or None
    "image",  # whether there is a reference image now
    "stalled",  # seconds without a picture
    "resumed",  # seconds it took
    "reconnecting",  # why, in a sentence
    "restarted",  # None: a new peer on the same session
    "expiring",  # seconds until the service ends the session by its own limit
    "idle",  # seconds until the session stops by itself
    "recording",  # path, or None when it ended
    "source",  # label of the source that sends now
    "error",  # DecartSDKError
)
WAITING: Final = 256
"""Events kept per name for a first handler, and per iteration for a slow reader."""


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One thing that happened.

    Attributes
    ----------
    name : str
        One of ``NAMES``.
    data : object
        What the handlers of that name are called with.
    at : datetime
        When, aware, in UTC.
    t : float
        Seconds since the session began.
    """

    name: str
    data: Any
    at: datetime
    t: float = field(default=0.0)


class Bus:
    """Hands events to handlers and iterations.

    Parameters
    ----------
    run : callable
        ``run(handler, data)`` calls a user's handler somewhere it can do no harm.
    """

    def __init__(self, run: Callable[[Callable[[Any], object], Any], object]) -> None:
        self._run = run
        self._handlers: defaultdict[str, list[Callable[[Any], object]]] = defaultdict(list)
        self._waiting: defaultdict[str, deque[Any]] = defaultdict(lambda: deque(maxlen=WAITING))
        self._kept: deque[SessionEvent] = deque(maxlen=WAITING)
        self._readers: set[_Reader] = set()
        self._read = False
        self._over = False

    def on(self, name: str, handler: Callable[[Any], object]) -> None:
        """Call a handler for every event of a name, also for those that came before the first.

        Raises
        ------
        InvalidInputError
            There is no such event.
        """
        if name not in NAMES:
            raise InvalidInputError(
                f"There is no event {name!r}.", field="name", hint=f"Events: {', '.join(NAMES)}."
            )
        if not callable(handler):
            raise InvalidInputError("The handler cannot be called.", field="handler")
        self._handlers[name].append(handler)
        for data in self._waiting.pop(name, ()):
            self._run(handler, data)

    def off(self, name: str, handler: Callable[[Any], object]) -> None:
        """Take a handler away; one that is not there is no error."""
        if handler in self._handlers.get(name, ()):
            self._handlers[name].remove(handler)

    def tell(self, event: SessionEvent) -> None:
        """Hand an event on."""
        handlers = self._handlers.get(event.name)
        if handlers is None:
            self._waiting[event.name].append(event.data)
        for handler in list(handlers or ()):
            self._run(handler, event.data)
        if not self._read:
            self._kept.append(event)
        for reader in self._readers:
            reader.put(event)

    def end(self) -> None:
        """Let iterations end when they have read everything."""
        self._over = True
        for reader in self._readers:
            reader.wake.set()

    async def read(self) -> AsyncIterator[SessionEvent]:
        """Yield events; the first iteration also yields those from before it."""
        reader = _Reader(self._kept if not self._read else ())
        self._read = True
        self._kept = deque(maxlen=WAITING)
        self._readers.add(reader)
        try:
            while True:
                while reader.events:
                    yield reader.events.popleft()
                if self._over:
                    return
                reader.wake.clear()
                await reader.wake.wait()
        finally:
            self._readers.discard(reader)


class _Reader:
    def __init__(self, earlier: Any) -> None:
        self.events: deque[SessionEvent] = deque(earlier, maxlen=WAITING)
        self.wake = asyncio.Event()

    def put(self, event: SessionEvent) -> None:
        self.events.append(event)
        self.wake.set()
