"""A service of the imagination: signaling and peers that do as a test says, by a clock of hand.

For orders of events that a real network would produce once in a thousand runs. What happens on real
sockets is tested against the emulator.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from decart_lab.contract.realtime import Candidate, Ended, IceServer, ServerEvent
from decart_lab.errors import DecartSDKError, SessionClosedError, WebRTCError
from decart_lab.realtime.link import Link
from decart_lab.realtime.signaling.base import Change, Reoffer, Summary


@dataclass
class Service:
    """Every session that was created, and what is to go wrong next.

    Attributes
    ----------
    refusals : list
        Errors for the next openings, in order; None lets one through.
    reoffers : list
        The same for offers on a session that goes on.
    media : list of str
        How the next peers end up: "connected" (by default), "failed" or "never".
    """

    can_reoffer: bool = True
    refusals: list[DecartSDKError | None] = field(default_factory=list)
    reoffers: list[DecartSDKError | None] = field(default_factory=list)
    media: list[str] = field(default_factory=list)
    sessions: list[ScriptedSignaling] = field(default_factory=list)
    peers: list[ScriptedPeer] = field(default_factory=list)

    @property
    def running(self) -> list[ScriptedSignaling]:
        """Sessions that are still billed."""
        return [session for session in self.sessions if session.opened and not session.over]

    def say(self, event: ServerEvent | DecartSDKError) -> None:
        """Have the newest session say something, or break."""
        self.sessions[-1].say(event)

    def link(self, clock: Any) -> Callable[[Callable[..., None]], Link]:
        """Return what a keeper makes its links with."""

        def make_peer(ice_servers: Sequence[IceServer], on_state: Callable[[str], None]) -> Any:
            peer = ScriptedPeer(self, on_state)
            self.peers.append(peer)
            return peer

        def make(post: Callable[..., None]) -> Link:
            signaling = ScriptedSignaling(self, f"rs_{len(self.sessions)}")
            self.sessions.append(signaling)
            return Link(signaling, make_peer, post, clock)

        return make


class ScriptedSignaling:
    """One session's signaling."""

    def __init__(self, service: Service, session_id: str) -> None:
        self.session_id: str | None = None
        self.ice_servers: tuple[IceServer, ...] = ()
        self.subscribe_token = self.expires_at = self.simulated = None
        self.can_reoffer = service.can_reoffer
        self.opened = self.over = False
        self.ends = 0
        self.initial: Change | None = None
        self.changes: list[Change] = []
        self._name = session_id
        self._service = service
        self._said: asyncio.Queue[ServerEvent | DecartSDKError] = asyncio.Queue()

    def say(self, event: ServerEvent | DecartSDKError) -> None:
        self.over |= isinstance(event, Ended | SessionClosedError)
        self._said.put_nowait(event)

    async def open(self, offer_sdp: str, initial: Change) -> str:
        refusal = self._service.refusals.pop(0) if self._service.refusals else None
        if refusal is not None:
            raise refusal
        self.opened, self.session_id, self.initial = True, self._name, initial
        return "answer"

    async def events(self) -> AsyncIterator[ServerEvent]:
        while True:
            said = await self._said.get()
            if isinstance(said, DecartSDKError):
                raise said
            yield said
            if isinstance(said, Ended):
                return

    async def send_candidates(self, candidates: Sequence[Candidate | None]) -> None:
        raise AssertionError("a client on aiortc has no candidates to send")

    async def reoffer(self, offer_sdp: str) -> Reoffer:
        if self.over:
            raise SessionClosedError("over")
        refusal = self._service.reoffers.pop(0) if self._service.reoffers else None
        if refusal is not None:
            raise refusal
        return Reoffer("answer", ())

    async def change(self, change: Change) -> None:
        if self.over:
            raise SessionClosedError("over")
        self.changes.append(change)

    async def state(self) -> dict[str, Any]:
        return {}

    def farewell(self) -> None:
        return None

    async def end(self) -> Summary | None:
        self.ends += 1
        self.over = True
        return Summary(math.nan, "disconnect")

    async def aclose(self) -> None:
        pass


class ScriptedPeer:
    """A peer whose media comes about as the script says."""

    def __init__(self, service: Service, on_state: Callable[[str], None]) -> None:
        self.state = "new"
        self.video_in: Any = self
        self.audio_in = None
        self.candidates = None
        self.last_packet_s: float | None = None
        self.closed = False
        self._fate = service.media.pop(0) if service.media else "connected"
        self._on_state = on_state

    def counters(self) -> ScriptedPeer:
        return self

    async def offer(self) -> str:
        return "offer"

    async def accept(self, answer_sdp: str) -> None:
        if self._fate != "never":
            asyncio.get_running_loop().call_soon(self.become, self._fate)

    def become(self, state: str) -> None:
        if not self.closed:
            self.state = state
            self._on_state(state)

    async def add_candidate(self, candidate: Candidate | None) -> None:
        if candidate is not None and candidate.candidate == "nonsense":
            raise WebRTCError("not a candidate")

    async def retire(self) -> None:
        """Make room for another."""
        await self.close()

    async def close(self) -> None:
        self.closed = True
        self.state = "closed"
