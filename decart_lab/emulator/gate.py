"""What every request passes first: the Host check, tidy paths, the emulator's mark, and errors.

Pure ASGI, so that a status request costs next to nothing here.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answers import Refusal

log = logging.getLogger("decart_lab.emulator")

MARK: Final = "x-decart-emulator"
LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
MAX_DRAIN: Final = 64 * 2**20

_SLASHES = re.compile("/{2,}")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?\Z")


class Gate:
    """The outermost layer.

    Parameters
    ----------
    app : ASGI application
        What lies behind.
    host : str
        The address the server is bound to. Off loopback, any IP address is taken as a Host too:
        a name is what DNS rebinding needs.
    """

    def __init__(self, app: ASGIApp, *, host: str) -> None:
        self._app = app
        bound = host.lower()
        self._names = {*LOOPBACK, f"[{bound}]" if ":" in bound else bound}
        self._public = bound not in ("localhost", "127.0.0.1", "::1")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        if "//" in scope["path"]:
            # Both official SDKs join base address and path without care (contract, section 1).
            scope["path"] = _SLASHES.sub("/", scope["path"])
        exchange = _Exchange(scope, receive, send)
        try:
            if not self._expected(scope):
                raise Refusal(421, "This Host is not served here; use the address as printed.")
            await self._app(scope, exchange.receive, exchange.send)
        except Refusal as refusal:
            await refusal.answer()(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            pass  # it hung up while sending; there is nobody to answer
        except Exception:
            # The client learns nothing of the inside; the log does, and holds no headers.
            log.exception("the emulator failed at %s", scope["path"][:200])
            if exchange.started:
                raise
            await Refusal(500, "internal error").answer()(scope, exchange.receive, exchange.send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a WebSocket through, whose errors are messages and not answers."""
        scope["path"] = _SLASHES.sub("/", scope["path"])
        if not self._expected(scope):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return

        async def marked(message: Message) -> None:
            if message["type"] == "websocket.accept":
                MutableHeaders(scope=message)[MARK] = "1"
            await send(message)

        try:
            await self._app(scope, receive, marked)
        except Exception:
            log.exception("the emulator failed at %s", scope["path"][:200])
            raise

    def _expected(self, scope: Scope) -> bool:
        given = Headers(scope=scope).getlist("host")
        match = _HOST.match(given[0].lower()) if len(given) == 1 else None
        if match is None:
            return False
        name, port = match.groups()
        server = scope.get("server")
        if port is not None and server is not None and int(port) != server[1]:
            return False
        return name in self._names or (self._public and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class _Exchange:
    """One request and its answer: marks the answer, and reads what is left of the request first.

    A server that answers and closes while the client is still sending makes the client see a
    broken connection instead of the answer, so an early refusal waits for a bounded rest; not
    for a client that itself waits to be told to go on.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._send = send
        length = headers.get("content-length", "0")
        declared = int(length) if length.isdigit() else MAX_DRAIN + 1
        has_body = declared > 0 or "transfer-encoding" in headers
        self._unread = has_body and declared <= MAX_DRAIN and "expect" not in headers
        self.started = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            drained = 0
            while self._unread and drained <= MAX_DRAIN:
                drained += len((await self.receive()).get("body", b""))
            MutableHeaders(scope=message)[MARK] = "1"
            self.started = True
        await self._send(message)
