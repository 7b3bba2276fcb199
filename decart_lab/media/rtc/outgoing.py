"""Video that is sent: newest picture first, encoded in a thread of its own.

What belongs here: :class:`VideoOut`, which takes pictures or encoded packets from any thread and
feeds them to any number of connections. How a picture is encoded is ``encoder``'s, what receivers
ask for is ``feedback``'s, sound is ``outgoing_audio``'s.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import av
from aiortc import RTCRtpTransceiver

from .connection import VideoCodec
from .encoder import Encoded, VideoEncoder
from .feed import Feed
from .feedback import LossControl, listen
from .frames import VIDEO_CLOCK, EncodedFrame, Timeline, is_key

_log = logging.getLogger("decart_lab")

DEFAULT_BITRATE: Final = 2_500_000
MAX_WAITING: Final = 60
"""Packets that may wait where a source sends them encoded; then all wait for the next key frame."""
KEY_GAP_S: Final = 0.25
"""Requests for a key frame within this time are one."""

Sink = Callable[[EncodedFrame], None]


@dataclass(frozen=True, slots=True)
class SendCounters:
    """What has been sent so far, all connections together.

    Attributes
    ----------
    frames_in : int
        Frames put in while a connection was up.
    frames_sent : int
        Frames that were handed to the network, once each.
    dropped : int
        Frames that a newer one replaced, that could not be encoded, or that a connection did not
        take in time (for each of them).
    bytes : int
        Encoded size of what was handed over, all connections together.
    encode_ms : float
        Mean time to encode a frame, over the last ones; NaN before the first.
    key_frames : int
        Frames with which decoding can begin.
    bitrate : int
        Bits per second aimed at now; below the wish while packets are being lost.
    """

    frames_in: int
    frames_sent: int
    dropped: int
    bytes: int
    encode_ms: float
    key_frames: int
    bitrate: int


class VideoOut:
    """Where a session's outgoing video goes; outlives its connections.

    Parameters
    ----------
    bitrate : int, optional
        Bits per second, 2,500,000 unless told otherwise; may be changed at any time.
    fps : float, default 25.0
        What the rate control reckons with.

    Attributes
    ----------
    diagnostics : list of str
        What works less well than it could, as sentences.
    """

    def __init__(self, *, bitrate: int | None = None, fps: float = 25.0) -> None:
        self._control = LossControl(bitrate or DEFAULT_BITRATE)
        self._fps = fps
        self._line = Timeline(VIDEO_CLOCK)
        self._wake = threading.Condition()
        self._waiting: deque[tuple[av.VideoFrame | av.Packet[Any], int]] = deque()
        self._feeds: list[Feed] = []
        self._sinks: list[Sink] = []
        self._encoders: dict[str, VideoEncoder] = {}
        self._decoder: av.VideoCodecContext | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._key_wanted = False
        self._key_at_s = float("-inf")
        self._skipping = False  # encoded packets, until the next key frame
        self._in = self._sent = self._dropped = self._bytes = self._keys = 0
        self._sent_ticks = -1
        self._encode_ms = float("nan")
        self.diagnostics: list[str] = []

    @property
    def bitrate(self) -> int:
        """Bits per second wished for."""
        return self._control.target

    @bitrate.setter
    def bitrate(self, value: int) -> None:
        self._control.target = value

    @property
    def connected(self) -> bool:
        """Whether anybody is being sent to."""
        return any(feed.live for feed in self._feeds)

    def put(self, item: av.VideoFrame | av.Packet[Any]) -> None:
        """Send a frame; from any thread, at once, without waiting.

        Parameters
        ----------
        item : av.VideoFrame or av.Packet
            A picture, or a frame of H.264 in Annex B with parameter sets before every key frame
            and no B-frames. A picture that is still waiting is replaced. Before a connection is
            up, nothing is kept and nothing counted.

        Raises
        ------
        ValueError
            A packet that is not Annex B.
        """
        if isinstance(item, av.Packet) and not bytes(memoryview(item)[:4]).startswith(_STARTS):
            raise ValueError("A packet to send must be H.264 in Annex B form.")
        with self._wake:
            if self._closed or not self.connected:
                return
            self._in += 1
            ticks = self._line.ticks(item.pts, item.time_base)
            if isinstance(item, av.Packet):
                self._queue_packet(item, ticks)
            else:
                if self._waiting and not isinstance(self._waiting[-1][0], av.Packet):
                    self._waiting.pop()
                    self._dropped += 1
                self._waiting.append((item, ticks))
            self._wake.notify()

    def bind(self, transceiver: RTCRtpTransceiver) -> None:
        """Send to this connection too; call it before the offer or the answer is made.

        It ends by itself with the connection. Several may be bound: a frame is encoded once for
        every codec among them.
        """
        feed = Feed(transceiver, on_sent=self._handed, on_gap=self._gap, on_end=self._forget)
        transceiver.sender.replaceTrack(feed)
        transceiver.direction = sending(transceiver.direction)
        if not listen(transceiver.sender, on_key=self.request_key, on_loss=self._control.report):
            self._say("This aiortc does not tell of key frames wanted; they come every 2 s.")
        with self._wake:
            if self._closed:
                feed.stop()
                return
            self._feeds.append(feed)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="decart-video-out", daemon=True
                )
                self._thread.start()

    def request_key(self) -> None:
        """Make one of the next frames a key frame."""
        with self._wake:
            self._key_wanted = True

    def add_sink(self, sink: Sink) -> None:
        """Call ``sink`` with every frame as it is sent, from the encoding thread."""
        with self._wake:
            self._sinks = [*self._sinks, sink]
            self._key_wanted = True

    def remove_sink(self, sink: Sink) -> None:
        """Take a sink away again."""
        with self._wake:
            self._sinks = [other for other in self._sinks if other != sink]

    def counters(self) -> SendCounters:
        """Return what has been sent so far."""
        with self._wake:
            return SendCounters(
                self._in, self._sent, self._dropped, self._bytes, self._encode_ms, self._keys,
                self._control.bitrate,
            )  # fmt: skip

    def close(self) -> None:
        """End the thread and every feed; idempotent. Takes as long as one frame at most."""
        with self._wake:
            self._closed = True
            self._waiting.clear()
            feeds, self._feeds = self._feeds, []
            self._wake.notify_all()
        for feed in feeds:
            feed.end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)
            if not self._thread.is_alive():  # ten megabytes each that Python's collector cannot see
                self._encoders.clear()
                self._decoder = None

    def _queue_packet(self, packet: av.Packet[Any], ticks: int) -> None:
        if len(self._waiting) >= MAX_WAITING:  # frames refer to their forerunners: all or none
            self._dropped += len(self._waiting)
            self._waiting.clear()
            self._skipping = True
        if self._skipping and not packet.is_keyframe:
            self._dropped += 1
            return
        self._skipping = False
        self._waiting.append((packet, ticks))

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                item, ticks = self._waiting.popleft()
                feeds = [feed for feed in self._feeds if feed.live]
            try:
                self._send(item, ticks, feeds)
            except Exception as exc:  # noqa: BLE001 - one bad frame must not end the video
                with self._wake:
                    self._dropped += 1
                    self._say(f"A frame could not be encoded ({type(exc).__name__}).")
            del item

    def _send(self, item: av.VideoFrame | av.Packet[Any], ticks: int, feeds: list[Feed]) -> None:
        picture: av.VideoFrame | None = None if isinstance(item, av.Packet) else item
        if isinstance(item, av.Packet) and any(feed.codec != "h264" for feed in feeds):
            picture = self._decoded(item)
        for number, codec in enumerate(dict.fromkeys(feed.codec for feed in feeds)):
            takers = [feed for feed in feeds if feed.codec == codec]
            made: Encoded | None
            if isinstance(item, av.Packet) and codec == "h264":
                data = bytes(item)
                made = Encoded(data, ticks, is_key("h264", data))
            elif picture is not None:
                made = self._encoded(codec, picture, ticks, any(f.needs_key for f in takers))
            else:
                made = None
            taken = 0 if made is None else sum(feed.push(made) for feed in takers)
            with self._wake:
                self._dropped += len(takers) - taken
            if made is not None and number == 0:
                self._tell(codec, made)

    def _encoded(
        self, codec: VideoCodec, picture: av.VideoFrame, ticks: int, needs_key: bool
    ) -> Encoded | None:
        encoder = self._encoders.get(codec)
        if encoder is None:
            every_s = 2.0 if self.diagnostics else 10.0
            encoder = VideoEncoder(codec, bitrate=0, fps=self._fps, key_every_s=every_s)
            self._encoders[codec] = encoder
        began_s = time.monotonic()
        with self._wake:
            encoder.bitrate = self._control.bitrate
            due = self._key_wanted and began_s - self._key_at_s >= KEY_GAP_S
        made = encoder.encode(picture, ticks, key=due or needs_key)
        with self._wake:
            if made is not None and made.key:
                self._key_wanted, self._key_at_s = False, began_s
            took_ms = (time.monotonic() - began_s) * 1e3
            known = self._encode_ms == self._encode_ms
            self._encode_ms += 0.1 * (took_ms - self._encode_ms) if known else 0.0
            self._encode_ms = self._encode_ms if known else took_ms
        return made

    def _decoded(self, packet: av.Packet[Any]) -> av.VideoFrame | None:
        if self._decoder is None:
            self._decoder = av.CodecContext.create("h264", "r")
        with contextlib.suppress(av.FFmpegError):
            frames = self._decoder.decode(packet)
            return frames[-1] if frames else None
        return None

    def _handed(self, made: Encoded) -> None:
        with self._wake:
            self._bytes += len(made.data)
            if made.ticks > self._sent_ticks:  # each once, however many connections there are
                self._sent_ticks = made.ticks
                self._sent += 1
                self._keys += made.key

    def _gap(self, frames: int) -> None:
        with self._wake:
            self._dropped += frames
        self.request_key()

    def _tell(self, codec: str, made: Encoded) -> None:
        if not self._sinks:
            return
        frame = EncodedFrame(codec, made.data, made.ticks, VIDEO_CLOCK, made.key, time.monotonic())
        for sink in self._sinks:
            try:
                sink(frame)
            except Exception:  # noqa: BLE001 - somebody else's; the video goes on
                _log.exception("A sink of the outgoing video failed; the video goes on.")

    def _say(self, sentence: str) -> None:
        if sentence not in self.diagnostics and len(self.diagnostics) < 20:
            self.diagnostics.append(sentence)

    def _forget(self, feed: Feed) -> None:
        with self._wake:
            self._feeds = [other for other in self._feeds if other is not feed]


_STARTS: Final = (b"\x00\x00\x01", b"\x00\x00\x00\x01")


def sending(direction: str) -> str:
    """Return a transceiver's direction with sending added."""
    return {"recvonly": "sendrecv", "inactive": "sendonly"}.get(direction, direction)
