"""The thread that frames of a live session are painted in: the newest frame is always next.

What belongs here: taking frames as they come, deciding which are painted, and the beat of an
avatar, whom no camera drives. How frames are painted is :class:`.live.LivePainter`'s; where they
come from and go to is :mod:`.peer`'s.

A frame that arrives while another is painted replaces the one that waits, so delay never grows.
Where painting and encoding every frame would take more than ``BUDGET`` of a core, every second or
third frame is left out evenly, and the picture says so beside its mark. The cost is measured in
processor time, so that a busy machine does not look like a heavy look.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from fractions import Fraction
from threading import Condition, Thread
from typing import Final

import av

from .avatar import FPS, Ear
from .live import LivePainter

_log = logging.getLogger("decart_lab")

BUDGET: Final = 0.75
"""Share of one core that painting and encoding may take before frames are left out."""

_TICKS: Final = 90_000  # per second, of the avatar's frames
_REVIEW: Final = 15  # frames between two looks at the cost
_SHARE: Final = 0.1  # of the newest interval in the running mean
_LONGEST_S: Final = 1.0  # what is longer is a pause, and not a low rate


class Studio:
    """Paints frames in a thread of its own.

    Parameters
    ----------
    painter : LivePainter
        What paints; used by this studio's thread alone while it runs.
    give : callable
        Takes each painted frame; called in the studio's thread.
    encode_ms : callable, optional
        Returns what encoding a frame costs, in milliseconds; NaN or less when unknown.
    clock : callable, optional
        Tells when frames come, in seconds.

    Attributes
    ----------
    frames_in, frames_out : int
        Frames that came, and that were handed out.
    replaced, left_out : int
        Frames that a newer one replaced, and that were left out for the sake of the cost.
    stride : int
        1 when every frame is painted, 2 for every second.
    frozen : bool
        Nothing is handed out while it is set.
    """

    def __init__(
        self,
        painter: LivePainter,
        give: Callable[[av.VideoFrame], None],
        *,
        encode_ms: Callable[[], float] = lambda: math.nan,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.frames_in = self.frames_out = self.replaced = self.left_out = 0
        self.stride = 1
        self.frozen = False
        self._painter = painter
        self._give = give
        self._encode_ms = encode_ms
        self._clock = clock
        self._ear = Ear() if painter.is_avatar else None
        self._turn = Condition()
        self._next: av.VideoFrame | None = None
        self._interval_s = math.nan
        self._came_s = -math.inf
        self._closed = False
        target = self._speak if painter.is_avatar else self._work
        self._thread = Thread(target=target, name="emulator-paint", daemon=True)
        self._thread.start()

    def put(self, frame: av.VideoFrame) -> None:
        """Take a frame, which becomes the studio's; from any thread, never waits."""
        now = self._clock()
        with self._turn:
            gap = now - self._came_s
            self._came_s = now
            if math.isnan(self._interval_s) and gap < _LONGEST_S:
                self._interval_s = gap
            elif gap < _LONGEST_S:
                self._interval_s += (gap - self._interval_s) * _SHARE
            self.frames_in += 1
            if self.frames_in % self.stride:
                self.left_out += 1
                return
            if self._next is not None:
                self.replaced += 1
            self._next = frame
            self._turn.notify()

    def hear(self, frame: av.AudioFrame) -> None:
        """Listen to the sound that drives an avatar; others do not care."""
        if self._ear is not None:
            self._ear.hear(frame)

    def close(self, *, within_s: float = 2.0) -> None:
        """End the thread and wait for it. Idempotent."""
        with self._turn:
            self._closed = True
            self._next = None
            self._turn.notify()
        self._thread.join(within_s)

    def _work(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._closed or self._next is not None)
                frame, self._next = self._next, None
                if self._closed or frame is None:
                    return
            self._paint(frame)

    def _speak(self) -> None:
        assert self._ear is not None
        begun = time.monotonic()
        beat = 0
        self._interval_s = 1 / FPS
        while True:
            with self._turn:
                # Beats that were missed are skipped, not caught up with.
                beat = max(beat + 1, math.floor((time.monotonic() - begun) * FPS))
                due = begun + beat / FPS
                if self._turn.wait_for(lambda: self._closed, max(0.0, due - time.monotonic())):
                    return
                self.frames_in += 1
                if self.frames_in % self.stride:
                    self.left_out += 1
                    continue
            frame = self._painter.speak(self._ear.next())
            frame.pts, frame.time_base = round(beat * _TICKS / FPS), Fraction(1, _TICKS)
            self._paint(frame)

    def _paint(self, frame: av.VideoFrame) -> None:
        try:
            painted = self._painter.paint(frame)
            if self.frozen or self._closed:
                return
            self._give(painted)
        except Exception:  # noqa: BLE001 - one frame, not the session
            _log.exception("A live frame of %dx%d was not painted.", frame.width, frame.height)
            return
        self.frames_out += 1
        if self.frames_out % _REVIEW == 0:
            self._review(frame)

    def _review(self, frame: av.VideoFrame) -> None:
        """Look at what a frame costs and how often one comes, and choose the stride."""
        encode_ms = self._encode_ms()
        cost_s = (self._painter.paint_ms + (encode_ms if encode_ms > 0 else 0.0)) / 1000
        if not cost_s > 0 or not self._interval_s > 0:
            return
        share = cost_s / self._interval_s
        # One step back only with a tenth to spare, or the choice would flutter.
        wanted = max(1, math.ceil(share / BUDGET))
        if wanted < self.stride and share / (self.stride - 1) > 0.9 * BUDGET:
            wanted = self.stride
        if wanted == self.stride:
            return
        self.stride = wanted
        rate = 1 / self._interval_s
        self._painter.note = "" if wanted == 1 else f"{rate / wanted:.0f} of {rate:.0f} fps"
        _log.info(
            "Live frames of %dx%d: %.0f of %.0f per second are painted.",
            frame.width,
            frame.height,
            rate / wanted,
            rate,
        )
