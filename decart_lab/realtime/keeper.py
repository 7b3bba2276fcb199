"""Keeps one live session connected: links it, listens, restarts, connects again, and ends it.

What belongs here: the order of things. When to try again is :mod:`.policy`'s, whether the picture
moves :mod:`.watch`'s, and what the figures mean :mod:`.session`'s. One task runs all of it, so that
no two restarts or reconnections can cross; ``stop`` may come at any moment and wins.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..contract.realtime import (
    Ended,
    IceServer,
    RestartWanted,
    ServerEvent,
    SessionState,
)
from ..errors import DecartSDKError, NetworkError, SessionClosedError, WebRTCError
from .link import Link, PeerChanged, Signal, SignalingLost
from .policy import Reconnect, permanent, wait_before
from .signaling.base import Change, Signaling, Summary
from .watch import Flow, FlowWatch

if TYPE_CHECKING:
    from .._clock import Clock
    from .link import AnyPeer

LOOK_S: Final = 0.25
"""How often figures, caps and watches are looked at, in seconds."""
END_S: Final = 5.0
"""Longest time for telling the service that a session is over, in seconds."""
RECOVER_S: Final = 30.0
"""How long a session whose media is gone is held before a new one is made, in seconds."""
FOREGROUND_S: Final = 10.0
"""Longest wait for a service that is busy, while somebody waits for the first picture."""


class Owner(Protocol):
    """What the keeper tells, and asks, on the loop."""

    def wanted(self) -> Change:
        """Return what a new session is to show first."""
        ...

    def identify(self, signaling: Signaling) -> None:
        """Note what the service told at the creation of a session."""
        ...

    def on_state(self, state: SessionState) -> None:
        """Note that the session stands so now."""
        ...

    def on_event(self, event: ServerEvent) -> None:
        """Note what the service says."""
        ...

    def on_peer(self, peer: AnyPeer | None) -> None:
        """Take media from this peer from now on."""
        ...

    def on_gone(self, summary: Summary | None) -> None:
        """Note that a session at the service is over."""
        ...

    def on_problem(self, error: DecartSDKError) -> None:
        """Note a failure that the session survives, so far."""
        ...

    def tell(self, name: str, data: object) -> None:
        """Hand an event to whoever listens."""
        ...

    def look(self, now: float) -> str | None:
        """Look at figures and caps; return why the session must end, if it must."""
        ...

    def sending_since(self) -> float | None:
        """Return since when frames have been going out without a pause; None when none do."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended: the service's or our word for it, and the error if it was one."""

    reason: str
    error: DecartSDKError | None = None


class Keeper:
    """Keeps a session connected until it is over.

    Parameters
    ----------
    make_link : callable
        Makes an unopened link that posts to the callable it is given.
    owner : Owner
        The session.
    policy : Reconnect
        How often to try again.
    clock : Clock
        Time to wait by.
    """

    def __init__(
        self,
        make_link: Callable[[Callable[[Signal], None]], Link],
        owner: Owner,
        policy: Reconnect,
        clock: Clock,
    ) -> None:
        self.link: Link | None = None
        self.up = asyncio.Event()
        self.outcome: Outcome | None = None
        self._make_link = make_link
        self._owner = owner
        self._policy = policy
        self._clock = clock
        self._flow = FlowWatch()
        self._inbox: asyncio.Queue[Signal] = asyncio.Queue()
        self._stop = asyncio.Event()
        self._stop_reason = ""
        self._connected_once = False
        self._orphaned = False

    def stop(self, reason: str) -> None:
        """Ask for the end; the first reason counts."""
        self._stop_reason = self._stop_reason or reason
        self._stop.set()

    async def run(self) -> Outcome:
        """Connect and stay connected; return how it ended. It raises nothing."""
        working = asyncio.ensure_future(self._work())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.wait((working, stopping))
        if working.cancelled():
            self.outcome = Outcome(self._stop_reason or "disconnect")
        elif (error := working.exception()) is not None:
            # A bug of ours must not leave a session behind that counts on.
            self.outcome = Outcome("error", _as_ours(error))
        else:
            self.outcome = working.result()
        await self._let_go()
        return self.outcome

    async def _work(self) -> Outcome:
        tries = 0
        self._owner.on_state(SessionState.CONNECTING)
        while True:
            try:
                await self._begin()
                tries = 0
                return Outcome(await self._live())
            except DecartSDKError as error:
                problem = error
            await self._let_go()
            wait = wait_before(problem, tries, self._policy)
            if wait is None or self._orphaned or (not self._connected_once and wait > FOREGROUND_S):
                reason = problem.reason if isinstance(problem, SessionClosedError) else ""
                return Outcome(reason or "error", problem)
            tries += 1
            self._owner.on_problem(problem)
            if self._connected_once:
                self._owner.on_state(SessionState.RECONNECTING)
            self._owner.tell("reconnecting", f"{problem} The next try is in {wait:.0f} s.")
            await self._clock.sleep(wait)

    async def _begin(self) -> None:
        self._inbox = asyncio.Queue()
        self.link = self._make_link(self._inbox.put_nowait)
        try:
            await self.link.open(self._owner.wanted())
        except NetworkError as error:
            # The service may hold a session that we know no name of. It ends unused by itself, but
            # another try may leave another, and use up what the account may hold.
            self._orphaned = error.sent == "all" and self.link.signaling.session_id is None
            raise
        finally:
            self._owner.identify(self.link.signaling)
        self._connected_once = True
        self._has_peer(self.link)
        self._owner.on_state(SessionState.CONNECTED)
        self.up.set()

    def _has_peer(self, link: Link) -> None:
        self._flow.reset()
        self._owner.on_peer(link.peer)

    async def _live(self) -> str:
        """Listen and look until the session is over; return why."""
        link = self.link
        assert link is not None
        while True:
            signal = await self._next()
            match signal:
                case None:
                    pass
                case Ended(reason=reason):
                    self._owner.on_event(signal)
                    raise SessionClosedError(
                        f"The service ended the session: {reason}.", reason=reason
                    )
                case SignalingLost(error=error):
                    raise error
                case RestartWanted(ice_servers=servers):
                    if not self._newer_restart():
                        await self._restart(link, servers)
                case PeerChanged(state=state):
                    if state in ("failed", "closed"):
                        await self._recover(link, f"the peer {state}")
                case _:
                    self._owner.on_event(signal)
            await self._watch(link)
            reason_to_stop = self._owner.look(self._clock.now())
            if reason_to_stop is not None:
                return reason_to_stop

    async def _watch(self, link: Link) -> None:
        sending = self._owner.sending_since()
        video = None if link.peer is None else link.peer.video_in
        last = None if video is None else video.counters().last_packet_s
        if sending is None or last is None:
            self._flow.reset()  # where nothing goes in, nothing need come out
            return
        now = self._clock.now()
        match self._flow.look(max(last, sending), now):
            case Flow.STALLED:
                self._owner.tell("stalled", round(now - last, 2))
            case Flow.FLOWING:
                self._owner.tell("resumed", None)
            case Flow.LOST:
                await self._recover(link, f"nothing came for {now - last:.1f} s")

    async def _restart(self, link: Link, servers: tuple[IceServer, ...]) -> None:
        self._owner.on_peer(None)
        await link.restart(servers)
        self._has_peer(link)
        self._owner.tell("restarted", None)

    async def _recover(self, link: Link, why: str) -> None:
        """Bring the media back on the same session, or raise what stands in the way."""
        lost = WebRTCError(f"The media connection was lost: {why}.")
        if not link.signaling.can_reoffer:
            raise lost
        self._owner.on_state(SessionState.RECONNECTING)
        self._owner.tell("reconnecting", str(lost))
        began, wait = self._clock.now(), 0.5
        while True:
            try:
                await self._restart(link, link.signaling.ice_servers)
            except NetworkError:
                # The network is away: the session is held, since it may be there when it is back.
                if link.over.is_set() or self._clock.now() - began + wait > RECOVER_S:
                    raise
                await self._clock.sleep(wait)
                wait = min(wait * 2, 5.0)
            except DecartSDKError as error:
                if permanent(error) and not isinstance(error, SessionClosedError):
                    raise lost from error  # this session refuses; a new one may not
                raise
            else:
                self._owner.on_state(SessionState.CONNECTED)
                return

    async def _next(self) -> Signal | None:
        """Return what was heard next, or None when it is time to look around."""
        if not self._inbox.empty():
            return self._inbox.get_nowait()
        heard = asyncio.ensure_future(self._inbox.get())
        timer = asyncio.ensure_future(self._clock.sleep(LOOK_S))
        try:
            await asyncio.wait((heard, timer), return_when=asyncio.FIRST_COMPLETED)
            return heard.result() if heard.done() else None
        finally:
            timer.cancel()
            heard.cancel()

    def _newer_restart(self) -> bool:
        waiting = list(self._inbox._queue)  # type: ignore[attr-defined]  # looked at, not taken
        return any(isinstance(signal, (RestartWanted, Ended)) for signal in waiting)

    async def _let_go(self) -> None:
        """End the session at the service, as far as it can be reached; raise nothing."""
        self.up.clear()
        link, self.link = self.link, None
        if link is None:
            return
        self._owner.on_peer(None)
        summary: Summary | None = None
        try:
            async with asyncio.timeout(END_S):
                summary = await link.end()
        except TimeoutError:
            self._owner.on_problem(NetworkError("The service did not answer when it was ended."))
        except DecartSDKError as error:
            self._owner.on_problem(error)
        finally:
            with contextlib.suppress(DecartSDKError):
                await link.aclose()
        self._owner.on_gone(summary)


def _as_ours(error: BaseException) -> DecartSDKError:
    if isinstance(error, DecartSDKError):
        return error
    ours = WebRTCError(f"The session broke: {type(error).__name__}.")
    ours.__cause__ = error
    return ours
