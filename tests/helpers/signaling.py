"""A service of the HTTP dialect that keeps its rules, and breaks what a test tells it to.

It runs on the test's own loop over bare sockets, so that an answer can be lost at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import traceback
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from decart_lab._clock import Clock
from decart_lab._http import Http
from decart_lab._wire import Timeouts
from decart_lab.config import Secret
from decart_lab.contract.models import resolve_model
from decart_lab.realtime.signaling import open_signaling
from decart_lab.realtime.signaling.http import HttpSignaling
from decart_lab.realtime.signaling.patience import Patience

KEY = "dct_0123456789abcdef"
TOKEN = "evt_secret&%/+token"
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"
QUICK = Patience(
    open_s=5, answer_s=2, prompt_s=2, image_s=2, quiet_s=5, lost_s=1, retry_s=0.01, end_s=2
)


@dataclass
class Request:
    """What came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any

    @property
    def kind(self) -> str:
        """Which of the service's operations it asks for."""
        last = self.path.rpartition("/")[2]
        if last in ("events", "prompt", "image"):
            return last
        return "create" if self.method == "POST" else self.method.lower()


Reply = tuple[int, Any, dict[str, str]]
Behaviour = Callable[["SignalingService", Request, asyncio.StreamWriter], Awaitable[None]]


class SignalingService:
    """One session's server side."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.candidates: list[Any] = []
        self.offers: list[str] = []
        self.scripted: defaultdict[str, deque[Behaviour]] = defaultdict(deque)
        self.location: str | None = None
        self.created = 0
        self.deleted = 0
        self.etags = 1
        self.gone = False
        self.url = ""

    def then(self, kind: str, *behaviours: Behaviour) -> None:
        """Behave so for the next requests of a kind; after these, well."""
        self.scripted[kind].extend(behaviours)

    def count(self, kind: str) -> int:
        """How many requests of a kind came."""
        return sum(request.kind == kind for request in self.requests)

    @property
    def etag(self) -> str:
        """The current one."""
        return f'"ice-{self.etags}"'

    def reply(self, request: Request) -> Reply:
        """Carry a request out by the rules of the wire contract, 7.1."""
        tag = {"ETag": self.etag}
        match request.kind:
            case "create":
                self.created += 1
                location = self.location or "/v1/realtime/sessions/rs_1"
                return 201, self._told(), tag | {"Location": location}
            case _ if self.gone:
                return 404, problem("session-not-found", 404), {}
            case "get":
                return 200, self._told() | {"status": "connected"}, tag
            case "patch":
                return self._patch(request)
            case "delete":
                self.deleted += 1
                self.gone = True
                return 200, {"session_id": "rs_1", "seconds": 7, "reason": "disconnect"}, {}
            case "prompt" | "image":
                return 200, {"prompt": request.body.get("prompt")}, {}
        return 404, {}, {}

    def _told(self) -> dict[str, Any]:
        return {
            "session_id": "rs_1",
            "sdp": {"type": "answer", "sdp": "v=0 answer"},
            "ice_servers": [{"urls": "turn:t.example", "username": "u", "credential": "hush"}],
            "events": {"event_token": TOKEN},
            "expires_at": "2026-11-21T12:00:00Z",
        }

    def _patch(self, request: Request) -> Reply:
        given = request.headers.get("if-match")
        if given is None:
            return 428, problem("precondition-required", 428), {}
        if given not in (self.etag, "*", '"*"'):
            return 412, problem("stale-etag", 412), {}
        self.etags += 1
        if "sdp" in request.body:
            self.offers.append(request.body["sdp"]["sdp"])
            return 200, self._told(), {"ETag": self.etag}
        self.candidates += request.body["candidates"]
        return 204, None, {"ETag": self.etag}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                script = self.scripted[request.kind]
                behave = script.popleft() if script else well
                await behave(self, request, writer)
                if writer.is_closing():
                    return
        writer.close()


async def well(service: SignalingService, request: Request, writer: asyncio.StreamWriter) -> None:
    """Do as asked; a stream of events stays open and silent."""
    if request.kind == "events":
        await stream(hold=True)(service, request, writer)
        return
    write(writer, *service.reply(request))
    await writer.drain()


def problem(slug: str, status: int) -> dict[str, Any]:
    """Return a problem as the service spells it."""
    return {
        "type": f"https://api.decart.ai/errors/{slug}",
        "title": slug,
        "detail": "Detail",
        "status": status,
    }


def says(status: int, body: Any = None, **headers: str) -> Behaviour:
    """Answer so, and do nothing."""

    async def behave(_: SignalingService, __: Request, writer: asyncio.StreamWriter) -> None:
        write(writer, status, body, {k.replace("_", "-"): v for k, v in headers.items()})
        await writer.drain()

    return behave


def stale(times: int = 1) -> list[Behaviour]:
    """Let another operation be first, so that the ETag that comes is an old one."""

    async def behave(
        service: SignalingService, request: Request, writer: asyncio.StreamWriter
    ) -> None:
        service.etags += 1
        await well(service, request, writer)

    return [behave] * times


async def lost_before(_: SignalingService, __: Request, writer: asyncio.StreamWriter) -> None:
    """Break the connection instead of doing anything."""
    writer.transport.abort()


async def lost_after(
    service: SignalingService, request: Request, writer: asyncio.StreamWriter
) -> None:
    """Do as asked, and break the connection instead of saying so."""
    service.reply(request)
    writer.transport.abort()


def stream(
    *pieces: bytes | str,
    hold: bool = False,
    cut: bool = False,
    kind: str = "text/event-stream",
    **headers: str,
) -> Behaviour:
    """Send these pieces as events, then stay (``hold``), break off (``cut``) or end well."""

    async def behave(_: SignalingService, __: Request, writer: asyncio.StreamWriter) -> None:
        more = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{more}transfer-encoding: chunked\r\n\r\n"
        )
        writer.write(head.encode())
        for piece in filter(None, pieces):  # an empty one would end the answer
            content = piece.encode() if isinstance(piece, str) else piece
            writer.write(b"%x\r\n%s\r\n" % (len(content), content))
            await writer.drain()
            await asyncio.sleep(0)
        if hold:
            while not writer.is_closing():
                await asyncio.sleep(0.01)
        elif cut:
            await asyncio.sleep(0.02)  # a reset takes with it what was not read yet
            writer.transport.abort()
        else:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    return behave


def sse(name: str, data: object = None, id: object = None) -> str:  # noqa: A002
    """Return an event as it is sent."""
    named = "" if id is None else f"id: {id}\n"
    return f"{named}event: {name}\ndata: {json.dumps(data or {})}\n\n"


ENDED = sse("generation_ended", {"seconds": 9, "reason": "timeout"}, 99) + "data:\n\n"


def write(writer: asyncio.StreamWriter, status: int, body: Any, headers: dict[str, str]) -> None:
    """Write one answer."""
    content = (
        b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    )
    lines = {"content-length": str(len(content)), "content-type": "application/json"} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode("latin-1") + content)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split()
    headers = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, json.loads(body) if body else None)


@contextlib.asynccontextmanager
async def signaling(
    service: SignalingService,
    *,
    patience: Patience = QUICK,
    clock: Clock | None = None,
    **options: Any,
) -> AsyncIterator[HttpSignaling]:
    """Serve, and yield signaling that is not open yet."""
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    key = Secret(KEY)
    quick = Timeouts(connect_s=2, read_s=2, call_s=2)
    http = Http(service.url, key=key, user_agent="test", timeouts=quick, **options)
    made = open_signaling(
        "http",
        http=http,
        realtime_base_url=service.url,
        key=key,
        user_agent="test",
        model=resolve_model("lucy-2.1", "realtime"),
        clock=clock,
        patience=patience,
    )
    assert isinstance(made, HttpSignaling)
    try:
        yield made
    finally:
        await made.aclose()
        await http.aclose()
        server.close()


def everywhere(error: BaseException | None) -> str:
    """Return everything a traceback tool would print: the chain, and the frames' variables."""
    seen: set[int] = set()
    found: list[str] = []
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found += [repr(error), str(error), repr(vars(error)), *traceback.format_exception(error)]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "/tests/" in frame.f_code.co_filename:
                continue  # the test itself knows them
            found += [repr(value) for value in frame.f_locals.values()]
            found += [repr(vars(v)) for v in frame.f_locals.values() if hasattr(v, "__dict__")]
        error = error.__cause__ or error.__context__
    return "\n".join(found)
