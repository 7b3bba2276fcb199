"""The realtime sessions of one emulator: who may open one, how many there are, and their ends.

What belongs here: admission (quota, credits), finding sessions, event tokens, and the orderly end
of all of them. A session that is refused leaves nothing behind: no place in the quota, no peer and
no line in the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from .._clock import Clock
from ..contract.realtime import EndReason
from ..media.rtc.sdp import InvalidSDP
from .auth import Caller
from .door import Door
from .faults import Faults
from .problems import Problem
from .session import LOOK_S, Session
from .session_requests import Order
from .session_trouble import Trouble
from .settings import Settings
from .world import World

log = logging.getLogger("decart_lab.emulator")

REMEMBERED: Final = 200
"""Sessions that have ended and whose streams are answered with 410; older ones are unknown."""
FULL: Final = "Concurrent session limit reached."
RETRY_AFTER_S: Final = 5
CLOSE_S: Final = 3.0


class Sessions:
    """All sessions, by id."""

    def __init__(
        self, world: World, clock: Clock, settings: Settings, faults: Faults, door: Door
    ) -> None:
        self._world = world
        self._clock = clock
        self._settings = settings
        self._faults = faults
        self._door = door
        self._all: dict[str, Session] = {}
        self._opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._secret = secrets.token_bytes(32)

    @property
    def all(self) -> Mapping[str, Session]:
        """Sessions that run, and the last ones that ended."""
        return MappingProxyType(self._all)

    @property
    def active(self) -> int:
        """How many count towards the quota."""
        return self._opening + sum(not session.log.closed for session in self._all.values())

    # -- opening -------------------------------------------------------------------------------

    async def open(self, order: Order) -> Session:
        """Open a session that has no peer yet, and look after it from now on.

        Raises
        ------
        Problem
            402 without credits, 503 when there are as many as there may be.
        """
        session, trouble = await self._admit(order)
        self._enter(session, trouble)
        return session

    async def create(self, order: Order, offer: str) -> tuple[Session, str]:
        """Open a session and answer its offer; return it with the answer.

        Raises
        ------
        Problem
            As for :meth:`open`, and 400 for an offer that is none.
        """
        session, trouble = await self._admit(order)
        self._opening += 1
        try:
            await session.admitted.wait()
            await session.change(order.change)
            answer = await negotiated(session, offer)
            await session.charge()
        except BaseException:
            session.vanish()
            raise
        finally:
            self._opening -= 1
        self._enter(session, trouble)
        return session, answer

    async def _admit(self, order: Order) -> tuple[Session, Trouble]:
        self._check_credits()
        self._check_quota()
        session = Session(order, self._world, self._clock, self._settings, self._ended)
        trouble = Trouble(session, self._faults, self._clock, self._door)
        try:
            await trouble.begin()
        except BaseException:
            session.vanish()
            raise
        return session, trouble

    def _check_quota(self) -> None:
        limit = self._settings.session_limit
        if limit is not None and self.active >= limit:
            raise Problem(503, "unavailable", FULL, retry_after=str(RETRY_AFTER_S))

    def _check_credits(self) -> None:
        held = self._settings.credits
        if held is not None and self._world.ledger.total >= held:
            raise Problem(402, "insufficient-credits", "The account has no credits left.")

    def _enter(self, session: Session, trouble: Trouble) -> None:
        self._all[session.id] = session
        ended = [key for key, found in self._all.items() if found.log.closed]
        for key in ended[:-REMEMBERED]:
            del self._all[key]
        self._later(self._watch(session, trouble))

    async def _watch(self, session: Session, trouble: Trouble) -> None:
        """Look after a session until it ends."""
        tick_s = self._settings.tick_s / self._settings.speed
        pause_s = max(0.01, min(LOOK_S, tick_s / 4))
        try:
            while not session.log.closed:
                session.look()
                trouble.look()
                await asyncio.sleep(pause_s)
        finally:
            trouble.stop()

    # -- finding -------------------------------------------------------------------------------

    def find(self, session_id: str, caller: Caller) -> Session:
        """Return a session that runs and is the caller's.

        Raises
        ------
        Problem
            404 for one that is unknown, has ended, or belongs to another client token.
        """
        session = self._all.get(session_id)
        if session is None or not _owns(caller, session):
            raise unknown()
        if session.log.closed:
            said = f"The session has ended: {session.reason}."
            raise Problem(404, "session-ended", said)
        return session

    def event_token(self, session: Session) -> str:
        """Return a new token that reads this session's events, and does nothing else."""
        nonce = secrets.token_urlsafe(12)
        return f"evt_{nonce}.{self._sign(session.id, nonce)}"

    def admits(self, session: Session, token: str) -> bool:
        """Whether an event token is of this session."""
        nonce, _, signature = token.removeprefix("evt_").partition(".")
        expected = self._sign(session.id, nonce)
        return hmac.compare_digest(signature.encode(), expected.encode())

    def _sign(self, session_id: str, nonce: str) -> str:
        text = f"{session_id}/{nonce}".encode()
        return hmac.new(self._secret, text, "sha256").hexdigest()[:32]

    # -- ending --------------------------------------------------------------------------------

    def _ended(self, session: Session) -> None:
        self._later(session.close())

    def vanish(self) -> None:
        """Forget every session without a word to anybody, as a killed server does."""
        for session in list(self._all.values()):
            session.vanish()
        self._all.clear()

    def end_all(self, reason: str = EndReason.ERROR) -> None:
        """End every session; its client is told why."""
        for session in list(self._all.values()):
            session.end(reason)

    async def close(self) -> None:
        """End every session and wait, within bounds, until it has let go of its peer."""
        self.end_all()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await asyncio.gather(*late, return_exceptions=True)

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a session failed inside the emulator", exc_info=error)


async def negotiated(session: Session, offer: str) -> str:
    """Return the session's answer to an offer; 400 for one that is none."""
    try:
        return await session.answer(offer)
    except InvalidSDP as error:
        raise Problem(400, "invalid-sdp", str(error)[:300] or "This is no SDP offer.") from error


def unknown() -> Problem:
    """Return the refusal of a session that nobody knows."""
    return Problem(404, "session-not-found", "There is no such session, or it has expired.")


def _owns(caller: Caller, session: Session) -> bool:
    token = session.order.token
    return caller.token is None or (token is not None and token.id == caller.token.id)
