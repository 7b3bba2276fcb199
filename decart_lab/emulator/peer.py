"""The emulator's end of a realtime session's media: frames come in, are painted, and go back.

What belongs here: one negotiated connection, the viewers who watch its output, and what can be
made to go wrong with it. Painting is in :mod:`.studio`, connections and codecs in
:mod:`decart_lab.media.rtc`. Signaling, states of sessions and money are :mod:`.session`'s.

aiortc knows no ICE restart: a new offer gets a new peer, over the same painter (wire contract,
section 7.1).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import av
from aiortc import RTCRtpTransceiver

from ..contract.realtime import Candidate
from ..media.rtc import connection as rtc
from ..media.rtc.incoming import AudioIn, VideoIn
from ..media.rtc.outgoing import VideoOut
from ..media.rtc.outgoing_audio import AudioOut
from .live import LivePainter
from .peer_faults import Loss, silence
from .studio import Studio


class LivePeer:
    """One connection to a client. Used from one event loop; every call may be cancelled.

    Parameters
    ----------
    painter : LivePainter
        What paints; it outlives the peer.
    on_state : callable
        Called on the loop with "connecting", "connected", "failed" and "closed".
    on_first_frame : callable, optional
        Called on the loop, once, when the first generated frame has been handed out.
    loopback : bool
        Whether to offer 127.0.0.1 too.

    Attributes
    ----------
    frames_out : int
        Generated frames handed out.
    """

    def __init__(
        self,
        *,
        painter: LivePainter,
        on_state: Callable[[str], None],
        on_first_frame: Callable[[], None] | None = None,
        loopback: bool = True,
    ) -> None:
        self.frames_out = 0
        self._loop = asyncio.get_running_loop()
        self._painter = painter
        self._on_state = on_state
        self._on_first_frame = on_first_frame
        self._loopback = loopback
        self._connection = rtc.make_connection(loopback=loopback)
        self._connection.on("connectionstatechange", self._tell_state)
        self._viewers: dict[str, rtc.Connection] = {}
        self._video = VideoOut(fps=painter.fps)
        self._audio = AudioOut()
        self._inputs: list[VideoIn | AudioIn] = []
        self._loss = Loss()
        self._held = self._frozen = self._closed = False
        self._studio = Studio(painter, self._give)

    @property
    def last_media_s(self) -> float | None:
        """When video or sound last came, on ``time.monotonic()``; None before, and when closed."""
        times = [taken.counters().last_packet_s for taken in self._inputs]
        return max((time_s for time_s in times if time_s is not None), default=None)

    async def answer(self, offer_sdp: str) -> str:
        """Answer the client's offer, once; all candidates are in the answer.

        Raises
        ------
        InvalidSDP
            It cannot be used. Close the peer then.
        """
        connection = self._connection
        await rtc.set_remote(connection, offer_sdp, "offer")
        for transceiver in self._first_of_each_kind(connection):
            self._take_in(transceiver)
        self._send_on(connection)
        await connection.setLocalDescription()
        return str(connection.localDescription.sdp)

    async def add_candidate(self, candidate: Candidate | None) -> None:
        """Take a candidate of the client; None ends their list.

        Raises
        ------
        InvalidSDP
            It is none.
        """
        await rtc.add_candidate(self._connection, candidate)

    def candidates(self) -> list[Candidate]:
        """Return our own candidates, as they stand in the answer."""
        return [Candidate(*row) for row in rtc.local_candidates(self._connection)]

    async def add_viewer(self, offer_sdp: str) -> tuple[str, str]:
        """Let somebody watch and hear what the client gets; return a name and the answer.

        Raises
        ------
        InvalidSDP
            The offer cannot be used; nobody was let in.
        """
        viewer = rtc.make_connection(loopback=self._loopback)
        name = f"viewer_{secrets.token_hex(6)}"
        self._viewers[name] = viewer
        try:
            await rtc.set_remote(viewer, offer_sdp, "offer")
            self._send_on(viewer)
            await viewer.setLocalDescription()
        except BaseException:
            await self.remove_viewer(name)
            raise

        async def leave() -> None:
            if viewer.connectionState in ("failed", "closed"):
                await self.remove_viewer(name)

        viewer.on("connectionstatechange", leave)
        return name, str(viewer.localDescription.sdp)

    async def remove_viewer(self, name: str) -> None:
        """End a viewer's connection; one who is gone already is no error."""
        viewer = self._viewers.pop(name, None)
        if viewer is not None:
            await rtc.close(viewer)

    async def close(self) -> None:
        """End all connections and threads within seconds; the painter goes on. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(
            rtc.close(self._connection), *(self.remove_viewer(name) for name in [*self._viewers])
        )
        for taken in self._inputs:
            taken.close()
        self._audio.close()
        await asyncio.to_thread(self._studio.close)
        await asyncio.to_thread(self._video.close)
        self._on_state("closed")
        # Nothing may wait for Python's collector, which does not know how large FFmpeg's memory is.
        self._inputs.clear()
        self._connection.remove_all_listeners()
        self._on_state, self._on_first_frame = _unheard, None

    # -- what goes wrong when it is told to ------------------------------------------------------

    def hold(self, held: bool) -> None:
        """Hand out no frames, as while a machine is starting; False begins."""
        self._held = held
        self._studio.frozen = self._held or self._frozen

    def freeze(self, frozen: bool) -> None:
        """Stop what goes out, picture and sound, or let it go on; the connection stays."""
        self._frozen = frozen
        self._studio.frozen = self._held or self._frozen

    def lose(self, share: float) -> None:
        """Lose a share of outgoing RTP packets, 0 to 1, by a pattern that repeats itself."""
        self._loss.share = share

    def drop(self) -> None:
        """Cut the line: from now on nothing is sent and nothing heard, for good."""
        silence(self._connection)

    @property
    def lost(self) -> int:
        """Packets that :meth:`lose` has left out."""
        return self._loss.lost

    # -- inside ----------------------------------------------------------------------------------

    def _take_in(self, transceiver: RTCRtpTransceiver) -> None:
        if transceiver.kind == "video":
            if not self._painter.is_avatar:
                video = VideoIn(transceiver)
                video.add_frame_sink(self._studio.put)
                self._inputs.append(video)
        else:
            audio = AudioIn(transceiver)
            audio.add_frame_sink(self._take_sound)
            self._inputs.append(audio)

    def _send_on(self, connection: rtc.Connection) -> None:
        for transceiver in self._first_of_each_kind(connection):
            out: VideoOut | AudioOut = self._video if transceiver.kind == "video" else self._audio
            out.bind(transceiver)
        self._loss.apply(connection)

    def _first_of_each_kind(self, connection: rtc.Connection) -> list[RTCRtpTransceiver]:
        found: dict[str, RTCRtpTransceiver] = {}
        for transceiver in connection.getTransceivers():
            found.setdefault(transceiver.kind, transceiver)
        return list(found.values())

    def _take_sound(self, frame: av.AudioFrame) -> None:
        self._studio.hear(frame)
        if not (self._held or self._frozen):
            self._audio.put(frame)

    def _give(self, frame: av.VideoFrame) -> None:
        """Hand out a painted frame; in the studio's thread."""
        if not self._video.connected:
            return
        self._video.put(frame)
        self.frames_out += 1
        if self.frames_out == 1 and self._on_first_frame is not None:
            self._loop.call_soon_threadsafe(self._on_first_frame)

    async def _tell_state(self, *_: Any) -> None:
        state = self._connection.connectionState
        if state in ("connecting", "connected", "failed") and not self._closed:
            self._on_state(state)


def _unheard(_: str) -> None:
    pass
