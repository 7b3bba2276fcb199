"""Where received frames go: to whoever asked, across peers.

A session may have several peers one after another; recorders, previews and callbacks should not
notice. Sinks are told on the loop (encoded) or on the decoder's thread (pixels); a sink that raises
is logged and stops nothing. Pixels are decoded only while somebody asks for them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

    from ..media.rtc.frames import EncodedFrame
    from .link import AnyPeer

_log = logging.getLogger("decart_lab")


class Hub:
    """Fans encoded video, encoded audio and decoded frames out to sinks."""

    def __init__(self) -> None:
        self._video: list[Callable[[EncodedFrame], object]] = []
        self._audio: list[Callable[[EncodedFrame], object]] = []
        self._pixels: list[Callable[[av.VideoFrame], object]] = []
        self._sound: list[Callable[[av.AudioFrame], object]] = []
        self._lock = threading.Lock()
        self._peer: AnyPeer | None = None
        self._decoding = False
        self._hearing = False

    def attach(self, peer: AnyPeer | None) -> None:
        """Take frames from this peer from now on."""
        with self._lock:
            self._detach()
            self._peer = peer
            if peer is None:
                return
            if peer.video_in is not None:
                peer.video_in.add_sink(self._on_video)
            if peer.audio_in is not None:
                peer.audio_in.add_sink(self._on_audio)
            self._decode()

    def add_video(self, sink: Callable[[EncodedFrame], object]) -> None:
        """Tell a sink every encoded frame; it begins with a key frame."""
        self._video = [*self._video, sink]
        self.request_key()

    def add_audio(self, sink: Callable[[EncodedFrame], object]) -> None:
        """Tell a sink every encoded piece of sound."""
        self._audio = [*self._audio, sink]

    def add_pixels(self, sink: Callable[[av.VideoFrame], object]) -> None:
        """Tell a sink every decoded frame."""
        with self._lock:
            self._pixels = [*self._pixels, sink]
            self._decode()

    def add_sound(self, sink: Callable[[av.AudioFrame], object]) -> None:
        """Tell a sink every decoded piece of sound."""
        with self._lock:
            self._sound = [*self._sound, sink]
            self._decode()

    def remove(self, sink: Callable[..., object]) -> None:
        """Stop telling a sink; one that is not there is no error."""
        with self._lock:
            self._video = [other for other in self._video if other != sink]
            self._audio = [other for other in self._audio if other != sink]
            self._pixels = [other for other in self._pixels if other != sink]
            self._sound = [other for other in self._sound if other != sink]
            self._decode()

    def request_key(self) -> None:
        """Ask the sender for a key frame."""
        if self._peer is not None and self._peer.video_in is not None:
            self._peer.video_in.request_key()

    def _detach(self) -> None:
        peer = self._peer
        if peer is None:
            return
        if peer.video_in is not None:
            peer.video_in.remove_sink(self._on_video)
            if self._decoding:
                peer.video_in.remove_frame_sink(self._on_pixels)
        if peer.audio_in is not None:
            peer.audio_in.remove_sink(self._on_audio)
            if self._hearing:
                peer.audio_in.remove_frame_sink(self._on_sound)
        self._decoding = self._hearing = False

    def _decode(self) -> None:
        if self._peer is None:
            return
        video, wanted = self._peer.video_in, bool(self._pixels)
        if video is not None and wanted != self._decoding:
            (video.add_frame_sink if wanted else video.remove_frame_sink)(self._on_pixels)
            self._decoding = wanted
        audio, wanted = self._peer.audio_in, bool(self._sound)
        if audio is not None and wanted != self._hearing:
            (audio.add_frame_sink if wanted else audio.remove_frame_sink)(self._on_sound)
            self._hearing = wanted

    def _on_video(self, frame: EncodedFrame) -> None:
        _tell(self._video, frame)

    def _on_audio(self, frame: EncodedFrame) -> None:
        _tell(self._audio, frame)

    def _on_pixels(self, frame: av.VideoFrame) -> None:
        _tell(self._pixels, frame)

    def _on_sound(self, frame: av.AudioFrame) -> None:
        _tell(self._sound, frame)


def _tell(sinks: list[Any], frame: Any) -> None:
    for sink in sinks:
        try:
            sink(frame)
        except Exception:  # noqa: BLE001 - a user's code may raise anything at all
            _log.exception("A consumer of frames raised; the session goes on.")
