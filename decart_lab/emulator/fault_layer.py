"""Where faults meet requests: a layer between the gate and the routes, and the visit it makes.

A request that no fault strikes passes with one look at the list. The control of the faults itself,
the ledger and the health check are never struck.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .door import reset
from .fault_effects import Reply
from .faults import Armed
from .gate import MARK
from .services import Services

STALL_S: Final = 120.0
"""So long, in real seconds, is a connection kept whose client cannot be seen to have gone."""

PAUSE_S: Final = 0.02
"""Lets what was written arrive before the connection is broken."""

_PATHS: Final = (
    ("POST", re.compile(r"/v1/generate/(?P<model>[^/]+)\Z"), "generate"),
    ("POST", re.compile(r"/v1/jobs/(?P<model>[^/]+)\Z"), "jobs"),
    ("GET", re.compile(r"/v1/jobs/(?P<job>[^/]+)\Z"), "status"),
    ("GET", re.compile(r"/v1/jobs/(?P<job>[^/]+)/content\Z"), "content"),
)
_FRAMING: Final = {b"content-length", b"transfer-encoding", b"connection"}


def route_of(method: str, path: str) -> tuple[str | None, str | None, str | None]:
    """Return the route of a request, and the model or the job it names.

    Examples
    --------
    >>> route_of("GET", "/v1/jobs/job_1/content"), route_of("GET", "/health")
    (('content', None, 'job_1'), (None, None, None))
    """
    for wanted, pattern, route in _PATHS:
        found = pattern.match(path) if method == wanted else None
        if found is not None:
            named = found.groupdict()
            return route, named.get("model"), named.get("job")
    # A stream of events has no end that could be waited for; its fault is one of sessions.
    endless = path.startswith("/v1/realtime/sessions/") and path.endswith("/events")
    if method != "OPTIONS" and path.startswith(("/v1/", "/watch-stream/")) and not endless:
        return "other", None, None
    return None, None, None


class FaultLayer:
    """Lets armed faults strike.

    Parameters
    ----------
    app : ASGI application
        The routes.
    parts : Services
        The emulator's parts.
    """

    def __init__(self, app: ASGIApp, *, parts: Services) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, well or badly."""
        faults = self._parts.faults
        if scope["type"] != "http" or not len(faults):
            await self._app(scope, receive, send)
            return
        route, model, job_id = route_of(scope["method"], scope["path"])
        if job_id is not None:
            job = self._parts.world.jobs.get(job_id)
            if job is None:
                route = None  # nobody's job: there is nothing to spoil
            else:
                model = job.model
        armed = None if route is None else faults.meet(route, model, job_id)
        if armed is None:
            await self._app(scope, receive, send)
            return
        visit = _Visit(self._app, self._parts, armed, scope, receive, send, job_id or "")
        try:
            await armed.fault.effect(visit)
        except _Refused as refused:
            await visit.send(refused.reply)


class _Refused(Exception):  # noqa: N818 - an answer on its way out
    """The routes refused the request by themselves."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class _Visit:
    """One struck request; see :class:`.fault_effects.Visit` for what each method promises."""

    def __init__(
        self,
        app: ASGIApp,
        parts: Services,
        armed: Armed,
        scope: Scope,
        receive: Receive,
        send: Send,
        job_id: str,
    ) -> None:
        self._app = app
        self._parts = parts
        self._armed = armed
        self._scope = scope
        self._receive = receive
        self._send = send
        self._more = True
        self._wire = parts.door.transport(scope)
        self.job_id = job_id
        self.turn = armed.turns[job_id]
        armed.turns[job_id] += 1

    def number(self, name: str) -> float:
        return float(self._armed.values[name])

    def text(self, name: str) -> str:
        return str(self._armed.values.get(name, ""))

    def now(self) -> datetime:
        return self._parts.clock.utc()

    def fail_job(self, reason: str) -> None:
        self._parts.runner.fail(self._parts.world.jobs[self.job_id], reason)

    async def sleep(self, seconds: float) -> None:
        await self._unless_ended(self._parts.clock.sleep(seconds))

    async def read(self, limit: float | None = None) -> None:
        taken = 0
        while self._more and (limit is None or taken < limit):
            message = await self._take()
            taken += len(message.get("body", b""))

    async def accepted(self) -> Reply:
        start: Message = {}
        body = bytearray()

        async def catch(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        await self._app(self._scope, self._take, catch)
        reply = Reply(start["status"], list(start["headers"]), bytes(body))
        if reply.status >= 400:
            raise _Refused(reply)
        return reply

    async def send(self, reply: Reply) -> None:
        length = (b"content-length", str(len(reply.body)).encode())
        headers = [(k, v) for k, v in reply.headers if k.lower() not in _FRAMING]
        await self._send(
            {"type": "http.response.start", "status": reply.status, "headers": [*headers, length]}
        )
        await self._send({"type": "http.response.body", "body": reply.body})

    async def write(self, reply: Reply, *, length: int | None, cut: int | None = None) -> None:
        headers = [(k, v) for k, v in reply.headers if k.lower() not in _FRAMING]
        headers += [(MARK.encode(), b"1"), (b"connection", b"close")]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        phrase = HTTPStatus(reply.status).phrase
        lines = [f"HTTP/1.1 {reply.status} {phrase}".encode()]
        lines += [name + b": " + value for name, value in headers]
        await self.drip(b"\r\n".join([*lines, b"", b""]) + reply.body[:cut])

    async def drip(self, data: bytes) -> bool:
        if self._wire is None or self._wire.is_closing():
            return False
        self._wire.write(data)
        return True

    async def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        await self._gone()

    async def reset(self) -> None:
        if self._wire is not None:
            await asyncio.sleep(PAUSE_S)
            reset(self._wire)
        await self._gone()

    async def hold(self) -> None:
        if self._more:
            # Nothing more is read, and so the end of the connection is not seen either.
            await self._unless_ended(asyncio.sleep(STALL_S))
        else:
            await self._unless_ended(self._gone())
        await self.reset()

    async def _take(self) -> Message:
        message = await self._receive()
        self._more = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def _gone(self) -> None:
        """Wait until the connection has ended, so that the server sees that it cannot answer."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _unless_ended(self, waiting: Coroutine[Any, Any, object]) -> None:
        ended = self._parts.door.ended.wait()
        pair = {asyncio.create_task(waiting), asyncio.create_task(ended)}
        try:
            await asyncio.wait(pair, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in pair:
                task.cancel()
