"""A second's figures, gathered from the peer, the tracks and the marks of frames.

What belongs here: reading counters and turning them into rates. What the columns mean is
:mod:`.stats`'s. Unknown is NaN.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .hub import Hub

if TYPE_CHECKING:
    import av

    from ..media.rtc.frames import EncodedFrame
    from .latency import Latency
    from .link import AnyPeer
    from .peer import PeerStats
    from .uplink import Uplink


EVENTS_S: Final = 3.0
"""How late the service's first word may be after the first frame, in seconds."""
_COUNTED: Final = ("frames_in", "bytes_in", "frames_out", "bytes_out")
WAITING: Final = 60
"""Encoded frames that may wait for their pixels."""


class Measure:
    """Watches one session's media.

    Parameters
    ----------
    hub : Hub
        Where frames can be listened to.
    latency : Latency or None
        Matches marks; None measures no latency.
    uplink : Uplink or None
        What goes out.
    on_frame : callable
        Called for every received frame with its RTP time in seconds, size in bytes, whether it is
        a key frame, and its mark and latency in milliseconds as far as they are known.
    """

    def __init__(
        self,
        hub: Hub,
        latency: Latency | None,
        uplink: Uplink | None,
        on_frame: Callable[..., object],
    ) -> None:
        self._latency = latency
        self._uplink = uplink
        self._on_frame = on_frame
        self._peer: AnyPeer | None = None
        self._told: PeerStats | None = None
        self._asking: asyncio.Task[None] | None = None
        self._before: dict[str, float] = {}
        self._then = -math.inf
        self._unknown: Counter[str] = Counter()
        self._totals = {"frames_in": 0, "bytes_in": 0}
        self._waiting: dict[int, tuple[float, int, bool]] = {}  # encoded, not decoded yet
        self._seen_diagnostics: list[str] = []
        self._waiting_since: float | None = None
        self._held_back = False
        hub.add_video(self._on_encoded)
        if latency is not None:
            hub.add_pixels(self._on_pixels)

    def attach(self, peer: AnyPeer | None) -> None:
        """Read this peer's counters from now on."""
        self._peer = peer
        self._told = None
        if peer is not None and peer.video_in is not None:
            self._seen_diagnostics = list(peer.video_in.diagnostics)

    def unknown(self, name: str) -> None:
        """Count an event that nobody knows."""
        self._unknown[name] += 1

    def expect_events(self, waiting: bool, now: float) -> None:
        """Note it when frames come and the service's events do not: something holds them back."""
        if not waiting or not self._totals["frames_in"]:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since > EVENTS_S:
            self._held_back = True

    def diagnostics(self) -> list[str]:
        """Return what is not as it should be, in sentences."""
        held = (
            ["Frames come, and the service's events do not: a proxy may be holding them back."]
            if self._held_back
            else []
        )
        odd = [f"Unknown event {name!r}, {count} times." for name, count in self._unknown.items()]
        return [*self._seen_diagnostics, *held, *odd]

    def second(self, now: float) -> dict[str, Any] | None:
        """Return the figures since the last time, at most once a second."""
        if now - self._then < 1.0:
            return None
        passed = now - self._then
        self._then = now
        self._ask()
        counts = self._counts()
        before, self._before = self._before, counts
        if not before:
            return None

        def rate(name: str) -> float:
            # A new peer counts from nothing.
            return max(0.0, counts[name] - before[name]) / passed

        told, latency = self._told, self._latency
        video = None if self._peer is None else self._peer.video_in
        out = None if self._uplink is None else self._uplink.video_out
        received = None if video is None else video.counters()
        sent = None if out is None else out.counters()
        sends = sent is not None or (self._peer is not None and video is None)
        return {
            "fps_in": rate("frames_in"),
            "kbps_in": rate("bytes_in") * 8 / 1000,
            "fps_out": rate("frames_out") if sends else math.nan,
            "kbps_out": rate("bytes_out") * 8 / 1000 if sends else math.nan,
            "rtt_ms": math.nan if told is None else told.rtt_s * 1e3,
            "loss": math.nan if told is None else told.loss,
            "jitter_ms": math.nan if told is None else told.jitter_s * 1e3,
            "g2g_p50_ms": math.nan if latency is None else latency.percentile(0.5),
            "g2g_p95_ms": math.nan if latency is None else latency.percentile(0.95),
            "marker_rate": math.nan if latency is None else latency.rate,
            "dropped_in": 0 if received is None else received.dropped + received.decode_dropped,
            "dropped_out": 0 if sent is None else sent.dropped,
            "freezes": 0 if received is None else received.freezes,
            "decode_ms": math.nan if received is None else received.decode_ms,
            "encode_ms": math.nan if sent is None else sent.encode_ms,
        }

    def _counts(self) -> dict[str, float]:
        out = None if self._uplink is None else self._uplink.video_out
        sent = None if out is None else out.counters()
        told = self._told
        if told is not None and self._peer is not None and self._peer.video_in is None:
            # The media is in a page, which counts for itself.
            return {name: getattr(told, name) for name in _COUNTED}
        return {
            **self._totals,
            "frames_out": 0 if sent is None else sent.frames_sent,
            "bytes_out": 0 if sent is None else sent.bytes,
        }

    def _ask(self) -> None:
        peer = self._peer
        if peer is None or (self._asking is not None and not self._asking.done()):
            return

        async def ask() -> None:
            with contextlib.suppress(Exception):  # figures are never worth a session
                self._told = await peer.stats()

        self._asking = asyncio.create_task(ask())

    def _on_encoded(self, frame: EncodedFrame) -> None:
        self._totals["frames_in"] += 1
        self._totals["bytes_in"] += len(frame.data)
        facts = (frame.timestamp / frame.clock_rate, len(frame.data), frame.key)
        if self._latency is None:
            self._on_frame(*facts, None, math.nan)
            return
        self._waiting[frame.timestamp] = facts
        while len(self._waiting) > WAITING:  # what was never decoded
            self._on_frame(*self._waiting.pop(next(iter(self._waiting))), None, math.nan)

    def _on_pixels(self, frame: av.VideoFrame) -> None:
        """From the decoder's thread: read the mark."""
        from ..media.marker import read

        assert self._latency is not None
        now = time.monotonic()
        mark = read(frame)
        ms = self._latency.returned(mark, now)
        facts = self._waiting.pop(frame.pts or 0, None)
        if facts is not None:
            self._on_frame(*facts, mark, ms)
