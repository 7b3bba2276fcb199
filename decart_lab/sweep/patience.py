"""Waiting for the answer to a paid request longer than the run waits for it.

When an answer is overdue the point is put in doubt and others take its place, but the connection is
kept open until the client's own deadline: an answer that comes late is as good as any.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from ..errors import StoreError


class Patience:
    """Does something when an answer is overdue.

    The time is the machine's own, as the client's deadlines are, whatever the clock of the run.

    Parameters
    ----------
    after_s : float
        How long an answer may take from the moment that the whole request was sent.
    overdue : callable
        Awaited once when it takes longer.
    """

    def __init__(self, after_s: float, overdue: Callable[[], Awaitable[None]]) -> None:
        self._after_s = after_s
        self._overdue = overdue
        self._timer: asyncio.TimerHandle | None = None
        self._saying: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Take that the whole request was sent."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._after_s, self._say)

    async def end(self) -> None:
        """Take that there is an answer, or will be none."""
        if self._timer is not None:
            self._timer.cancel()
        if self._saying is not None:
            # In its order: what follows is written after it. A disk that refuses this will refuse
            # that as well, and an answer must not be lost for a doubt.
            with contextlib.suppress(StoreError):
                await asyncio.shield(self._saying)

    def _say(self) -> None:
        self._saying = asyncio.ensure_future(self._overdue())
