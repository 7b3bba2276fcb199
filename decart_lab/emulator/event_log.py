"""What a session has told its client, numbered, so that a broken stream can be taken up again.

Every event gets an id that is greater than all before it (inferred from ``Last-Event-ID``, wire
contract 7.1). The log is bounded: the oldest ticks go first, since each tick says all that the
earlier ones said. How events travel is for the routes.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

TICK: Final = "generation_tick"
ENDED: Final = "generation_ended"
KEPT: Final = 500
LAST_WORD: Final = b"data:\n\n"
"""One empty data field, which ends a stream after ``generation_ended`` (7.1)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was told."""

    id: int
    name: str
    data: dict[str, Any]

    def as_sse(self) -> bytes:
        r"""Return the event as server-sent events spell it.

        Examples
        --------
        >>> Event(3, "generation_tick", {"seconds": 2}).as_sse()
        b'id: 3\nevent: generation_tick\ndata: {"seconds":2}\n\n'
        """
        body = json.dumps(self.data, separators=(",", ":"))
        return f"id: {self.id}\nevent: {self.name}\ndata: {body}\n\n".encode()


class EventLog:
    """The events of one session, in order; read and written on one loop.

    Attributes
    ----------
    closed : bool
        Whether all has been told.
    cuts : int
        How often those who listen were thrown out, by a fault.

    Examples
    --------
    >>> log = EventLog()
    >>> _ = log.append("generation_started", {}), log.append("generation_tick", {"seconds": 1})
    >>> [event.name for event in log.after(1)]
    ['generation_tick']
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._events: list[Event] = []
        self._kept = kept
        self._last = 0
        self._changed = asyncio.Event()
        self.closed = False
        self.cuts = 0

    def append(self, name: str, data: dict[str, Any]) -> Event:
        """Tell something, to those who listen now and to those who come back for it."""
        assert not self.closed, "nothing is told after the end"
        self._last += 1
        event = Event(self._last, name, data)
        self._events.append(event)
        if len(self._events) > self._kept:
            oldest = next((i for i, e in enumerate(self._events) if e.name == TICK), 0)
            del self._events[oldest]
        self._wake()
        return event

    def close(self) -> None:
        """Say that there will be no more."""
        self.closed = True
        self._wake()

    def cut(self) -> None:
        """Have those who listen now be thrown out; they may come back."""
        self.cuts += 1
        self._wake()

    def after(self, last_id: int) -> list[Event]:
        """Return what was told after that id; what is no longer kept is left out."""
        return [event for event in self._events if event.id > last_id]

    async def wait(self, last_id: int, timeout_s: float | None = None) -> list[Event]:
        """Wait for something after that id; nothing when time is up, at the end, and at a cut."""
        cuts = self.cuts
        while not (found := self.after(last_id)) and not self.closed and cuts == self.cuts:
            changed = self._changed
            try:
                async with asyncio.timeout(timeout_s):
                    await changed.wait()
            except TimeoutError:
                return []
        return found

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def last_event_id(value: str | None) -> int:
    """Read a ``Last-Event-ID``; what is none of ours asks for everything.

    Examples
    --------
    >>> last_event_id("17"), last_event_id("x"), last_event_id(None)
    (17, 0, 0)
    """
    text = (value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
