"""The thread that frames of a live session are painted in, and how many of them are.

What belongs here: taking frames as they come, deciding which are painted, and the beat of an
avatar, whom no camera drives. How frames are painted is :class:`.live.LivePainter`'s; where they
come from and go to is :mod:`.peer`'s.

A few frames may wait, for they come in bursts when a machine is busy. When one more comes, all but
the newest are dropped, so delay never grows.
Where every frame would take more than ``BUDGET`` of a core, every second or third is left out
evenly, and the picture says so beside its mark. Painting is measured, in processor time, and the
codecs are reckoned by the size: a busy machine must not look like a heavy look.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from threading import Condition, Thread
from typing import Final

import av

from .avatar import FPS, Ear
from .live import LivePainter

_log = logging.getLogger("decart_lab")

BUDGET: Final = 0.75
"""Share of one core that a session may take before frames are left out."""
CODECS_MS: Final = 20.0
"""Processor time reckoned for decoding and encoding a million pixels: an estimate.

What a frame costs beside painting, the network included, was measured as 27 ms a million pixels at
640x352, where most of it does not depend on the size, and 11 at 1280x720, on a busy machine
(benchmarks/live_peer.py).
"""

MAX_WAITING: Final = 3
"""Frames that may wait to be painted."""
_TICKS: Final = 90_000  # per second, of the avatar's frames
_WINDOW_S: Final = 1.0  # over which frames are counted; bursts are shorter
_PAUSE_S: Final = 1.0  # without frames: a pause, and not a low rate


class _Rate:
    """How many frames come in a second."""

    def __init__(self) -> None:
        self.value = math.nan
        self._count = 0
        self._since_s = self._last_s = -math.inf

    def beat(self, now_s: float) -> bool:
        """Count a frame; True when the rate has been told anew."""
        pause = now_s - self._last_s >= _PAUSE_S
        self._last_s = now_s
        if pause:
            self._since_s, self._count = now_s, 0
            return False
        self._count += 1
        if now_s - self._since_s < _WINDOW_S:
            return False
        self.value = self._count / (now_s - self._since_s)
        self._since_s, self._count = now_s, 0
        return True


class Studio:
    """Paints frames in a thread of its own.

    Parameters
    ----------
    painter : LivePainter
        What paints; used by this studio's thread alone while it runs.
    give : callable
        Takes each painted frame; called in the studio's thread.
    clock : callable, optional
        Tells when frames come, in seconds.

    Attributes
    ----------
    frames_in, frames_out : int
        Frames that came, and that were handed out.
    replaced, left_out : int
        Frames that newer ones replaced, and that were left out for the sake of the cost.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.frames_in = self.frames_out = self.replaced = self.left_out = 0
        self.stride = 1
        self.frozen = False
        self._painter = painter
        self._give = give
        self._clock = clock
        self._ear = Ear() if painter.is_avatar else None
        self._turn = Condition()
        self._waiting: deque[av.VideoFrame] = deque()
        self._rate = _Rate()
        self._review_due = False
        self._closed = False
        target = self._speak if painter.is_avatar else self._work
        self._thread = Thread(target=target, name="emulator-paint", daemon=True)
        self._thread.start()

    def put(self, frame: av.VideoFrame) -> None:
        """Take a frame, which becomes the studio's; from any thread, never waits."""
        now = self._clock()
        with self._turn:
            self._review_due |= self._rate.beat(now)
            self.frames_in += 1
            if self.frames_in % self.stride:
                self.left_out += 1
                return
            if len(self._waiting) == MAX_WAITING:
                self.replaced += MAX_WAITING
                self._waiting.clear()
            self._waiting.append(frame)
            self._turn.notify()

    def hear(self, frame: av.AudioFrame) -> None:
        """Listen to the sound that drives an avatar; others do not care."""
        if self._ear is not None:
            self._ear.hear(frame)

    def close(self, *, within_s: float = 2.0) -> None:
        """End the thread, wait for it, and let go of who takes the frames. Idempotent."""
        with self._turn:
            self._closed = True
            self._waiting.clear()
            self._turn.notify()
        self._thread.join(within_s)
        self._give = _nowhere

    def _work(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                frame = self._waiting.popleft()
            self._paint(frame)

    def _speak(self) -> None:
        assert self._ear is not None
        begun = time.monotonic()
        beat = 0
        while True:
            with self._turn:
                # Beats that were missed are skipped, not caught up with.
                beat = max(beat + 1, math.floor((time.monotonic() - begun) * FPS))
                due = begun + beat / FPS
                if self._turn.wait_for(lambda: self._closed, max(0.0, due - time.monotonic())):
                    return
                self._review_due |= self._rate.beat(self._clock())
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
        if self._review_due:
            self._review_due = False
            self._review(frame)

    def _review(self, frame: av.VideoFrame) -> None:
        """Look at what a frame costs and how often one comes, and choose the stride."""
        codecs_ms = CODECS_MS * frame.width * frame.height / 1e6
        cost_s = (self._painter.paint_ms + codecs_ms) / 1000
        rate = self._rate.value
        share = cost_s * rate
        # One step back only with a tenth to spare, or the choice would flutter.
        wanted = max(1, math.ceil(share / BUDGET))
        if wanted < self.stride and share / (self.stride - 1) > 0.9 * BUDGET:
            wanted = self.stride
        self._painter.note = "" if wanted == 1 else f"{rate / wanted:.0f} of {rate:.0f} fps"
        if wanted == self.stride:
            return
        self.stride = wanted
        _log.info(
            "Live frames of %dx%d: %.0f of %.0f per second are painted.",
            frame.width,
            frame.height,
            rate / wanted,
            rate,
        )


def _nowhere(_: av.VideoFrame) -> None:
    pass
