"""One connection's end of the video that is sent: a track that yields encoded packets.

What belongs here: what aiortc wants of a track, and the queue between the encoding thread and the
loop. aiortc stops a track for good when its connection ends, so every connection has a feed of its
own, and the video behind it goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import av
from aiortc import RTCRtpTransceiver
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from .connection import VideoCodec, negotiated_codec
from .encoder import Encoded
from .frames import VIDEO_CLOCK

MAX_UNSENT: Final = 30
"""Encoded frames that may wait for one connection."""
_TICK: Final = Fraction(1, VIDEO_CLOCK)


class Feed(MediaStreamTrack):
    """A track that yields what is pushed into it, bounded.

    Parameters
    ----------
    transceiver : RTCRtpTransceiver
        Whose sender takes the frames; the codec agreed on is read from it.
    on_sent : callable
        Called with every frame that aiortc has taken.
    on_gap : callable
        Called when frames had to be left out, with their number; a key frame is needed then.
    on_end : callable
        Called with the feed when its connection has ended.
    """

    kind = "video"

    def __init__(
        self,
        transceiver: RTCRtpTransceiver,
        *,
        on_sent: Callable[[Encoded], None],
        on_gap: Callable[[int], None],
        on_end: Callable[[Feed], None],
    ) -> None:
        super().__init__()
        self._transceiver = transceiver
        self._on_sent = on_sent
        self._on_gap = on_gap
        self._on_end = on_end
        self._taker: asyncio.AbstractEventLoop | None = None
        self._filled = asyncio.Event()
        self._unsent: deque[Encoded] = deque()
        self.codec: VideoCodec = "vp8"
        self.needs_key = True

    @property
    def live(self) -> bool:
        """Whether aiortc is taking frames: the connection is up."""
        return self._taker is not None and self.readyState == "live"

    async def recv(self) -> av.Packet[Any]:
        """Return the next encoded frame."""
        if self._taker is None:
            self.codec = "h264" if negotiated_codec(self._transceiver) == "h264" else "vp8"
            self._taker = asyncio.get_running_loop()
        while not self._unsent:
            if self.readyState != "live":
                raise MediaStreamError
            self._filled.clear()
            if not self._unsent:  # one may have come in between
                await self._filled.wait()
        made = self._unsent.popleft()
        self._on_sent(made)
        packet = av.Packet(made.data)
        packet.pts, packet.time_base = made.ticks, _TICK
        return packet

    def push(self, made: Encoded) -> bool:
        """Take a frame for sending, from the encoding thread; False when it is left out."""
        if self.needs_key and not made.key:
            return False
        if len(self._unsent) >= MAX_UNSENT:  # what follows a gap cannot be decoded
            self.needs_key = True
            self._on_gap(len(self._unsent))
            self._unsent.clear()
            return False
        self.needs_key = False
        self._unsent.append(made)
        self._notify()
        return True

    def stop(self) -> None:
        """End with the connection; aiortc calls it."""
        super().stop()
        self._on_end(self)

    def end(self) -> None:
        """End with the VideoOut, from any thread."""
        super().stop()
        self._notify()

    def _notify(self) -> None:
        if self._taker is not None:
            with contextlib.suppress(RuntimeError):  # a loop that has gone wants nothing
                self._taker.call_soon_threadsafe(self._filled.set)
