"""Media that is received: encoded frames for whoever taps, pixels for whoever wants them.

What belongs here: :class:`VideoIn` and :class:`AudioIn`, which hang on to one receiver of aiortc,
and what they count. Putting packets together is ``assembly``'s, decoding is ``decoding``'s.

How they get at the packets: aiortc's receiver hands every packet, after retransmissions are
unwrapped and missing ones asked for, to its jitter buffer. On our own receivers that buffer is
replaced with a :class:`_Tap`; nothing of aiortc's classes is changed. An aiortc that has no such
buffer works as it comes, without taps, and ``diagnostics`` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiortc import RTCRtpTransceiver
from aiortc.mediastreams import MediaStreamError

from .assembly import Assembler, Packet, begins_frame
from .decoding import Decoder
from .frames import EncodedFrame, Unwrapper, is_key

_log = logging.getLogger("decart_lab")

SKIP_S: Final = 0.12
"""How long a missing packet holds up the video, in seconds."""
SOUND_SKIP_S: Final = 0.06
NACK_S: Final = 0.03
"""How often missing packets are asked for again, in seconds."""
KEY_GAP_S: Final = 0.25
"""Requests for a key frame within this time are one."""
_BUFFER: Final = "_RTCRtpReceiver__jitter_buffer"

Sink = Callable[[EncodedFrame], None]


@dataclass(frozen=True, slots=True)
class ReceiveCounters:
    """What has been received so far.

    Attributes
    ----------
    packets, bytes : int
        Packets, and bytes of media in them.
    expected, missed : int
        Packets that must have been sent, and those that were not there when a later one came.
    lost : int
        Packets that were given up, after they had been asked for again.
    frames : int
        Complete frames that can be decoded.
    dropped : int
        Frames left out because one before them is missing.
    decode_dropped : int
        Frames that came faster than they could be decoded, or that could not be.
    freezes : int
        Gaps between frames of more than three mean intervals and of more than the mean plus
        150 ms (as W3C's statistics count them).
    jitter_s, decode_ms : float
        Mean deviation of frames' arrival (RFC 3550), and mean time to decode; NaN before.
    last_packet_s, last_frame_s : float or None
        When the last came, on ``time.monotonic()``.
    """

    packets: int
    bytes: int
    expected: int
    missed: int
    lost: int
    frames: int
    dropped: int
    decode_dropped: int
    freezes: int
    jitter_s: float
    decode_ms: float
    last_packet_s: float | None
    last_frame_s: float | None


class _Incoming:
    """What video and sound have in common. Made on the loop that the connection lives on.

    Parameters
    ----------
    transceiver : RTCRtpTransceiver
        Whose receiver to tap; at once after it was made, before media flows.
    tap : bool, default True
        False leaves aiortc's receive path as it is.
    """

    _kind = "video"
    _skip_s = SKIP_S

    def __init__(self, transceiver: RTCRtpTransceiver, *, tap: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        self._transceiver = transceiver
        self._receiver = transceiver.receiver
        self._lock = threading.Lock()
        self._sinks: dict[Sink, bool] = {}  # with whether it has had its key frame
        self._frame_sinks: list[Callable[[Any], None]] = []
        self._decoder: Decoder | None = None
        self._assembler = self._new_assembler()
        self._unwrap = Unwrapper()
        self._ssrc: int | None = None
        self._codecs: dict[int, tuple[str, int]] = {}
        self._needs_key = self._kind == "video"
        self._asked_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._drainer: asyncio.Task[None] | None = None
        self._closed = False
        self._packets = self._bytes = self._frames = self._dropped = self._freezes = 0
        self._before = (0, 0, 0)  # the totals of streams before this one
        self._interval_s = self._jitter_s = float("nan")
        self._previous_ticks = 0
        self._last_packet_s: float | None = None
        self._last_frame_s: float | None = None
        self.diagnostics: list[str] = []
        self.tapped = tap and self._install()
        if not self.tapped:
            self.diagnostics.append(
                f"The {self._kind} is received as aiortc does it: a frame later, decoded always, "
                "without encoded frames for recording."
            )

    def add_sink(self, sink: Sink) -> None:
        """Call ``sink`` on the loop with every encoded frame, from the next key frame on."""
        with self._lock:
            self._sinks = {**self._sinks, sink: self._kind != "video"}
        self.request_key()

    def remove_sink(self, sink: Sink) -> None:
        """Take a sink away again."""
        with self._lock:
            self._sinks = {other: on for other, on in self._sinks.items() if other != sink}

    def add_frame_sink(self, sink: Callable[[Any], None]) -> None:
        """Call ``sink`` with every decoded frame, from the decoder's thread; it must not block.

        Decoding begins with the next key frame, which is asked for. ``pts`` counts the sender's
        RTP ticks.
        """
        with self._lock:
            if self._closed:
                return
            self._frame_sinks = [*self._frame_sinks, sink]
            if self._decoder is None and self.tapped:
                self._decoder = Decoder(
                    self._deliver, self.request_key, name=f"decart-{self._kind}-in"
                )
        self.request_key()
        if not self.tapped:
            self._loop.call_soon_threadsafe(self._start_draining)

    def remove_frame_sink(self, sink: Callable[[Any], None]) -> None:
        """Take a sink of decoded frames away; with the last one decoding ends."""
        with self._lock:
            self._frame_sinks = [other for other in self._frame_sinks if other != sink]
            decoder = None if self._frame_sinks else self._decoder
            if decoder is not None:
                self._decoder = None
        if decoder is not None:
            decoder.close()

    def request_key(self) -> None:
        """Ask the sender for a key frame; from any thread, at most four times a second."""
        if self._kind == "video" and not self._closed:
            with contextlib.suppress(RuntimeError):  # the loop has gone
                self._loop.call_soon_threadsafe(self._ask_key)

    def counters(self) -> ReceiveCounters:
        """Return what has been received so far."""
        decoder = self._decoder
        expected, missed, lost = self._totals()
        return ReceiveCounters(
            packets=self._packets,
            bytes=self._bytes,
            expected=expected,
            missed=missed,
            lost=lost,
            frames=self._frames,
            dropped=self._dropped + self._assembler.broken,
            decode_dropped=decoder.dropped + decoder.failures if decoder else 0,
            freezes=self._freezes,
            jitter_s=self._jitter_s,
            decode_ms=decoder.decode_ms if decoder else float("nan"),
            last_packet_s=self._last_packet_s,
            last_frame_s=self._last_frame_s,
        )

    def close(self) -> None:
        """Let go of sinks, timer and thread; idempotent."""
        with self._lock:
            self._closed = True
            self._sinks, self._frame_sinks = {}, []
            decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.close()
        for handle in (self._timer, self._drainer):
            if handle is not None:
                handle.cancel()

    def _totals(self) -> tuple[int, int, int]:
        expected, missed, lost = self._before
        now = self._assembler
        return expected + now.expected, missed + now.missed, lost + now.lost

    # What follows runs on the loop.

    def _new_assembler(self) -> Assembler:
        return Assembler(self._begins, single=self._kind == "audio")

    def _install(self) -> bool:
        buffer = getattr(self._receiver, _BUFFER, None)
        add = getattr(buffer, "add", None)
        if add is None or list(inspect.signature(add).parameters) != ["packet"]:
            return False
        setattr(self._receiver, _BUFFER, _Tap(self._on_packet))
        return True

    def _begins(self, packet: Packet) -> bool:
        return begins_frame(self._codec(packet.payload_type)[0], packet.payload)

    def _codec(self, payload_type: int) -> tuple[str, int]:
        found = self._codecs.get(payload_type)
        if found is None:
            for row in self._transceiver._codecs:
                self._codecs[row.payloadType or 0] = row.name.lower(), row.clockRate
            found = self._codecs.setdefault(payload_type, ("unknown", 90_000))
        return found

    def _on_packet(self, packet: Any) -> None:
        if self._closed:
            return
        now_s = time.monotonic()
        self._packets += 1
        self._bytes += len(packet.payload)
        self._last_packet_s = now_s
        if packet.ssrc != self._ssrc:
            if self._ssrc is not None:  # another sender on the same line
                self._before = self._totals()
                self._assembler = self._new_assembler()
                self._unwrap = Unwrapper()
                self._needs_key = self._kind == "video"
            self._ssrc = packet.ssrc
        for whole in self._assembler.add(packet, now_s):
            self._on_frame(whole.data, whole.timestamp, whole.payload_type, now_s)
        if self._needs_key:
            self._ask_key()
        if self._assembler.gap_since_s is not None and self._timer is None:
            self._timer = self._loop.call_later(NACK_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        since_s = self._assembler.gap_since_s
        if since_s is None or self._closed:
            return
        now_s = time.monotonic()
        if now_s - since_s >= self._skip_s:
            self._needs_key = self._kind == "video"
            for whole in self._assembler.skip():
                self._on_frame(whole.data, whole.timestamp, whole.payload_type, now_s)
            if self._needs_key:
                self._ask_key()
        elif self._kind == "video":
            self._send("_send_rtcp_nack", self._assembler.missing()[:100])
        if self._assembler.gap_since_s is not None:
            self._timer = self._loop.call_later(NACK_S, self._on_timer)

    def _on_frame(self, data: bytes, timestamp: int, payload_type: int, now_s: float) -> None:
        codec, clock_rate = self._codec(payload_type)
        key = is_key(codec, data)
        if self._needs_key:
            if not key:
                self._dropped += 1
                return
            self._needs_key = False
        ticks = self._unwrap(timestamp)
        self._measure(ticks, clock_rate, now_s)
        frame = EncodedFrame(codec, data, ticks, clock_rate, key, now_s)
        for sink, begun in self._sinks.items():
            if begun or key:
                self._call(sink, frame, begun=begun)
        decoder = self._decoder
        if decoder is not None and codec != "unknown":
            decoder.push(frame)

    def _call(self, sink: Sink, frame: EncodedFrame, *, begun: bool) -> None:
        if not begun:
            with self._lock:
                if sink in self._sinks:
                    self._sinks = {**self._sinks, sink: True}
        try:
            sink(frame)
        except Exception:  # noqa: BLE001 - somebody else's; the media goes on
            _log.exception("A consumer of encoded frames failed; the frames go on.")

    def _measure(self, ticks: int, clock_rate: int, now_s: float) -> None:
        self._frames += 1
        last_s, self._last_frame_s = self._last_frame_s, now_s
        step, self._previous_ticks = ticks - self._previous_ticks, ticks
        if last_s is None:
            return
        gap_s = now_s - last_s
        deviation_s = abs(gap_s - step / clock_rate)
        if self._jitter_s != self._jitter_s:
            self._jitter_s, self._interval_s = 0.0, gap_s
        self._jitter_s += (deviation_s - self._jitter_s) / 16
        if gap_s > max(3 * self._interval_s, self._interval_s + 0.15):
            self._freezes += 1
        self._interval_s += (gap_s - self._interval_s) / 16

    def _ask_key(self) -> None:
        now_s = time.monotonic()
        if self._ssrc is not None and now_s - self._asked_s >= KEY_GAP_S:
            self._asked_s = now_s
            self._send("_send_rtcp_pli")

    def _send(self, method: str, *args: Any) -> None:
        send = getattr(self._receiver, method, None)
        if send is not None and self._ssrc is not None:
            task = asyncio.ensure_future(send(self._ssrc, *args))
            task.add_done_callback(_heard)

    def _deliver(self, frame: Any) -> None:
        for sink in self._frame_sinks:
            sink(frame)

    def _start_draining(self) -> None:
        if self._drainer is None and not self._closed:
            self._drainer = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        track: Any = None
        while track is None:  # no description yet
            await asyncio.sleep(0.02)
            track = self._receiver.track
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                now_s = time.monotonic()
                self._frames += 1
                self._last_packet_s = self._last_frame_s = now_s
                self._deliver(frame)


class VideoIn(_Incoming):
    """The video of one connection, encoded and, for whoever asks, decoded."""


class AudioIn(_Incoming):
    """The sound of one connection, encoded and, for whoever asks, decoded."""

    _kind = "audio"
    _skip_s = SOUND_SKIP_S


class _Tap:
    """Stands in an aiortc receiver where its jitter buffer was; it never completes a frame."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        self._take = take

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take a packet; aiortc then neither asks for a key frame nor decodes."""
        try:
            self._take(packet)
        except Exception:  # noqa: BLE001 - an error here would end the connection's receiving task
            _log.exception("A packet could not be taken in.")
        return False, None


def _heard(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.debug("RTCP could not be sent: %s", type(task.exception()).__name__)
