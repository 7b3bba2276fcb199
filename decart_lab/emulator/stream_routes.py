"""``/v1/stream`` and ``/subscribe/{sid}``: the WebSocket dialect (wire contract, section 7.2).

What belongs here: messages, acknowledgements and close codes. A socket is one session and the other
way round: the session ends when its socket closes. A refused socket is accepted first and told why,
as the hosted service does, since a browser learns nothing of a refused upgrade.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any, Final, cast

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..contract.models import REGISTRY
from ..contract.realtime import EndReason
from ..media.rtc.sdp import InvalidSDP
from .answers import Refusal
from .auth import Caller
from .event_log import ENDED
from .problems import Problem
from .services import Services, services
from .session import Session
from .session_requests import Order, candidate_of, change_of, model_of, parse_object, sdp_text
from .session_routes import admit_model, admit_origin
from .sessions import negotiated

NORMAL: Final = 1000
REFUSED: Final = 1008
TRY_LATER: Final = 1013
LIVEKIT: Final = (
    "LiveKit rooms are not served by the emulator; the last SDKs without them are PyPI decart "
    "0.0.40 and npm @decartai/sdk 0.0.68."
)
FORWARDED: Final = ("generation_started", "generation_tick", ENDED, "queue_position", "status")


class _Goodbye(Exception):  # noqa: N818 - the end of a conversation, not a failure
    """The socket is to be closed, with this code."""

    def __init__(self, code: int = NORMAL) -> None:
        super().__init__(code)
        self.code = code


async def stream(socket: WebSocket) -> None:
    """Hold one session."""
    await socket.accept()
    async with _polite(socket):
        parts, caller = _caller(socket)
        query = socket.query_params
        model = model_of(query.get("model") or "")
        admit_model(caller, model.name, model.canonical)
        session = await parts.sessions.open(
            Order(
                model,
                "websocket",
                token=caller.token,
                speed=query.get("speed", ""),
                resolution=query.get("resolution", "")[:20],
            )
        )
        talk = _Talk(socket, parts, session)
        try:
            await talk.hold()
        finally:
            session.end(EndReason.DISCONNECT)


async def subscribe(socket: WebSocket) -> None:
    """Let a viewer watch a session; it has no say in it."""
    await socket.accept()
    async with _polite(socket):
        parts, _ = _caller(socket)
        session = parts.sessions.all.get(socket.path_params["session"])
        if session is None or session.log.closed or session.order.dialect != "websocket":
            raise Problem(404, "session-not-found", "Invalid session: it is unknown, or over.")
        await _Viewing(socket, session).hold()


class _polite(contextlib.AbstractAsyncContextManager[None]):  # noqa: N801 - used like a function
    """Tells a client what went wrong before its socket is closed."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if error is None:
            await self._close(NORMAL)
        elif isinstance(error, _Goodbye):
            await self._close(error.code)
        elif isinstance(error, Refusal):
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.send_json({"type": "error", "error": said(error)})
            full = error.status == 503
            await self._close(TRY_LATER if full else REFUSED)
        else:
            return isinstance(error, WebSocketDisconnect)
        return True

    async def _close(self, code: int) -> None:
        # It may have been closed from the other side meanwhile.
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(code)


class _Socket(abc.ABC):
    """Reads and writes at the same time, until one of them comes to its end."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket

    async def hold(self) -> None:
        """Go on until one side ends; the others are stopped."""
        sides = [asyncio.ensure_future(side) for side in self.sides()]
        try:
            await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for side in sides:
                side.cancel()
            ends = await asyncio.gather(*sides, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def sides(self) -> list[Coroutine[Any, Any, None]]:
        """Return what goes on at the same time."""
        return [self.listen(), self.tell()]

    async def listen(self) -> None:
        """Take messages one after another; what is none of JSON is told and left."""
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            try:
                given = parse_object(message.get("bytes") or b"" if text is None else text)
                await self.take(given)
            except Refusal as refusal:
                await self.send("error", error=said(refusal))

    @abc.abstractmethod
    async def take(self, given: Mapping[str, Any]) -> None:
        """Do what a message asks."""

    @abc.abstractmethod
    async def tell(self) -> None:
        """Say what there is to say."""

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one message."""
        await self.socket.send_json({"type": kind} | fields)


class _Talk(_Socket):
    """The socket of whoever holds the session."""

    def __init__(self, socket: WebSocket, parts: Services, session: Session) -> None:
        super().__init__(socket)
        self._parts = parts
        self._session = session

    async def tell(self) -> None:
        host, port = cast(tuple[str, int], self.socket.scope["server"])
        name = self._session.id
        await self.send("session_id", session_id=name, server_ip=host, server_port=port)
        log = self._session.log
        after = 0
        while not log.closed or log.after(after):
            for event in await log.wait(after):
                after = event.id
                if event.name in FORWARDED:
                    await self.send(event.name, **event.data)

    def sides(self) -> list[Coroutine[Any, Any, None]]:
        return [*super().sides(), self._hung_up()]

    async def _hung_up(self) -> None:
        raise _Goodbye(await asyncio.shield(self._session.hung_up))

    async def take(self, given: Mapping[str, Any]) -> None:
        await self._session.admitted.wait()
        match given.get("type"):
            case "prompt":
                await self._prompt(given)
            case "set_image":
                await self._image(given)
            case "offer":
                await self._offer(given)
            case "ice-candidate":
                await self._session.add_candidates([candidate_of(given.get("candidate"))])
            case "livekit_join":
                await self.send("error", error=LIVEKIT)
                raise _Goodbye(REFUSED)
            # What nobody knows is left alone, as both SDKs do (7.2).

    async def _prompt(self, given: Mapping[str, Any]) -> None:
        words = given.get("prompt")
        if not isinstance(words, str):
            raise Problem(400, "bad-request", "A prompt message needs prompt, a text.")
        error = await self._changed({k: v for k, v in given.items() if not k.startswith("image")})
        # The acknowledgement is found by the exact words that were sent.
        await self.send("prompt_ack", prompt=words, success=error is None, error=error)

    async def _image(self, given: Mapping[str, Any]) -> None:
        error = await self._changed({"image_data": None, **given})
        await self.send("set_image_ack", success=error is None, error=error)

    async def _changed(self, given: Mapping[str, Any]) -> str | None:
        try:
            await self._session.change(await change_of(self._parts.world, given))
        except Problem as problem:
            return said(problem)
        return None

    async def _offer(self, given: Mapping[str, Any]) -> None:
        first = self._session.peer is None
        answer = await negotiated(self._session, sdp_text(given.get("sdp")))
        if first:
            await self._session.charge()
        await self.send("answer", sdp=answer)


class _Viewing(_Socket):
    """The socket of somebody who watches."""

    def __init__(self, socket: WebSocket, session: Session) -> None:
        super().__init__(socket)
        self._session = session
        self._viewer: str | None = None

    async def hold(self) -> None:
        try:
            await super().hold()
        finally:
            if self._viewer is not None and self._session.peer is not None:
                await self._session.peer.remove_viewer(self._viewer)

    async def tell(self) -> None:
        log = self._session.log
        after = 0
        while not log.closed or log.after(after):
            for event in await log.wait(after):
                after = event.id
                if event.name == ENDED:
                    await self.send(event.name, **event.data)

    async def take(self, given: Mapping[str, Any]) -> None:
        if given.get("type") != "offer":
            return
        peer = self._session.peer
        if peer is None:
            raise Problem(404, "session-not-found", "The session has no media yet; try again.")
        try:
            self._viewer, answer = await peer.add_viewer(sdp_text(given.get("sdp")))
        except InvalidSDP as error:
            raise Problem(400, "invalid-sdp", str(error)[:300]) from error
        await self.send("answer", sdp=answer)


def _caller(socket: WebSocket) -> tuple[Services, Caller]:
    parts = services(socket)
    origin = socket.headers.get("origin")
    if origin is not None and not parts.welcomes(origin):
        raise Problem(403, "forbidden", "Pages of this origin are not allowed here.")
    caller = parts.gatekeeper.admit_key(socket.query_params.get("api_key", ""))
    admit_origin(caller, origin)
    return parts, caller


def said(refusal: Refusal) -> str:
    """Return a refusal as this dialect says it, in words that the SDKs look for.

    Clients give up at once when they read "invalid api key", "401", "not allowed" or "invalid
    session", and try again otherwise (7.2).
    """
    if refusal.status == 401:
        return "Invalid API key"
    sentence = refusal.sentence if isinstance(refusal, Problem) else str(refusal.detail)
    if refusal.status == 403:
        return f"Not allowed: {sentence}"
    if isinstance(refusal, Problem) and refusal.slug == "moderation-rejected":
        return f"Input rejected by moderation: {sentence}"
    return sentence


_PATHS: Final = sorted({row.url_path for row in REGISTRY.values() if row.kind == "realtime"})

routes = [
    *(WebSocketRoute(path, stream) for path in _PATHS),
    WebSocketRoute("/subscribe/{session}", subscribe),
]
