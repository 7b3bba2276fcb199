"""Below HTTP: the socket that connections come to, and the connections that are open.

For faults, which close the one and break the others; a healthy request never comes here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from starlette.types import Scope

from .._clock import Clock
from ..errors import EmulatorError

log = logging.getLogger("decart_lab.emulator")

# l_onoff and l_linger: unsent data is dropped and the peer is told by a reset.
_NO_FAREWELL: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_REOPEN_S: Final = 0.05
_REOPEN_TRIES: Final = 100


class Door:
    """The way into one running server.

    Parameters
    ----------
    bind : callable
        Returns a listening socket on the server's address.
    clock : Clock
        The emulator's.
    """

    def __init__(self, bind: Callable[[], socket.socket], clock: Clock) -> None:
        self.ended = asyncio.Event()
        self._bind = bind
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._shut = False
        self._reopening: asyncio.Task[None] | None = None

    def lead_to(self, server: uvicorn.Server, forget: Callable[[], None]) -> None:
        """Say whose way in this is: the server's application knows its door before it is one.

        Parameters
        ----------
        server : uvicorn.Server
            The server.
        forget : callable
            Drops what a server that is killed would not know any more.
        """
        self._server = server
        self._forget = forget

    def refuse(self, seconds: float) -> None:
        """Close the listening socket, and idle connections, for that many emulator seconds.

        What is under way goes on. Safe from any thread; when it returns the port is closed.
        """
        self._on_loop(lambda: self._refuse(seconds))

    def accept(self) -> None:
        """Listen again now; safe from any thread."""
        self._on_loop(self._accept)

    def slam(self, seconds: float) -> None:
        """Break every connection, forget all sessions, and be closed for that long.

        What a client sees of a server that is killed and started again; on the server's loop.
        """
        self._refuse(seconds)
        for connection in list(self._server.server_state.connections):
            reset(connection.transport)
        self._forget()

    def end(self) -> None:
        """Let every visit that holds a connection go, because the server ends."""
        self.ended.set()
        if self._reopening is not None:
            self._reopening.cancel()

    def transport(self, scope: Scope) -> asyncio.Transport | None:
        """Return the connection that a request came by, if it is still open."""
        for connection in self._server.server_state.connections:
            transport: asyncio.Transport = connection.transport
            peer = transport.get_extra_info("peername")
            if peer is not None and tuple(peer[:2]) == tuple(scope["client"] or ()):
                return transport
        return None

    def _on_loop(self, act: Callable[[], None]) -> None:
        async def run() -> None:
            act()

        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            act()
        else:
            asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _refuse(self, seconds: float) -> None:
        if not self._shut:
            self._shut = True
            for server in self._server.servers:
                server.close()
            for connection in list(self._server.server_state.connections):
                connection.shutdown()
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = self._loop.create_task(self._reopen(seconds))

    def _accept(self) -> None:
        if self._shut:
            self._refuse(0.0)

    async def _reopen(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        for _ in range(_REOPEN_TRIES):
            try:
                listener = self._bind()
            except EmulatorError:
                # Somebody else has taken the port meanwhile; it was free for anybody.
                await asyncio.sleep(_REOPEN_S)
                continue
            await self._server.startup(sockets=[listener])
            self._shut = False
            return
        log.error("the emulator cannot have its port back")
        self._server.should_exit = True


def reset(transport: asyncio.Transport) -> None:
    """Break a connection so that the peer sees a reset, and not the end of a conversation."""
    connection: Any = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # it may have gone by itself
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_FAREWELL)
    transport.abort()
