"""A stream of really encoded frames, and a page that draws and acknowledges them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from decart_lab.media.rtc.decoding import Decoder
from decart_lab.media.rtc.encoder import VideoEncoder
from decart_lab.media.rtc.frames import VIDEO_CLOCK, EncodedFrame
from decart_lab.widgets.feed import Feed

from .peers import picture

CAPS = {"webcodecs": True, "h264": True, "vp8": True, "dpr": 1, "width": 320, "height": 176}
PLAIN = {**CAPS, "webcodecs": False, "h264": False, "vp8": False}


class Stream:
    """What a connection's incoming video offers, and an outgoing one: each ``next()`` is a frame.

    It is its own peer, so that it can be attached to a hub.
    """

    def __init__(self, codec: str = "h264", fps: int = 20) -> None:
        self.codec, self.fps = codec, fps
        self.number = self.asked = 0
        self.audio_in = None
        self.sinks: list[Callable[[EncodedFrame], object]] = []
        self.frame_sinks: list[Callable[[Any], object]] = []
        self._encoder = VideoEncoder(codec, bitrate=400_000, fps=fps)  # type: ignore[arg-type]
        self._decoder: Decoder | None = None
        self._key = True

    @property
    def video_in(self) -> Stream:
        return self

    def next(self) -> EncodedFrame:
        self.number += 1
        ticks = self.number * VIDEO_CLOCK // self.fps
        made = self._encoder.encode(picture(self.number, fps=self.fps), ticks, key=self._key)
        assert made is not None
        self._key = False
        frame = EncodedFrame(self.codec, made.data, ticks, VIDEO_CLOCK, made.key, time.monotonic())
        for sink in list(self.sinks):
            sink(frame)
        if self._decoder is not None:
            self._decoder.push(frame)
        return frame

    def request_key(self) -> None:
        self.asked += 1
        self._key = True

    def add_sink(self, sink: Callable[[EncodedFrame], object]) -> None:
        self.sinks.append(sink)

    def remove_sink(self, sink: Callable[[EncodedFrame], object]) -> None:
        self.sinks.remove(sink)

    def add_frame_sink(self, sink: Callable[[Any], object]) -> None:
        self.frame_sinks.append(sink)
        self._decoder = Decoder(self._deliver, self.request_key, name="test-decoder")
        self.request_key()

    def remove_frame_sink(self, sink: Callable[[Any], object]) -> None:
        self.frame_sinks.remove(sink)
        if not self.frame_sinks and self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def _deliver(self, frame: Any) -> None:
        for sink in list(self.frame_sinks):
            sink(frame)


class Page:
    """A page with views: keeps what it is sent, and acknowledges it at once unless told not to."""

    def __init__(self) -> None:
        self.feed: Feed | None = None
        self.answers = True
        self.frames: deque[tuple[dict[str, Any], bytes]] = deque()
        self.threads: set[threading.Thread] = set()

    def send(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        self.threads.add(threading.current_thread())
        self.frames.append((content, buffers[0]))
        if self.answers and self.feed is not None:
            for view, number in addressed(content):
                self.feed.ack({"kind": "ack", "drawn": [[view, content["of"], number, 0, None]]})

    def of(self, view: str, of: str = "output") -> list[tuple[dict[str, Any], bytes]]:
        """What one view was sent, each message with the number that is the view's own."""
        found = []
        for content, data in list(self.frames):
            for v, i in addressed(content):
                if v == view and content["of"] == of:
                    found.append(({**content, "v": v, "i": i}, data))
        return found


def addressed(content: dict[str, Any]) -> list[tuple[str, int]]:
    views, numbers = content["v"], content["i"]
    if isinstance(views, list):
        return list(zip(views, numbers, strict=True))
    return [(views, numbers)]


def wait(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait for what another thread does; fail loudly where it does not."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)
