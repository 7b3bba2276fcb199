"""The HTTP dialect: control by stateless requests, events by a stream, candidates by PATCH.

What belongs here: one session from its creation to its end, put together from its resource
(:mod:`.resource`), the sequence of ICE operations (:mod:`.ice`) and the listening
(:mod:`.listening`). It needs no key of its own, so that it works through a proxy. Source: wire
contract, 7.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

from ..._caller import Caller
from ...config import Secret
from ...contract.realtime import Candidate, Ended, IceServer, RestartWanted, ServerEvent
from ...errors import DeadlineError, DecartSDKError, NetworkError, WebRTCError
from .base import Change, Farewell, Reoffer, Summary
from .content import Content, check_change, image_field
from .ice import IceSequence
from .inbox import Inbox
from .listening import Listener
from .patience import Patience
from .resource import SessionResource

FAREWELL_S: Final = 2.0
"""How long closing waits for an end that is under way, in seconds."""


class HttpSignaling:
    """One session's signaling over HTTP; see :class:`.base.Signaling`.

    Parameters
    ----------
    caller : Caller
        Makes calls, to the service or to a proxy that holds the key.
    model : str
        The model's name, as the service spells it.
    key : Secret or None
        Only handed on in :meth:`farewell`; calls are made with the caller's own.
    options : str
        Further fields of the creation, such as ``resolution``; undocumented in this dialect.

    Attributes
    ----------
    orphans : int
        Sessions that may have been created without our learning of it.
    inbox : Inbox
        Counts what made no sense.
    """

    subscribe_token: str | None = None
    can_reoffer = True

    def __init__(
        self,
        caller: Caller,
        model: str,
        *,
        key: Secret | None = None,
        user_agent: str = "",
        patience: Patience | None = None,
        **options: str | None,
    ) -> None:
        self.orphans = 0
        self.inbox = Inbox()
        self._caller = caller
        self._fields = {"model": model} | {k: v for k, v in options.items() if v is not None}
        self._key = key
        self._user_agent = user_agent
        self._patience = patience or Patience()
        self._resource = SessionResource(caller)
        self._ice = IceSequence(self._resource, caller.logger)
        self._listener = Listener(caller, self._resource, self.inbox, self._heard, self._patience)
        self._content = Content()
        self._changing = asyncio.Lock()
        self._opening: asyncio.Task[str] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[Summary | None] | None = None

    @property
    def session_id(self) -> str | None:
        """The service's name for the session, once it is known."""
        return self._resource.session_id

    @property
    def ice_servers(self) -> tuple[IceServer, ...]:
        """What the service told last."""
        return self._resource.ice_servers

    @property
    def expires_at(self) -> datetime | None:
        """When the session ends at the latest, aware."""
        return self._resource.expires_at

    @property
    def simulated(self) -> bool | None:
        """Whether the emulator answers; None until it is known."""
        return self._caller.http.simulated

    async def open(self, offer_sdp: str, initial: Change) -> str:
        """Create the session with what it shows first; return the answer's SDP.

        Raises
        ------
        InvalidInputError
            The image is too large; nothing was sent.
        WebRTCError
            Also of a cause class. With a NetworkError whose ``sent`` is "all" a session may have
            been created; that was tried twice, and every further try may leave another.
        """
        assert self._opening is None, "a session is opened once"
        check_change(initial, references=False)
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(self._create(offer_sdp, initial))
        try:
            answer = await asyncio.shield(self._opening)
        except asyncio.CancelledError:
            # The request may be on its way: what it creates is ended as soon as it has a name.
            self._begin_the_end()
            raise
        self._content.accepted(initial)
        self._listening = loop.create_task(self._listener.run())
        self._listening.add_done_callback(self._listened)
        return answer

    def events(self) -> AsyncIterator[ServerEvent]:
        """Yield what the service says, from the beginning, each once, in order."""
        return self.inbox.read()

    async def send_candidates(self, candidates: Sequence[Candidate | None]) -> None:
        """Send local candidates in order, each once; None ends the list."""
        await self._ice.send(candidates)

    async def reoffer(self, offer_sdp: str) -> Reoffer:
        """Offer a new peer for the same session; one after another, the newest last."""
        what = "Restarting the connection"
        answer = await self._ice.offer(what, {"sdp": {"type": "offer", "sdp": offer_sdp}})
        return Reoffer(self._resource.sdp_of(what, answer), self._resource.ice_servers)

    async def change(self, change: Change) -> None:
        """Ask for a change and return when the service has accepted it; one after another."""
        check_change(change, references=False)
        if change.empty:
            return
        async with self._changing:
            kind, body = self._content.message(change)
            total_s = self._patience.prompt_s if kind == "prompt" else self._patience.image_s
            what = f"Setting the {kind}"
            await self._resource.ask("POST", what, f"/{kind}", body, total_s=total_s)
            self._content.accepted(change)

    async def state(self) -> dict[str, Any]:
        """Ask how the session stands."""
        return await self._resource.refresh()

    def farewell(self) -> Farewell | None:
        """Return how to end the session from outside; None before there is one."""
        if not self._resource.path:
            return None
        url = self._caller.http.base_url + self._resource.path
        return Farewell(url, self._key, self._user_agent)

    async def end(self) -> Summary | None:
        """End the session at the service; one that is over already is ended.

        A caller who gives up does not stop the end, which is told on until :meth:`aclose`.

        Raises
        ------
        WebRTCError
            Also of a cause class: the service could not be told, and may still be counting.
        """
        return await asyncio.shield(self._begin_the_end())

    async def aclose(self) -> None:
        """Let go of connections and tasks; an end that is under way gets a moment more."""
        if self._ending is not None:
            await asyncio.wait([self._ending], timeout=FAREWELL_S)
        tasks = [t for t in (self._opening, self._listening, self._ending) if t is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._ice.aclose()
        self.inbox.end()

    async def _create(self, offer_sdp: str, initial: Change) -> str:
        body: dict[str, Any] = {**self._fields, "sdp": {"type": "offer", "sdp": offer_sdp}}
        if isinstance(initial.prompt, str):
            body |= {"prompt": initial.prompt, "enhance_prompt": initial.enhance}
        if isinstance(initial.image, str):
            body |= image_field(initial.image)
        try:
            return await self._resource.create(body, self._patience.open_s)
        except NetworkError as error:
            # What may have been created costs nothing without media, so that one more is in order.
            if error.sent != "all" or isinstance(error, DeadlineError):
                raise
            self.orphans += 1
            self._caller.logger.warning(f"{error} Trying once more.")
        return await self._resource.create(body, self._patience.open_s)

    async def _heard(self, event: ServerEvent) -> None:
        if isinstance(event, RestartWanted):
            self._resource.ice_servers = event.ice_servers
        elif isinstance(event, Ended):
            self._resource.over = event
        await self.inbox.put(event)

    def _listened(self, listening: asyncio.Task[None]) -> None:
        if listening.cancelled():
            return
        error = listening.exception()
        if error is not None and not isinstance(error, DecartSDKError):
            # A mistake of ours must end the session with a name, and not silently.
            self._caller.logger.error(f"Listening to the session broke: {error!r}")
            error = WebRTCError(f"Listening to the session broke: {type(error).__name__}.")
        self.inbox.end(error)

    def _begin_the_end(self) -> asyncio.Task[Summary | None]:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end())
            self._ending.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._ending

    async def _end(self) -> Summary | None:
        if self._opening is not None and not self._opening.done():
            await asyncio.wait([self._opening])
        over = self._resource.over
        if over is None and self._resource.path:
            over = await self._resource.delete(self._patience.end_s)
        return None if over is None else Summary(over.seconds, over.reason)

    def __repr__(self) -> str:
        return f"<http signaling of session {self._resource.session_id}>"
