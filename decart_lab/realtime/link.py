"""One session at the service: its signaling and the peer that carries its media.

What belongs here: making, restarting and closing the two together. What happens next is decided
above (:mod:`.session`): everything that is heard is posted to it, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from .._watchdog import guard
from ..contract.realtime import Ended, IceServer, RemoteCandidate, ServerEvent
from ..errors import DecartSDKError, SessionClosedError, WebRTCError
from .signaling.base import Change, Signaling, Summary

if TYPE_CHECKING:
    from .._clock import Clock
    from .browser import PagePeer
    from .peer import Peer

    AnyPeer = Peer | PagePeer
    """With its media in this process, or in a browser's page."""

MEDIA_S: Final = 15.0
"""How long a peer may take to connect after the answer, in seconds."""
NOTHING_S: Final = 1e-6
"""A wait that is only rounding: a clock moved by hand would not move by it."""
STEP_S: Final = 3.0
"""Longest time for one step of closing, in seconds."""


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """The peer that is in use has another state."""

    state: str


@dataclass(frozen=True, slots=True)
class SignalingLost:
    """No further event will come."""

    error: DecartSDKError


Signal = ServerEvent | PeerChanged | SignalingLost


class MakePeer(Protocol):
    """Makes the peer of a link, bound to the session's outgoing tracks."""

    def __call__(
        self, ice_servers: Sequence[IceServer], on_state: Callable[[str], None]
    ) -> AnyPeer:
        """Return a peer that has not offered yet."""
        ...


class Link:
    """A session at the service, from its creation to its end.

    Parameters
    ----------
    signaling : Signaling
        Unopened.
    make_peer : callable
        Makes a peer; called again for every restart, since aiortc cannot restart one.
    post : callable
        Takes what is heard, on the loop.
    clock : Clock
        Time to wait by.
    """

    def __init__(
        self,
        signaling: Signaling,
        make_peer: MakePeer,
        post: Callable[[Signal], None],
        clock: Clock,
    ) -> None:
        self.signaling = signaling
        self.peer: AnyPeer | None = None
        self.over = asyncio.Event()
        self._make_peer = make_peer
        self._post = post
        self._clock = clock
        self._listener: asyncio.Task[None] | None = None
        self._trickling: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._guard = guard(None)

    async def open(self, initial: Change) -> None:
        """Create the session and wait until media is connected.

        Raises
        ------
        WebRTCError
            Also of a cause class. The link must be closed or ended then as well.
        """
        peer = self._new_peer(())
        offer = await peer.offer()
        answer = await self.signaling.open(offer, initial)
        self._guard = guard(self.signaling.farewell())
        self._listener = asyncio.get_running_loop().create_task(self._listen())
        await peer.accept(answer)
        self._trickle(peer)
        await self._connected(peer)

    async def restart(self, ice_servers: Sequence[IceServer]) -> None:
        """Offer a new peer for the same session and wait until it is connected.

        Raises
        ------
        WebRTCError
            The offer was refused, or no media came.
        """
        old, self.peer = self.peer, None
        if old is not None:
            await _capped(old.retire())  # two peers would share the outgoing frames between them
        peer = self._new_peer(ice_servers)
        offer = await peer.offer()
        answer = await self.signaling.reoffer(offer)
        await peer.accept(answer.answer_sdp)
        self._trickle(peer)
        await self._connected(peer)

    async def end(self) -> Summary | None:
        """End the session at the service and close everything here; never hangs.

        Raises
        ------
        WebRTCError
            The service could not be told: it may still be counting.
        """
        try:
            summary = await self.signaling.end()
        except BaseException:
            # The watchdog goes on trying when we cannot, or may not any longer.
            self._guard.fire()
            raise
        else:
            self._guard.release()
            return summary
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close everything here; the service is not told."""
        listener, self._listener = self._listener, None
        for task in (listener, self._trickling):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        peer, self.peer = self.peer, None
        if peer is not None:
            await _capped(peer.close())
        await _capped(self.signaling.aclose())

    def _new_peer(self, ice_servers: Sequence[IceServer]) -> AnyPeer:
        def on_state(state: str) -> None:
            if self.peer is peer:  # what a peer of the past says is of no interest
                self._changed.set()
                self._post(PeerChanged(state))

        peer = self._make_peer(ice_servers, on_state)
        self.peer = peer
        return peer

    async def _connected(self, peer: AnyPeer) -> None:
        """Wait for media; the session's end, or a peer that fails, ends the wait."""
        began = self._clock.now()
        while peer.state not in ("connected", "failed", "closed") and not self.over.is_set():
            left = MEDIA_S - (self._clock.now() - began)
            if left <= NOTHING_S:
                break
            self._changed.clear()
            waits = [
                asyncio.ensure_future(self._changed.wait()),
                asyncio.ensure_future(self.over.wait()),
                asyncio.ensure_future(self._clock.sleep(left)),
            ]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        if self.over.is_set():
            raise SessionClosedError("The session ended before media was connected.")
        if peer.state != "connected":
            raise WebRTCError(
                f"No media connection came about ({peer.state}).",
                hint="Check that UDP to the service is allowed, or that it offers TURN servers.",
            )

    def _trickle(self, peer: AnyPeer) -> None:
        """Send what a peer finds after its offer, as long as it is the one in use."""
        found = peer.candidates
        if found is None:
            return

        async def send() -> None:
            while self.peer is peer:
                candidate = await found.get()
                with contextlib.suppress(DecartSDKError):  # one way less; the others may do
                    await self.signaling.send_candidates([candidate])

        if self._trickling is not None:
            self._trickling.cancel()
        self._trickling = asyncio.get_running_loop().create_task(send())

    async def _listen(self) -> None:
        try:
            async for event in self.signaling.events():
                if isinstance(event, RemoteCandidate):
                    if self.peer is not None:
                        await self.peer.add_candidate(event.candidate)
                    continue
                if isinstance(event, Ended):
                    self.over.set()
                self._post(event)
            if not self.over.is_set():
                self._lost(SessionClosedError("The service ended its events without a word."))
        except DecartSDKError as error:
            self._lost(error)

    def _lost(self, error: DecartSDKError) -> None:
        self.over.set()
        self._post(SignalingLost(error))


async def _capped(closing: object) -> None:
    """Wait for a step of closing, but not for ever; what it raises is of no use to anybody."""
    with contextlib.suppress(TimeoutError, DecartSDKError):
        async with asyncio.timeout(STEP_S):
            await closing  # type: ignore[misc]  # an awaitable
