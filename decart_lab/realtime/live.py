"""Which sessions run in this process, so that none outlives it unnoticed.

At the end of the interpreter every session is ended in good order, within two seconds; a process
that is killed has the watchdog (:mod:`decart_lab._watchdog`) do it.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .session import Session

EXIT_S: Final = 2.0

_sessions: dict[Session, asyncio.AbstractEventLoop] = {}
_lock = threading.Lock()
_hooked = False


def add(session: Session) -> None:
    """Note a session that begins; called on its loop."""
    global _hooked
    with _lock:
        _sessions[session] = asyncio.get_running_loop()
        if not _hooked:
            _hooked = True
            # Before threads are joined and before the engine's own hook closes its loop.
            register = getattr(threading, "_register_atexit", atexit.register)
            register(_end_at_exit)


def discard(session: Session) -> None:
    """Forget a session that is over."""
    with _lock:
        _sessions.pop(session, None)


def sessions() -> list[Session]:
    """Return the sessions that run, oldest first."""
    with _lock:
        return list(_sessions)


def _end_at_exit() -> None:
    with _lock:
        running = dict(_sessions)
    endings = [
        asyncio.run_coroutine_threadsafe(_end(session), loop)
        for session, loop in running.items()
        if loop.is_running()
    ]
    concurrent.futures.wait(endings, EXIT_S)


async def _end(session: Session) -> None:
    await session.end()
