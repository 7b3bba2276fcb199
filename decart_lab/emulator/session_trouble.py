"""Where faults meet sessions: what is armed strikes each session once, for as long as it is armed.

What belongs here: doing to a session what :mod:`.session_faults` asks for, and stopping when the
fault is disarmed. A session that no fault strikes costs one look at the list.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from .._clock import Clock
from .door import Door
from .faults import Armed, Faults
from .problems import Problem
from .session import Session

log = logging.getLogger("decart_lab.emulator")

FOREVER_S: Final = 1e9


class Trouble:
    """The faults of one session.

    Parameters
    ----------
    session : Session
        Whom they strike.
    faults : Faults
        What is armed.
    """

    def __init__(self, session: Session, faults: Faults, clock: Clock, door: Door) -> None:
        self._session = session
        self._faults = faults
        self._live = _Live(session, clock, door)
        self._running: dict[int, asyncio.Task[None]] = {}

    async def begin(self) -> None:
        """Let the faults of creation strike.

        Raises
        ------
        Problem
            One of them refuses the session.
        """
        for armed in self._struck("create"):
            assert armed.fault.live is not None
            await armed.fault.live(self._live, armed.values)

    def look(self) -> None:
        """Start what strikes now, and stop what has been disarmed."""
        for armed in self._struck("live"):
            assert armed.fault.live is not None
            task = asyncio.ensure_future(armed.fault.live(self._live, armed.values))
            self._running[armed.id] = task
            task.add_done_callback(_done)
        if self._running:
            armed_still = {armed.id for armed in self._faults}
            for number in [n for n in self._running if n not in armed_still]:
                self._running.pop(number).cancel()

    def stop(self) -> None:
        """Stop all of it."""
        for task in self._running.values():
            task.cancel()
        self._running.clear()

    def _struck(self, route: str) -> list[Armed]:
        if not len(self._faults):
            return []
        return self._faults.beset(route, self._session.order.model.name, self._session.id)


class _Live:
    """One struck session; see :class:`.session_faults.Live` for what each method does."""

    def __init__(self, session: Session, clock: Clock, door: Door) -> None:
        self._session = session
        self._clock = clock
        self._door = door

    async def generating(self, seconds: float) -> None:
        await self._session.generating.wait()
        await self._clock.sleep(seconds)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(min(seconds, FOREVER_S))

    def unavailable(self, retry_after_s: float) -> None:
        said = "No machine is free; try again later."
        raise Problem(503, "unavailable", said, retry_after=f"{retry_after_s:g}")

    def start_late(self, seconds: float) -> None:
        self._session.first_frame_s = seconds

    def queue(self, positions: int, each_s: float) -> None:
        self._session.queue(positions, each_s)

    def drop(self) -> None:
        if self._session.peer is not None:
            self._session.peer.drop()

    def ask_restart(self, *, hopeless: bool) -> None:
        self._session.ask_restart(hopeless=hopeless)

    def cut(self) -> None:
        self._session.log.cut()

    def stale(self, patches: int) -> None:
        self._session.stale_patches = patches

    def freeze(self, frozen: bool) -> None:
        if self._session.peer is not None:
            self._session.peer.freeze(frozen)

    def lose(self, share: float) -> None:
        self._session.lose(share)

    def hang_up(self, code: int) -> None:
        self._session.hang_up(code)

    def kill(self, seconds: float) -> None:
        self._door.slam(seconds)

    def end(self, reason: str) -> None:
        self._session.end(reason)


def _done(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a fault failed to strike a session", exc_info=error)
