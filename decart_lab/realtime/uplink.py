"""What goes out: one source at a time, into tracks that outlive peers and sources alike.

The source pushes from threads of its own; here frames are counted, marked when latency is measured,
and handed to the encoder. A source can be replaced while the session runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..media.marker import COUNTERS

if TYPE_CHECKING:
    import av

    from ..media.rtc.outgoing import VideoOut
    from ..media.rtc.outgoing_audio import AudioOut
    from ..media.sources import Source
    from .latency import Latency

QUIET_S: Final = 1.0
"""A source that has pushed nothing for so long is not sending, in seconds."""


class Uplink:
    """The sink of sources.

    Parameters
    ----------
    video, audio : VideoOut, AudioOut or None
        Where frames and sound go.
    latency : Latency or None
        Told when a marked frame goes out; None leaves frames unmarked.
    on_ended : callable
        Called from the source's thread when it has nothing more to send, with an error or None.
    """

    def __init__(
        self,
        video: VideoOut | None,
        audio: AudioOut | None,
        latency: Latency | None,
        on_ended: Callable[[BaseException | None], object],
    ) -> None:
        self.video_out = video
        self.audio_out = audio
        self.source: Source | None = None
        self.muted = False
        self._latency = latency
        self._on_ended = on_ended
        self._counter = 0
        self._last_s: float | None = None
        self._since_s: float | None = None
        self._lock = threading.Lock()

    def start(self, source: Source | None) -> None:
        """Send from this source from now on; the one before is stopped."""
        with self._lock:
            old, self.source = self.source, source
        if old is not None:
            old.stop()
        if source is not None:
            source.start(self)

    def close(self) -> None:
        """Send no more, and end the encoders."""
        self.start(None)
        for track in (self.video_out, self.audio_out):
            if track is not None:
                track.close()

    def sending_since(self) -> float | None:
        """Return since when frames have gone out without a pause, on the monotonic clock."""
        last, since = self._last_s, self._since_s
        if last is None or time.monotonic() - last > QUIET_S:
            return None
        return since

    def video(self, item: av.VideoFrame | av.Packet[Any]) -> None:
        """Take a frame from the source, or a packet that is encoded already."""
        if self.video_out is None or self.muted:
            return
        now = time.monotonic()
        if self._last_s is None or now - self._last_s > QUIET_S:
            self._since_s = now
        self._last_s = now
        if self._latency is not None and hasattr(item, "planes"):
            self._mark(item, now)
        self.video_out.put(item)

    def audio(self, frame: av.AudioFrame) -> None:
        """Take a piece of sound from the source."""
        if self.audio_out is not None and not self.muted:
            self.audio_out.put(frame)

    def ended(self, error: BaseException | None = None) -> None:
        """Note that the source has nothing more to send."""
        self._on_ended(error)

    def _mark(self, frame: Any, now: float) -> None:
        from ..media.marker import stamp

        assert self._latency is not None
        self._counter = (self._counter + 1) % COUNTERS
        if stamp(frame, self._counter):
            self._latency.sent(self._counter, now)
