"""The WebSocket dialect: one socket is one session, and closing it ends the session.

What belongs here: its messages, their acknowledgements and time limits, and what a closed socket
means. Connecting is :mod:`.socket`'s. Source: wire contract, 7.2.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ..._caller import attributed
from ..._log import SafeLogger, redact
from ...config import Secret
from ...contract.failures import cause_of_words
from ...contract.realtime import (
    Candidate,
    Ended,
    IceServer,
    Queued,
    RestartWanted,
    ServerEvent,
)
from ...contract.responses import valid_id
from ...errors import (
    DeadlineError,
    DecartSDKError,
    InvalidInputError,
    RejectedError,
    ResponseError,
    ServerError,
    SessionClosedError,
    WebRTCError,
    combined,
)
from .base import Change, Farewell, Reoffer, Summary
from .content import Content, check_change
from .inbox import Inbox
from .patience import Patience
from .socket import Closed, Socket, open_socket
from .subscription import Subscription, make_token

FAREWELL_S: Final = 2.0
_ANSWERS: Final = {"prompt_ack": "prompt", "set_image_ack": "set_image", "answer": "offer"}
_SILENT: Final = frozenset({"ready", "status", "offer"})
"""Messages for other clients (7.2): mobile ones, and those that let the server offer."""


@dataclass
class _Question:
    """A message of ours that the service must answer."""

    kind: str
    prompt: str | None
    answered: asyncio.Future[Mapping[str, Any]]


class WebSocketSignaling:
    """One session's signaling over a WebSocket; see :class:`.base.Signaling`.

    Parameters
    ----------
    address : Secret
        Where to connect, with the key; see :func:`.address.stream_address`.
    viewer : bool
        Only watch: no change is sent, not even at the beginning.

    Attributes
    ----------
    inbox : Inbox
        Counts what made no sense.
    """

    expires_at: datetime | None = None

    def __init__(
        self,
        address: Secret,
        host: str,
        *,
        logger: SafeLogger,
        viewer: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self.inbox = Inbox()
        self.session_id: str | None = None
        self.subscribe_token: str | None = None
        self.ice_servers: tuple[IceServer, ...] = ()
        self.can_reoffer = False  # until the service asks for it: it has not since early 2026
        self._address = address
        self._host = host
        self._logger = logger
        self._viewer = viewer
        self._patience = patience or Patience()
        self._content = Content()
        self._turn = asyncio.Lock()
        self._question: _Question | None = None
        self._unanswered = {"prompt": 0, "set_image": 0, "offer": 0}
        self._limit: asyncio.Timeout | None = None
        self._socket: Socket | None = None
        self._reading: asyncio.Task[None] | None = None
        self._over: Ended | None = None
        self._lost: DecartSDKError | None = None
        self._complaint: DecartSDKError | None = None  # the last message, if it was an error
        self._closing = False

    @property
    def simulated(self) -> bool | None:
        """Whether the emulator answers; None until it is known."""
        return None if self._socket is None else self._socket.simulated

    async def open(self, offer_sdp: str, initial: Change) -> str:
        """Connect, say what is shown first, and offer; return the answer's SDP.

        News of a queue gives every step its time anew.

        Raises
        ------
        InvalidInputError
            The image is too large; nothing was sent.
        WebRTCError
            Also of a cause class. The socket is closed, and with it the session.
        """
        assert self._socket is None, "a session is opened once"
        check_change(initial, references=True)
        try:
            async with asyncio.timeout(self._patience.open_s):
                self._socket = await open_socket(self._address, self._host, self._patience)
                self._reading = asyncio.get_running_loop().create_task(self._read())
                self._reading.add_done_callback(self._read_to_its_end)
                if not self._viewer:
                    # That the input is to pass through unchanged is said as well.
                    await self._say(Change(None, None) if initial.empty else initial)
                return await self._offer(offer_sdp)
        except TimeoutError as error:
            self._abort()
            if isinstance(error, DecartSDKError):
                raise
        except BaseException:
            self._abort()
            raise
        late = DeadlineError(
            f"It took longer than {self._patience.open_s:g} s.", sent="all", hint=""
        )
        raise attributed(late, WebRTCError, "Opening the session")

    def events(self) -> AsyncIterator[ServerEvent]:
        """Yield what the service says, from the beginning, each once, in order."""
        return self.inbox.read()

    async def send_candidates(self, candidates: Sequence[Candidate | None]) -> None:
        """Send local candidates in order, each once; None ends the list."""
        for candidate in candidates:
            told = None if candidate is None else candidate.as_json()
            await self._send("ice-candidate", {"candidate": told})

    async def reoffer(self, offer_sdp: str) -> Reoffer:
        """Offer a new peer for the same session; only a service that has asked for it answers."""
        return Reoffer(await self._offer(offer_sdp), self.ice_servers)

    async def change(self, change: Change) -> None:
        """Ask for a change and return when the service has accepted it; one after another.

        Raises
        ------
        InvalidInputError
            A viewer changes nothing, or the image is too large.
        WebRTCError
            Also of a cause class: ModerationError, RejectedError, DeadlineError without an answer.
        """
        if self._viewer:
            raise InvalidInputError("A viewer cannot change what a session shows.")
        check_change(change, references=True)
        if not change.empty:
            await self._say(change)

    async def state(self) -> dict[str, Any]:
        """Return {}: this dialect cannot ask."""
        return {}

    def farewell(self) -> Farewell | None:
        """Return None: the socket closes with its process."""
        return None

    async def end(self) -> Summary | None:
        """Close the socket, which ends the session; the summary is what was said before."""
        await self.aclose()
        return None if self._over is None else Summary(self._over.seconds, self._over.reason)

    async def aclose(self) -> None:
        """Close the socket; in this dialect there is no letting go without ending."""
        self._closing = True
        if self._socket is not None:
            await self._socket.close()
        if self._reading is not None:
            # A last word may still be on its way through; it is not waited for any longer.
            await asyncio.wait([self._reading], timeout=FAREWELL_S)
            self._reading.cancel()
            await asyncio.wait([self._reading])
        self.inbox.end()

    async def _say(self, change: Change) -> None:
        async with self._turn:
            kind, fields = self._content.message(change)
            if kind == "prompt":
                name, limit_s, prompt = "prompt", self._patience.prompt_s, fields["prompt"]
            else:
                name, limit_s, prompt = "set_image", self._patience.image_s, None
            what = f"Setting the {kind}"
            answer = await self._ask(what, name, fields, limit_s, prompt)
            if answer.get("success") is False or answer.get("error"):
                raise _told(what, answer.get("error"), RejectedError)
            self._content.accepted(change)

    async def _offer(self, sdp: str) -> str:
        async with self._turn:
            what = "Offering a connection"
            answer = await self._ask(what, "offer", {"sdp": sdp}, self._patience.answer_s)
        answered = answer.get("sdp")
        if not isinstance(answered, str) or not answered:
            raise combined(WebRTCError, ResponseError)(
                f"{what} failed: the answer holds no session description."
            )
        return answered

    async def _ask(
        self,
        what: str,
        kind: str,
        fields: Mapping[str, Any],
        limit_s: float,
        prompt: str | None = None,
    ) -> Mapping[str, Any]:
        """Send a message and wait for its answer; the turn is ours."""
        answered: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._question = _Question(kind, prompt, answered)
        self._unanswered[kind] += 1
        waiting = self._unanswered[kind]
        try:
            async with asyncio.timeout(limit_s) as self._limit:
                await self._send(kind, fields)
                return await answered
        except TimeoutError:
            if waiting > 1:
                # What came, if anything, was counted as an earlier one's, which may never answer.
                self._unanswered[kind] = 0
        finally:
            self._question = self._limit = None
        late = DeadlineError(f"There was no answer within {limit_s:g} s.", sent="all", hint="")
        raise attributed(late, WebRTCError, what)

    async def _send(self, kind: str, fields: Mapping[str, Any]) -> None:
        if self._socket is None or self._lost is not None or self._closing:
            raise self._lost or SessionClosedError("The session is over.", reason=self._reason)
        try:
            await self._socket.send(kind, fields)
            return
        except Closed as closed:
            lost = self._loss(closed)
        raise lost

    async def _read(self) -> None:
        assert self._socket is not None
        try:
            while self._over is None:
                await self._take(await self._socket.receive())
        except Closed as closed:
            self._lost = self._loss(closed)

    def _read_to_its_end(self, reading: asyncio.Task[None]) -> None:
        error = None if reading.cancelled() else reading.exception()
        if error is not None:
            # A mistake of ours must end the session with a name, and not silently.
            self._logger.error(f"Reading the socket broke: {error!r}")
            self._lost = WebRTCError(f"Reading the socket broke: {type(error).__name__}.")
        if self._lost is None:
            self._lost = SessionClosedError("The session is over.", reason=self._reason)
        self._fail(self._lost)
        self.inbox.end(None if self._over is not None or self._closing else self._lost)

    async def _take(self, message: str | bytes) -> None:
        try:
            given = json.loads(message)
        except (ValueError, RecursionError):
            given = None
        kind = given.get("type") if isinstance(given, Mapping) else None
        if not isinstance(given, Mapping) or not isinstance(kind, str):
            await self._tell(self.inbox.nonsense("not a JSON object with a type"))
            return
        if kind == "error":
            self._complain(given)
        else:
            self._complaint = None
        if kind in _ANSWERS:
            self._answer(_ANSWERS[kind], given)
        elif kind == "session_id":
            self._identify(given)
        elif kind not in _SILENT:
            told = {name: value for name, value in given.items() if name != "type"}
            await self._tell(self.inbox.read_event(kind, told))

    async def _tell(self, event: ServerEvent | None) -> None:
        if isinstance(event, Queued) and self._limit is not None:
            loop = asyncio.get_running_loop()
            self._limit.reschedule(loop.time() + self._patience.answer_s)
        elif isinstance(event, RestartWanted):
            self.can_reoffer = True
            self.ice_servers = event.ice_servers
        elif isinstance(event, Ended):
            self._over = event
        if event is not None:
            await self.inbox.put(event)

    def _answer(self, kind: str, given: Mapping[str, Any]) -> None:
        question = self._question
        waiting, self._unanswered[kind] = self._unanswered[kind], max(0, self._unanswered[kind] - 1)
        if question is None or question.kind != kind or question.answered.done():
            return
        if kind == "prompt":
            mine = given.get("prompt", question.prompt) == question.prompt
        else:
            mine = waiting <= 1  # else it answers an earlier question, which nobody waits for
        if mine:
            question.answered.set_result(given)

    def _identify(self, given: Mapping[str, Any]) -> None:
        named = given.get("session_id")
        if not isinstance(named, str) or not valid_id(named):
            return
        self.session_id = named
        where = Subscription(named, given.get("server_ip", ""), given.get("server_port", 0))
        if where.valid and not self._viewer:
            self.subscribe_token = make_token(where)

    def _complain(self, given: Mapping[str, Any]) -> None:
        """Let whatever waits fail with the service's error, and the end too, should it come now."""
        text = given.get("error") or given.get("message")
        self._complaint = _told("The session", text, ServerError)
        if self._question is not None:
            self._unanswered[self._question.kind] = 0
        self._fail(self._complaint)

    def _fail(self, error: DecartSDKError) -> None:
        if self._question is not None and not self._question.answered.done():
            self._question.answered.set_exception(error)

    def _loss(self, closed: Closed) -> DecartSDKError:
        if self._complaint is not None and not self._closing:
            return self._complaint
        said = f": {closed.said}" if closed.said else ""
        message = (
            f"The connection to {self._host} is closed (code {closed.code}{said}), and with it "
            "the session."
        )
        cause = None if self._closing else cause_of_words(closed.said)
        if cause is not None:
            return combined(WebRTCError, cause)(message, data={"code": closed.code})
        return SessionClosedError(message, reason=self._reason, data={"code": closed.code})

    @property
    def _reason(self) -> str:
        return "" if self._over is None else self._over.reason

    def _abort(self) -> None:
        self._closing = True
        if self._socket is not None:
            self._socket.abort()
        if self._reading is not None:
            self._reading.cancel()

    def __repr__(self) -> str:
        return f"<websocket signaling of session {self.session_id}>"


def _told(what: str, text: object, otherwise: type[DecartSDKError]) -> DecartSDKError:
    """Return the error for what the service said in words."""
    said = text if isinstance(text, str) else "without saying why"
    line = " ".join("".join(c if c.isprintable() else " " for c in redact(said)).split())[:500]
    cause = cause_of_words(line) or otherwise
    return combined(WebRTCError, cause)(f"{what} failed: {line.rstrip('.')}.")
