"""Where the preview's frames come from.

What belongs here: listening to a session's output and input only while somebody looks, and having
them decoded only while somebody needs pictures. Frames are only put down here, on the media's own
threads; the sending thread picks them up.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from ..media.rtc.decoding import Decoder
from ..media.rtc.frames import EncodedFrame
from ..realtime.hub import Hub
from .delivery import Delivery

if TYPE_CHECKING:
    import av

MOST_WAITING: Final = 60
"""Encoded frames that may wait for the sending thread; then all wait for the next key frame."""
PIXELS_S: Final = 5.0
"""How long decoding goes on after the last view that needs it, in seconds."""


class Outlet(Protocol):
    """What a session's outgoing video offers (``media.rtc.outgoing.VideoOut``)."""

    def add_sink(self, sink: Callable[[EncodedFrame], None]) -> None:
        """Tell a sink every frame."""

    def remove_sink(self, sink: Callable[[EncodedFrame], None]) -> None:
        """Tell it no more."""

    def request_key(self) -> None:
        """Make one of the next frames a key frame."""


class Tap(ABC):
    """A stream: encoded while somebody looks, decoded while somebody needs it.

    Parameters
    ----------
    wake : callable
        Called when something has come.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._frames: deque[EncodedFrame] = deque(maxlen=MOST_WAITING + 1)
        self._newest: av.VideoFrame | None = None
        self._encoded = self._pixels = False
        self._needed_s = float("-inf")

    def deliver(self, delivery: Delivery) -> None:
        """Hand over what has come since; of pictures only the newest."""
        now = time.monotonic()
        if len(self._frames) > MOST_WAITING:
            self._frames.clear()
            delivery.lost(now)
        while self._frames:
            delivery.take(self._frames.popleft(), now)
        picture, self._newest = self._newest, None
        if picture is not None:
            delivery.picture(picture)

    def follow(self, *, encoded: bool, pixels: bool, now: float) -> None:
        """Be told of frames as they are needed."""
        if pixels:
            self._needed_s = now
        elif encoded and now - self._needed_s < PIXELS_S:
            pixels = self._pixels  # it may be needed again at once
        if encoded != self._encoded:
            self._encoded = encoded
            self._tap_encoded(encoded)
        if pixels != self._pixels:
            self._pixels = pixels
            self._tap_pixels(pixels)

    def stop(self) -> None:
        """Be told of nothing any more."""
        self.follow(encoded=False, pixels=False, now=float("inf"))
        self._frames.clear()
        self._newest = None

    @abstractmethod
    def request_key(self) -> None:
        """Ask for a key frame."""

    @abstractmethod
    def _tap_encoded(self, on: bool) -> None:
        """Be told of encoded frames, or no more."""

    @abstractmethod
    def _tap_pixels(self, on: bool) -> None:
        """Be told of pictures, or no more."""

    def _on_frame(self, frame: EncodedFrame) -> None:
        self._frames.append(frame)
        self._wake()

    def _on_picture(self, frame: av.VideoFrame) -> None:
        self._newest = frame
        self._wake()


class Output(Tap):
    """The pictures that a session receives; its hub decodes them for everybody at once."""

    def __init__(self, wake: Callable[[], None], hub: Hub) -> None:
        super().__init__(wake)
        self._hub = hub

    def request_key(self) -> None:
        """Ask whoever sends to us."""
        self._hub.request_key()

    def _tap_encoded(self, on: bool) -> None:
        (self._hub.add_video if on else self._hub.remove)(self._on_frame)

    def _tap_pixels(self, on: bool) -> None:
        (self._hub.add_pixels if on else self._hub.remove)(self._on_picture)


class Input(Tap):
    """The pictures that a session sends, as encoded for it; decoded here where a view needs it."""

    def __init__(self, wake: Callable[[], None], video_out: Outlet) -> None:
        super().__init__(wake)
        self._out = video_out
        self._decoder: Decoder | None = None

    def request_key(self) -> None:
        """Ask our own encoder."""
        self._out.request_key()

    def _tap_encoded(self, on: bool) -> None:
        (self._out.add_sink if on else self._out.remove_sink)(self._on_frame)

    def _tap_pixels(self, on: bool) -> None:
        if on:
            self._decoder = Decoder(
                self._on_picture, self._out.request_key, name="decart-preview-in"
            )
            self._out.request_key()
        elif self._decoder is not None:
            decoder, self._decoder = self._decoder, None
            decoder.close()

    def _on_frame(self, frame: EncodedFrame) -> None:
        decoder = self._decoder
        if decoder is not None:
            decoder.push(frame)
        super()._on_frame(frame)
