"""Media that is in a page: the browser owns the connection, and we ask the service for answers.

What belongs here: peers that are told to a page and told of by it. The page's camera and the
service exchange media directly; the key, and everything that bills, stays here. A page speaks from
any thread, through :meth:`PagePeers.heard`; what it says is checked, for it may be anything.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..contract.realtime import Candidate, IceServer
from ..errors import WebRTCError
from ..media.rtc.sdp import InvalidSDP, check_sdp
from .peer import PeerStats

if TYPE_CHECKING:
    from ..media.rtc.incoming import AudioIn, VideoIn

OFFER_S: Final = 60.0
"""How long a page may take for its offer: somebody may have to allow the camera first."""
MAX_CANDIDATES: Final = 200
_STATES: Final = ("new", "connecting", "connected", "failed", "closed")
_REASON: Final = 300

Send = Callable[[Mapping[str, Any]], object]


class PagePeers:
    """Makes peers in a page, one at a time.

    Parameters
    ----------
    send : callable
        Takes a message for the page.
    wishes : mapping
        What the page is to send: ``source``, ``size``, ``fps``, ``audio``.
    """

    def __init__(self, send: Send, wishes: Mapping[str, Any]) -> None:
        self._send = send
        self._wishes = wishes
        self._made = 0
        self.peer: PagePeer | None = None

    def make(self, ice_servers: Sequence[IceServer], on_state: Callable[[str], None]) -> PagePeer:
        """Return a peer that has not offered yet; the one before is of the past."""
        self._made += 1
        self.peer = PagePeer(self._made, self._send, self._wishes, ice_servers, on_state)
        return self.peer

    def heard(self, content: Mapping[str, Any]) -> None:
        """Take what a page says; from any thread."""
        peer = self.peer
        if peer is not None and content.get("gen") == peer.gen:
            peer.heard(content)


class PagePeer:
    """A connection of the page's, for one negotiation; see :class:`.peer.Peer`.

    Parameters
    ----------
    gen : int
        Its number: what is said of another is of the past.
    send, wishes
        As for :class:`PagePeers`.
    ice_servers : sequence of IceServer
        STUN and TURN servers.
    on_state : callable
        Called on the loop with every new state.

    Attributes
    ----------
    candidates : asyncio.Queue
        The page's candidates after its offer, to be sent to the service; None ends them.
    """

    def __init__(
        self,
        gen: int,
        send: Send,
        wishes: Mapping[str, Any],
        ice_servers: Sequence[IceServer],
        on_state: Callable[[str], None],
    ) -> None:
        self.gen = gen
        self.state = "new"
        self.video_in: VideoIn | None = None  # media is not here
        self.audio_in: AudioIn | None = None
        self.diagnostics: list[str] = []
        self.codec: str | None = None
        self.figures: Mapping[str, Any] = {}
        self.candidates: asyncio.Queue[Candidate | None] = asyncio.Queue(MAX_CANDIDATES)
        self._send = send
        self._wishes = wishes
        self._ice_servers = ice_servers
        self._on_state = on_state
        self._loop = asyncio.get_running_loop()
        self._offer: asyncio.Future[str] = self._loop.create_future()
        self._retired = False

    async def offer(self) -> str:
        """Ask the page for its offer and wait for it, as long as somebody has to be asked.

        Raises
        ------
        WebRTCError
            The page has no camera, may not use it, or does not answer.
        """
        servers = [
            {"urls": list(one.urls), "username": one.username, "credential": one.credential}
            for one in self._ice_servers
        ]
        self._tell("offer?", **self._wishes, ice_servers=servers)
        try:
            async with asyncio.timeout(OFFER_S):
                return await self._offer
        except TimeoutError:
            raise WebRTCError(
                f"The page made no offer within {OFFER_S:.0f} seconds.",
                hint="Show the live view, and allow the camera when the browser asks.",
            ) from None

    async def accept(self, answer_sdp: str) -> None:
        """Hand the service's answer to the page."""
        self._tell("answer", sdp=answer_sdp)

    async def add_candidate(self, candidate: Candidate | None) -> None:
        """Hand a candidate of the service to the page; None ends the list."""
        self._tell("candidate", candidate=None if candidate is None else candidate.as_json())

    async def stats(self) -> PeerStats:
        """Return how the connection fares, as the page told last."""
        count, real = self._count, self._real
        return PeerStats(
            rtt_s=real("rtt_s"),
            loss=real("loss"),
            jitter_s=real("jitter_s"),
            bytes_in=count("bytes_in"),
            bytes_out=count("bytes_out"),
            packets_in=count("packets_in"),
            packets_out=count("packets_out"),
            last_packet_s=None,
            frames_in=count("frames_in"),
            frames_out=count("frames_out"),
        )

    async def retire(self) -> None:
        """Make room for another peer, whose offer ends this one: the camera stays on meanwhile."""
        self._retired = True
        self._change("closed")

    async def close(self) -> None:
        """Have the page close it; camera and microphone go off with it."""
        if not self._retired:
            self._retired = True
            self._tell("close")  # also when its connection is closed: the camera may be on
            self._change("closed")

    def heard(self, content: Mapping[str, Any]) -> None:
        """Take what the page says of it; from any thread."""
        self._loop.call_soon_threadsafe(self._hear, content)

    def _hear(self, content: Mapping[str, Any]) -> None:
        match content.get("op"):
            case "offer" if not self._offer.done():
                try:
                    self._offer.set_result(check_sdp(content.get("sdp"), "offer"))
                except InvalidSDP as error:
                    self._fail(f"The page's offer cannot be used. {error}")
            case "candidate" if not self.candidates.full():
                self.candidates.put_nowait(_candidate(content.get("candidate")))
            case "state":
                state = content.get("state")
                if state == "failed" and content.get("error"):
                    self._fail(str(content["error"])[:_REASON])
                if state in _STATES:
                    self._change(str(state))
            case "stats":
                stats = content.get("stats")
                self.figures = stats if isinstance(stats, dict) else {}

    def _fail(self, why: str) -> None:
        if not self._offer.done():
            self._offer.set_exception(WebRTCError(why))

    def _change(self, state: str) -> None:
        if state != self.state and self.state != "closed":
            self.state = state
            self._on_state(state)

    def _tell(self, op: str, **content: Any) -> None:
        self._send({"op": op, "gen": self.gen, **content})

    def _real(self, name: str) -> float:
        value = self.figures.get(name)
        return float(value) if isinstance(value, int | float) else math.nan

    def _count(self, name: str) -> int:
        value = self._real(name)
        return int(value) if math.isfinite(value) else 0


def _candidate(row: object) -> Candidate | None:
    if not isinstance(row, dict) or not isinstance(row.get("candidate"), str):
        return None
    mid, index = row.get("sdpMid"), row.get("sdpMLineIndex")
    return Candidate(
        row["candidate"],
        mid if isinstance(mid, str) else None,
        index if isinstance(index, int) else None,
    )
