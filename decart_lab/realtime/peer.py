"""One WebRTC connection of a session: what goes out, what comes in, how it fares.

What belongs here: the client's side of one negotiation, over :mod:`..media.rtc`. Signaling,
restarts and deadlines are the session's; what is sent (a VideoOut, an AudioOut) belongs to the
session too and outlives its peers, since aiortc cannot restart a connection and a new one takes
its place.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiortc import RTCRtpTransceiver

from ..contract.realtime import Candidate, IceServer
from ..errors import ResponseError, WebRTCError, combined
from ..media.rtc import connection as rtc
from ..media.rtc.incoming import AudioIn, VideoIn
from ..media.rtc.outgoing import VideoOut
from ..media.rtc.outgoing_audio import AudioOut
from ..media.rtc.sdp import InvalidSDP

_log = logging.getLogger("decart_lab")

MAX_EARLY: Final = 200
"""Candidates that may come before the answer."""


@dataclass(frozen=True, slots=True)
class PeerStats:
    """How a connection fares; what is not known is NaN or None.

    Attributes
    ----------
    rtt_s : float
        Round trip of media reports, smoothed; known only while something is sent.
    loss : float
        Fraction of the packets of video that were not there when later ones came, since the last
        look; sent again, they may have come after all.
    jitter_s : float
        Deviation of the arrival of frames of video from their times (after RFC 3550).
    bytes_in, bytes_out, packets_in, packets_out : int
        Everything that crossed the connection, encryption included.
    last_packet_s : float or None
        When media last came, on ``time.monotonic()``.
    frames_in, frames_out : int
        Frames of video received whole, and sent by the session so far.
    """

    rtt_s: float
    loss: float
    jitter_s: float
    bytes_in: int
    bytes_out: int
    packets_in: int
    packets_out: int
    last_packet_s: float | None
    frames_in: int
    frames_out: int


class Peer:
    """One connection, for one negotiation. Use it from the loop it was made on.

    Parameters
    ----------
    ice_servers : iterable of IceServer
        STUN and TURN servers; none by default.
    video_out, audio_out : VideoOut, AudioOut, optional
        What to send; they go on when the peer ends.
    receive_video, receive_audio : bool, default True
        What to receive. There is always a line for sound in the offer, since an offer of video
        alone is reported to stall (wire contract, 7.2).
    preferred_codec : {"h264", "vp8"}, optional
        What to offer first; H.264 unless told otherwise, which takes a third of the time to encode.
    loopback : bool, default True
        Whether to offer 127.0.0.1, for a service on this machine.
    on_state : callable
        Called on the loop with every new state.

    Attributes
    ----------
    state : str
        "new", "connecting", "connected", "failed" or "closed".
    video_in, audio_in : VideoIn, AudioIn or None
        What is received, from the offer on.
    """

    def __init__(
        self,
        *,
        ice_servers: Iterable[IceServer] = (),
        video_out: VideoOut | None = None,
        audio_out: AudioOut | None = None,
        receive_video: bool = True,
        receive_audio: bool = True,
        preferred_codec: rtc.VideoCodec | None = None,
        loopback: bool = True,
        on_state: Callable[[str], None],
    ) -> None:
        self.state = "new"
        self.video_in: VideoIn | None = None
        self.audio_in: AudioIn | None = None
        self.candidates: asyncio.Queue[Candidate | None] | None = None  # all are in the offer
        self._video_out = video_out
        self._on_state = on_state
        self._answered = False
        self._early: list[Candidate | None] = []
        self._ignored: list[str] = []
        self._counted = (0, 0)  # packets of video expected and missed, at the last look
        self._closing: asyncio.Task[bool] | None = None
        self._connection = rtc.make_connection(ice_servers, loopback=loopback)
        self._connection.on("connectionstatechange", self._on_change)
        self._video = self._line("video", sends=video_out is not None, receives=receive_video)
        self._audio = self._line("audio", sends=audio_out is not None, receives=receive_audio)
        rtc.prefer_codec(self._video, preferred_codec or "h264")
        if video_out is not None:
            video_out.bind(self._video)
        if audio_out is not None:
            audio_out.bind(self._audio)
        if receive_video:
            self.video_in = VideoIn(self._video)
        if receive_audio:
            self.audio_in = AudioIn(self._audio)

    @property
    def diagnostics(self) -> list[str]:
        """What works less well than it could, as sentences."""
        parts: list[Any] = [self.video_in, self.audio_in, self._video_out]
        return [text for part in parts if part for text in part.diagnostics] + self._ignored

    @property
    def codec(self) -> str | None:
        """The codec of the video, once it is agreed on: "h264" or "vp8"."""
        return rtc.negotiated_codec(self._video)

    async def offer(self) -> str:
        """Return the offer, with every candidate in it.

        That takes milliseconds without servers, :data:`..media.rtc.connection.GATHER_S` at most
        with STUN and :data:`..media.rtc.connection.RELAY_GATHER_S` with TURN.

        Raises
        ------
        WebRTCError
            The peer has been closed.
        """
        try:
            await self._connection.setLocalDescription()
            return str(self._connection.localDescription.sdp)
        except Exception as exc:  # noqa: BLE001 - aiortc raises errors of its own kinds
            raise WebRTCError(f"No offer could be made ({type(exc).__name__}).") from None

    async def accept(self, answer_sdp: str) -> None:
        """Use the service's answer; the connection then comes about by itself.

        Raises
        ------
        WebRTCError
            Also a ResponseError: the answer cannot be used. Close the peer then.
        """
        try:
            await rtc.set_remote(self._connection, answer_sdp, "answer")
        except InvalidSDP as exc:
            raise combined(WebRTCError, ResponseError)(
                f"The service's description of its media cannot be used. {exc}"
            ) from None
        self._answered = True
        early, self._early = self._early, []
        for candidate in early:
            await self.add_candidate(candidate)

    async def add_candidate(self, candidate: Candidate | None) -> None:
        """Add a candidate of the service; None ends the list.

        One that makes no sense is left out and told in ``diagnostics``: others may do. Those that
        come before the answer are kept for it.
        """
        if not self._answered:
            if len(self._early) < MAX_EARLY:
                self._early.append(candidate)
            return
        try:
            await rtc.add_candidate(self._connection, candidate)
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with it, the session goes on
            says = str(exc) if isinstance(exc, InvalidSDP) else type(exc).__name__
            if len(self._ignored) < 20:
                self._ignored.append(f"A candidate of the service was left out. {says}")

    async def stats(self) -> PeerStats:
        """Return how the connection fares."""
        report = await self._connection.getStats()
        rows = list(report.values())
        transport = next((row for row in rows if row.type == "transport"), None)
        rtts = [row.roundTripTime for row in rows if row.type == "remote-inbound-rtp"]
        video = self.video_in.counters() if self.video_in else None
        sound = self.audio_in.counters() if self.audio_in else None
        loss = math.nan
        if video is not None:
            before, self._counted = self._counted, (video.expected, video.missed)
            expected, missed = video.expected - before[0], video.missed - before[1]
            loss = missed / expected if expected > 0 else math.nan
        lasts = [c.last_packet_s for c in (video, sound) if c and c.last_packet_s is not None]
        return PeerStats(
            rtt_s=next((rtt for rtt in rtts if rtt is not None), math.nan),
            loss=loss,
            jitter_s=video.jitter_s if video else math.nan,
            bytes_in=transport.bytesReceived if transport else 0,
            bytes_out=transport.bytesSent if transport else 0,
            packets_in=transport.packetsReceived if transport else 0,
            packets_out=transport.packetsSent if transport else 0,
            last_packet_s=max(lasts, default=None),
            frames_in=video.frames if video else 0,
            frames_out=self._video_out.counters().frames_sent if self._video_out else 0,
        )

    async def retire(self) -> None:
        """Make room for another peer: close this one."""
        await self.close()

    async def close(self) -> None:
        """End the connection and its threads, within three seconds; idempotent.

        What is sent goes on and can be bound to another peer.
        """
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> bool:
        closed = await rtc.close(self._connection)
        for received in (self.video_in, self.audio_in):
            if received is not None:
                received.close()
        self._tell("closed")
        return closed

    def _line(self, kind: str, *, sends: bool, receives: bool) -> RTCRtpTransceiver:
        direction = "sendrecv" if sends and receives else "sendonly" if sends else "recvonly"
        return self._connection.addTransceiver(kind, direction=direction)

    def _on_change(self) -> None:
        self._tell(self._connection.connectionState)

    def _tell(self, state: str) -> None:
        if state == self.state or self.state == "closed":
            return
        self.state = state
        try:
            self._on_state(state)
        except Exception:  # noqa: BLE001 - its trouble is not the connection's
            _log.exception("A listener to a peer's state failed.")
