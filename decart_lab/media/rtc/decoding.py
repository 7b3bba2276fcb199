"""Decoding in a thread of its own, for whoever wants pixels or sound.

What belongs here: the bounded queue in front of a decoder, and what happens when the decoder
cannot follow or does not understand. Where frames come from is ``incoming``'s business.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, cast

import av
from av.codec.context import Flags

from .frames import EncodedFrame

_log = logging.getLogger("decart_lab")

MAX_WAITING: Final = 30
"""Encoded frames that may wait for the decoder; then all wait for the next key frame."""
_DECODERS: Final = {"h264": "h264", "vp8": "vp8", "opus": "libopus"}

Decoded = av.VideoFrame | av.AudioFrame


class Decoder:
    """Decodes frames one after another, beginning with a key frame.

    Parameters
    ----------
    deliver : callable
        Called with every decoded frame, whose ``pts`` counts the sender's RTP ticks, from the
        decoder's thread.
    want_key : callable
        Called, from any thread, when only a key frame helps.
    """

    def __init__(
        self, deliver: Callable[[Any], None], want_key: Callable[[], None], *, name: str
    ) -> None:
        self._deliver = deliver
        self._want_key = want_key
        self._wake = threading.Condition()
        self._waiting: deque[EncodedFrame] = deque()
        self._closed = False
        self._needs_key = True
        self._contexts: dict[str, Any] = {}
        self.dropped = 0
        self.failures = 0
        self.decode_ms = float("nan")
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def push(self, frame: EncodedFrame) -> None:
        """Take a frame, at once, without waiting."""
        with self._wake:
            if len(self._waiting) >= MAX_WAITING:
                self.dropped += len(self._waiting)
                self._waiting.clear()
                self._needs_key = True
            if self._needs_key and not frame.key:
                self.dropped += 1
                late = True
            else:
                self._needs_key = late = False
                self._waiting.append(frame)
                self._wake.notify()
        if late:
            self._want_key()

    def close(self, *, within_s: float = 1.0) -> None:
        """End the thread; idempotent, and harmless from the thread itself."""
        with self._wake:
            self._closed = True
            self._waiting.clear()
            self._wake.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(within_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                frame = self._waiting.popleft()
            began_s = time.monotonic()
            try:
                decoded = self._decode(frame)
            except (av.FFmpegError, ValueError):
                with self._wake:
                    self.failures += 1
                    self._needs_key = True
                    self._waiting.clear()
                    self._contexts.clear()
                self._want_key()
                continue
            took_ms = (time.monotonic() - began_s) * 1e3
            known = self.decode_ms == self.decode_ms
            self.decode_ms = self.decode_ms + 0.1 * (took_ms - self.decode_ms) if known else took_ms
            for one in decoded:
                try:
                    self._deliver(one)
                except Exception:  # noqa: BLE001 - somebody else's; the video goes on
                    _log.exception("A consumer of frames failed; the frames go on.")

    def _decode(self, frame: EncodedFrame) -> list[Decoded]:
        context = self._contexts.get(frame.codec)
        if context is None:
            context = cast(Any, av.CodecContext.create(_DECODERS[frame.codec], "r"))
            context.thread_count = 1
            context.flags |= Flags.low_delay  # a live stream has no frames out of order to wait for
            if frame.codec == "opus":
                context.format, context.layout, context.sample_rate = "s16", "stereo", 48_000
            self._contexts[frame.codec] = context
        packet = av.Packet(frame.data)
        packet.pts, packet.time_base = frame.timestamp, Fraction(1, frame.clock_rate)
        decoded: list[Decoded] = context.decode(packet)
        for one in decoded:
            one.time_base = packet.time_base
        return decoded
