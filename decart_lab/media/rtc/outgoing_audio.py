"""Sound that is sent: twenty milliseconds at a time, silence where there is none.

What belongs here: :class:`AudioOut`, which takes sound from any thread and feeds it, as Opus, to
any number of connections. Opus is encoded on the loop: a frame takes a fifth of a millisecond,
less than handing it to another thread and back.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from aiortc import RTCRtpTransceiver
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from .frames import AUDIO_CLOCK, EncodedFrame
from .outgoing import sending

_log = logging.getLogger("decart_lab")

FRAME: Final = 960
"""Samples in each packet: 20 ms at 48 kHz, what every receiver of Opus expects."""
FRAME_S: Final = FRAME / AUDIO_CLOCK
MAX_WAITING_S: Final = 0.2
"""Sound that may wait, in seconds; of more, the oldest is left out."""
CUSHION: Final = 2 * FRAME
"""Samples that must be there before sound goes on after silence; uneven supply is not heard."""
BITRATE: Final = 64_000

Sink = Callable[[EncodedFrame], None]


@dataclass(frozen=True, slots=True)
class SoundCounters:
    """What has been sent so far.

    Attributes
    ----------
    packets : int
        Packets handed over, silence included, each once.
    silent : int
        Those among them made up because no sound was there.
    dropped_s : float
        Sound left out because it came faster than time passes, in seconds.
    """

    packets: int
    silent: int
    dropped_s: float


class AudioOut:
    """Where a session's outgoing sound goes; outlives its connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resampler = _resampler()
        self._feeds: list[_Feed] = []
        self._sinks: list[Sink] = []
        self._packets = self._silent = self._dropped = 0
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether anybody is being sent to."""
        return any(feed.live for feed in self._feeds)

    def put(self, frame: av.AudioFrame) -> None:
        """Send sound of any rate and layout; from any thread, at once, without waiting.

        Before a connection is up nothing is kept. The frame's time is not looked at: sound is
        sent as it comes, one second per second.
        """
        with self._lock:
            if self._closed or not self.connected:
                return
            try:
                made = self._resampler.resample(frame)
            except ValueError:  # the rate or layout has changed
                self._resampler = _resampler()
                made = self._resampler.resample(frame)
            samples = [part.to_ndarray().reshape(-1, 2) for part in made]
            for feed in self._feeds:
                if feed.live:
                    self._dropped += feed.add(samples)

    def bind(self, transceiver: RTCRtpTransceiver) -> None:
        """Send to this connection too; call it before the offer or the answer is made."""
        feed = _Feed(self)
        transceiver.sender.replaceTrack(feed)
        transceiver.direction = sending(transceiver.direction)
        with self._lock:
            if self._closed:
                feed.stop()
                return
            self._feeds.append(feed)

    def add_sink(self, sink: Sink) -> None:
        """Call ``sink`` on the loop with every packet as it is sent."""
        with self._lock:
            self._sinks = [*self._sinks, sink]

    def remove_sink(self, sink: Sink) -> None:
        """Take a sink away again."""
        with self._lock:
            self._sinks = [other for other in self._sinks if other != sink]

    def counters(self) -> SoundCounters:
        """Return what has been sent so far."""
        with self._lock:
            return SoundCounters(self._packets, self._silent, self._dropped / AUDIO_CLOCK)

    def close(self) -> None:
        """End every feed; idempotent, from any thread."""
        with self._lock:
            self._closed = True
            feeds, self._feeds = self._feeds, []
        for feed in feeds:
            feed.stop()

    def _sent(self, feed: _Feed, frame: EncodedFrame, *, real: bool) -> None:
        with self._lock:
            if not self._feeds or feed is not self._feeds[0]:
                return
            self._packets += 1
            self._silent += not real
            sinks = self._sinks
        for sink in sinks:
            try:
                sink(frame)
            except Exception:  # noqa: BLE001 - somebody else's; the sound goes on
                _log.exception("A sink of the outgoing sound failed; the sound goes on.")

    def _forget(self, feed: _Feed) -> None:
        with self._lock:
            self._feeds = [other for other in self._feeds if other is not feed]


class _Feed(MediaStreamTrack):
    """One connection's end: a track that yields a packet of Opus every twenty milliseconds."""

    kind = "audio"

    def __init__(self, out: AudioOut) -> None:
        super().__init__()
        self._out = out
        self._taking = threading.Lock()
        self._samples = np.zeros((0, 2), np.int16)
        self._starved = True
        self._encoder = _opus()
        self._began_s: float | None = None
        self._ticks = 0

    @property
    def live(self) -> bool:
        """Whether aiortc is taking sound: the connection is up."""
        return self._began_s is not None and self.readyState == "live"

    def add(self, samples: list[Any]) -> int:
        """Take sound in; the number of samples that were left out for it."""
        with self._taking:
            waiting = np.concatenate([self._samples, *samples])
            surplus = max(0, len(waiting) - round(MAX_WAITING_S * AUDIO_CLOCK))
            self._samples = waiting[surplus:]
            return surplus

    async def recv(self) -> av.Packet[Any]:
        """Return the next packet when it is due."""
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s
        due_s = self._began_s + self._ticks / AUDIO_CLOCK
        if now_s - due_s > MAX_WAITING_S:  # the loop was held up: go on from here
            self._ticks += FRAME * int((now_s - due_s) / FRAME_S)
        elif due_s > now_s:
            await asyncio.sleep(due_s - now_s)
        if self.readyState != "live":
            raise MediaStreamError
        part, real = self._take()
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = AUDIO_CLOCK, self._ticks
        frame.time_base = Fraction(1, AUDIO_CLOCK)
        data = b"".join(map(bytes, self._encoder.encode(frame)))
        made = EncodedFrame("opus", data, self._ticks, AUDIO_CLOCK, True, time.monotonic())
        self._ticks += FRAME
        self._out._sent(self, made, real=real)
        packet = av.Packet(data)
        packet.pts, packet.time_base = made.timestamp, frame.time_base
        return packet

    def _take(self) -> tuple[Any, bool]:
        """Return the next twenty milliseconds, and whether they are more than silence."""
        with self._taking:
            if self._starved and len(self._samples) < CUSHION:
                return np.zeros((FRAME, 2), np.int16), False
            part, self._samples = self._samples[:FRAME], self._samples[FRAME:]
            self._starved = len(part) < FRAME
        if not self._starved:
            return part, True
        return np.concatenate([part, np.zeros((FRAME - len(part), 2), np.int16)]), len(part) > 0

    def stop(self) -> None:
        """End with the connection; aiortc calls it."""
        super().stop()
        self._out._forget(self)


def _resampler() -> av.AudioResampler:
    return av.AudioResampler(format="s16", layout="stereo", rate=AUDIO_CLOCK)


def _opus() -> av.AudioCodecContext:
    context = av.CodecContext.create("libopus", "w")
    context.bit_rate, context.sample_rate = BITRATE, AUDIO_CLOCK
    context.format, context.layout = "s16", "stereo"
    context.time_base = Fraction(1, AUDIO_CLOCK)
    context.options = {"application": "audio", "frame_duration": "20"}
    return context
