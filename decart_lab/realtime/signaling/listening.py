"""Hearing one session's events over HTTP, and taking a broken stream up again where it ended.

What belongs here: when to connect again, with which id and token, and when it is over. Source:
wire contract, 7.1 (SSE events; event_token; 410).
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol
from urllib.parse import quote

from ..._caller import Caller, attributed
from ..._retry import parse_retry_after
from ..._wire import Call, beginning
from ...config import Secret
from ...contract.failures import failure
from ...contract.realtime import Ended, ServerEvent
from ...errors import (
    DecartSDKError,
    NetworkError,
    ResponseError,
    SessionClosedError,
    WebRTCError,
)
from .inbox import Inbox
from .patience import Patience
from .sse import EventReader, SentEvent

ROUTE: Final = "/v1/realtime/sessions/{id}/events"
WHAT: Final = "Listening to the session"
REMEMBERED: Final = 1_000
"""Ids of events that are known, so that a repetition is noticed."""
STEADY_S: Final = 5.0
"""A stream that lasted so long counts as one that worked, though nothing new came."""


class Resource(Protocol):
    """The session at the service, as far as this is concerned."""

    path: str
    event_token: Secret | None

    async def refresh(self) -> object:
        """Ask how the session stands, and take its fresh token."""
        ...

    async def how_it_ended(self) -> Ended | None:
        """Ask, once, how a session ended that is over."""
        ...

    def closed(self, what: str) -> SessionClosedError:
        """Return the error for a session that is over."""
        ...


class Listener:
    """Hears what the service says, until the session's end.

    Parameters
    ----------
    heard : callable
        ``await heard(event)`` takes every event, in order, each once.

    Attributes
    ----------
    connections : int
        How often a stream was opened.
    """

    def __init__(
        self,
        caller: Caller,
        resource: Resource,
        inbox: Inbox,
        heard: Callable[[ServerEvent], Awaitable[None]],
        patience: Patience,
    ) -> None:
        self.connections = 0
        self._caller = caller
        self._resource = resource
        self._inbox = inbox
        self._heard = heard
        self._patience = patience
        self._last_id = ""
        self._known: deque[str] = deque(maxlen=REMEMBERED)
        self._new = 0
        self._retry_s: float | None = None
        self._over = False

    async def run(self) -> None:
        """Listen until the session is over.

        Raises
        ------
        SessionClosedError
            It is over, and nobody has said why.
        WebRTCError
            Also of a cause class: it cannot be heard any more.
        """
        clock = self._caller.clock
        since: float | None = None  # when it was last known to work
        tries = 0
        ask = self._resource.event_token is None
        while True:
            opened, new = clock.now(), self._new
            error = await self._listen(ask)
            if self._over:
                return
            now = clock.now()
            if self._new > new or (now - opened >= STEADY_S and error.status is None):
                since, tries = None, 0
                ask = False
            since = now if since is None else since
            if error.status == 410:
                await self._tell_the_end()
                return
            if error.status in (401, 403):
                if ask:
                    raise error  # a fresh token was refused, too
                ask = True
                continue
            ask = error.status in (204, 404)  # it may be the session that is gone
            wait = self._wait_s(error, tries)
            tries += 1
            if now - since + wait > self._patience.lost_s:
                raise error
            await clock.sleep(wait)

    async def _listen(self, ask: bool) -> DecartSDKError:
        """Hear one stream to its end; return what ended it."""
        try:
            if ask:
                await self._resource.refresh()
            await self._hear()
        except SessionClosedError:
            raise
        except (NetworkError, ResponseError) as error:
            if isinstance(error, WebRTCError):
                return error
            return attributed(error, WebRTCError, WHAT)
        except DecartSDKError as error:
            return error
        ended = NetworkError("Its events ended before the session did.", sent="all")
        return attributed(ended, WebRTCError, WHAT)

    async def _hear(self) -> None:
        http, quiet_s = self._caller.http, self._patience.quiet_s
        headers = {"cache-control": "no-store"}
        if self._last_id:
            headers["last-event-id"] = self._last_id
        token = self._resource.event_token
        call = Call(
            "GET",
            self._resource.path + "/events",
            ROUTE,
            quiet_s,
            accept="text/event-stream",
            read_s=quiet_s,
            headers=headers,
        )
        query = Secret("" if token is None else f"event_token={quote(token.reveal(), safe='')}")
        self.connections += 1
        async with http.stream(call, query=query) as (head, chunks):
            if head.status != 200:
                asked = parse_retry_after(
                    head.headers.get("retry-after"),
                    head.headers.get("date"),
                    self._caller.clock.utc(),
                )
                body = await beginning(chunks)
                raise failure(
                    WebRTCError, WHAT, head.status, head.headers, body, retry_after_s=asked
                )
            reader = EventReader(head, chunks)
            try:
                async with contextlib.aclosing(reader.read()) as events:
                    async for event in events:
                        await self._take(event)
                        if self._over:
                            return
            finally:
                # Also what came without data counts: an id alone, or a wish to wait longer.
                self._last_id = self._last_id if reader.last_id is None else reader.last_id
                self._retry_s = self._retry_s if reader.retry_s is None else reader.retry_s

    async def _take(self, sent: SentEvent) -> None:
        # The end is believed under any id: a server that counts anew must not hide it.
        if sent.id and not sent.name.endswith("_ended"):
            if sent.id in self._known:
                return
            self._known.append(sent.id)
        self._new += 1
        event: ServerEvent | None
        try:
            data = json.loads(sent.data)
        except (ValueError, RecursionError):
            event = self._inbox.nonsense(f"{sent.name[:60]}: not JSON")
        else:
            if isinstance(data, Mapping):
                event = self._inbox.read_event(sent.name, data)
            else:
                event = self._inbox.nonsense(f"{sent.name[:60]}: not a JSON object")
        if event is not None:
            await self._heard(event)
            self._over = isinstance(event, Ended)

    async def _tell_the_end(self) -> None:
        ended = await self._resource.how_it_ended()
        if ended is None:
            raise self._resource.closed(WHAT)
        await self._heard(ended)

    def _wait_s(self, error: DecartSDKError, tries: int) -> float:
        patience = self._patience
        if self._retry_s is not None:
            wait = min(self._retry_s, patience.retry_cap_s)
        else:
            longest = min(patience.retry_cap_s, patience.retry_s * 2.0 ** min(tries, 30))
            wait = self._caller.dice.uniform(longest / 2, longest)
        return max(wait, error.retry_after_s or 0.0)
