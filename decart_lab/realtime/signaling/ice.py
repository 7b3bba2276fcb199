"""The sequence of ICE operations on one session: one at a time, each with the newest ETag.

What belongs here: which ETag goes with which PATCH, what a refusal or a lost answer means, and
that candidates are sent in order, once. Sources: wire contract, 7.1 (ETag rules) and 10.7. What an
answer says beyond its ETag is :mod:`.http`'s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from ..._log import SafeLogger
from ..._wire import Answer
from ...contract.realtime import Candidate
from ...errors import DecartSDKError, NetworkError, SessionClosedError

TRIES: Final = 5
"""How often a batch is sent, each time with another ETag."""
MAX_BATCH: Final = 100
WILDCARDS: Final = ("*", '"*"')
"""Any state. The vendor's samples spell it both ways; the first is HTTP's (10.7)."""


class Resource(Protocol):
    """The session at the service, as far as this is concerned."""

    etag: str | None

    async def patch(self, what: str, body: Mapping[str, Any], if_match: str) -> Answer:
        """Send a PATCH once, and take the new ETag of its answer."""
        ...

    async def refresh(self) -> object:
        """Ask how the session stands, and take its ETag."""
        ...


class IceSequence:
    """Sends candidates and offers to one session."""

    def __init__(self, resource: Resource, logger: SafeLogger) -> None:
        self._resource = resource
        self._logger = logger
        self._turn = asyncio.Lock()
        self._waiting: deque[Candidate | None] = deque()
        self._batch: list[Candidate | None] = []
        self._lost_with: str | None = None  # the ETag of a batch whose answer is missing
        self._stale = False  # our ETag was refused: nothing may be concluded from it
        self._ended = False
        self._flush: asyncio.Task[None] | None = None

    async def send(self, candidates: Sequence[Candidate | None]) -> None:
        """Send candidates after those that wait already; what follows an end of them is left out.

        A caller who gives up does not interrupt the request, whose fate would be unknown.

        Raises
        ------
        WebRTCError
            Also of a cause class. What was not refused goes with the next call.
        """
        for candidate in candidates:
            if not self._ended:
                self._waiting.append(candidate)
                self._ended = candidate is None
        while self._flush is not None or self._waiting or self._batch:
            if self._flush is None:
                self._flush = asyncio.get_running_loop().create_task(self._flush_all())
                self._flush.add_done_callback(self._flushed)
            flush = self._flush
            try:
                await asyncio.shield(flush)
            except asyncio.CancelledError:
                if not flush.cancelled():
                    raise
            if flush.cancelled():
                raise SessionClosedError("The signaling was closed before all candidates went.")

    async def offer(self, what: str, body: Mapping[str, Any]) -> Answer:
        """Send an offer past every ETag; candidates that wait belong to an older one and go.

        Raises
        ------
        WebRTCError
            Also of a cause class.
        """
        async with self._turn:
            self._waiting.clear()
            self._batch, self._lost_with, self._ended = [], None, False
            try:
                return await self._resource.patch(what, body, WILDCARDS[0])
            except DecartSDKError as error:
                if error.status != 412:
                    raise
            return await self._resource.patch(what, body, WILDCARDS[1])

    async def aclose(self) -> None:
        """Stop sending."""
        flush = self._flush
        if flush is not None:
            flush.cancel()
            await asyncio.wait([flush])

    def _flushed(self, flush: asyncio.Task[None]) -> None:
        self._flush = None
        if not flush.cancelled():
            flush.exception()  # known to whoever waits; that nobody does is no reason to complain

    async def _flush_all(self) -> None:
        while self._waiting or self._batch:
            async with self._turn:
                while self._waiting and len(self._batch) < MAX_BATCH and self._lost_with is None:
                    self._batch.append(self._waiting.popleft())
                if self._batch:
                    await self._send_batch()

    async def _send_batch(self) -> None:
        what = "Sending ICE candidates"
        body = {"candidates": [c if c is None else c.as_json() for c in self._batch]}
        unmatched = False
        for tries in range(1, TRIES + 1):
            if await self._has_arrived():
                break
            self._lost_with = self._resource.etag or WILDCARDS[0]
            try:
                await self._resource.patch(what, body, self._lost_with)
                break
            except DecartSDKError as error:
                if not isinstance(error, NetworkError) or error.sent == "none":
                    self._lost_with = None  # it was refused or never left: it is not applied
                self._stale = error.status in (412, 428)
                if tries == TRIES or not self._worthwhile(error, unmatched):
                    raise
                unmatched |= error.status == 428
        self._batch, self._lost_with = [], None

    async def _has_arrived(self) -> bool:
        """Whether a batch whose answer is missing was applied: then the ETag has moved on."""
        sent_with = self._lost_with
        if sent_with is not None or self._stale or self._resource.etag is None:
            await self._resource.refresh()
            self._stale = False
        return (
            sent_with is not None
            and sent_with not in WILDCARDS
            and self._resource.etag != sent_with
        )

    def _worthwhile(self, error: DecartSDKError, again: bool) -> bool:
        """Return whether another try is worthwhile."""
        if self._lost_with is not None:
            return True
        if error.status == 412:
            return True
        if error.status == 428:
            self._logger.error("A PATCH came without its If-Match: a proxy may be dropping it.")
            return not again
        if error.status is not None and 400 <= error.status < 500:
            self._batch = []  # they would be refused again
        return False
