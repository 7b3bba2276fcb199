"""How many frames may be on their way to one view: credit, pure, fed with the time.

A front end acknowledges what it has drawn; so many frames as the window allows may be unanswered.
The window follows the delay: while acknowledgements come as fast as they ever did it grows, and
when frames begin to wait for each other it shrinks, so that the preview is never more than a few
frames behind. Frames and acknowledgements may be lost without a word (a Jupyter server drops
messages when a cell prints a lot), so that credit expires; then single frames are sent as probes.
While a cell runs, acknowledgements may be unable to come although frames arrive: then we coast,
that is, send on at a modest rate. Nothing is queued anywhere: what may not be sent is replaced by
what is newer.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Final

START, LEAST, MOST = 2, 1, 8
CALM: Final = 10
"""Acknowledgements without delay after which the window grows."""
FEW: Final = 0.5
MANY: Final = 1.5
"""Frames' worth of delay below which nothing waits, and above which too much does."""
EXPIRY_S: Final = 0.4
"""Least time after which a missing acknowledgement counts as lost, in seconds."""
PROBE_S, PROBE_CAP_S = 0.5, 2.0
COAST_FPS: Final = 10.0
COAST_SHARE: Final = 0.7
COAST_STEP_S: Final = 10.0
"""A coasting view gets half as many frames after each so many seconds, but never fewer than two."""
COAST_LEAST_FPS: Final = 2.0
MEMORY_S: Final = 10.0
"""How long the shortest way there and back is remembered, in seconds."""


class Mode(StrEnum):
    """What limits the sending."""

    CREDIT = "credit"
    PROBING = "probing"
    COASTING = "coasting"
    PAUSED = "paused"


class Flow:
    """The credit of one stream to one view.

    Parameters
    ----------
    interval_s : float
        Time between two frames of the stream, in seconds.

    Attributes
    ----------
    window : int
        How many frames may be unanswered.
    dropped : int
        Frames that were not sent; counted by :meth:`skipped`.
    cell_running : bool
        Whether the kernel runs a cell, so that acknowledgements may have to wait behind it.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.mode = Mode.CREDIT
        self.window = START
        self.dropped = 0
        self.cell_running = False
        self._sent: dict[int, float] = {}
        self._last = 0
        self._acked = 0
        self._rtt: float | None = None
        self._shortest: deque[tuple[float, float]] = deque()
        self._calm = 0
        self._heard_s = 0.0
        self._next_s = 0.0
        self._probe_s = PROBE_S
        self._coasting_since = 0.0
        self._rate = 0.0  # acknowledged frames a second, smoothed

    @property
    def in_flight(self) -> int:
        """Frames that were sent and are not answered."""
        return len(self._sent)

    @property
    def rtt_s(self) -> float | None:
        """Smoothed time from sending to acknowledgement, in seconds."""
        return self._rtt

    def may_send(self, now: float) -> bool:
        """Return whether a frame may go out now."""
        if self.mode is Mode.PAUSED:
            return False
        self._expire(now)
        if self.mode is Mode.CREDIT:
            return len(self._sent) < self.window
        return now >= self._next_s

    def send(self, now: float) -> int:
        """Note that a frame goes out; return its number, from 1."""
        self._last += 1
        if self.mode is Mode.PROBING:
            self._sent.clear()  # an unanswered probe holds nothing back
            self._next_s = now + self._probe_s
            self._probe_s = min(self._probe_s * 2, PROBE_CAP_S)
        elif self.mode is Mode.COASTING:
            self._sent.clear()
            self._next_s = now + 1.0 / self._coast_fps(now)
        self._sent[self._last] = now
        return self._last

    def skipped(self) -> None:
        """Note that a frame was not sent, or was replaced by a newer one."""
        self.dropped += 1

    def acknowledge(self, number: int, now: float) -> None:
        """Take the number of the last frame that was drawn; what is before it is answered as well.

        One that makes no sense is ignored: it comes from the front end.
        """
        if not self._acked < number <= self._last:
            return
        drawn = number - self._acked
        sent = self._sent.get(number)
        self._sent = {n: at for n, at in self._sent.items() if n > number}
        self._acked = number
        behind_a_cell = self.cell_running or self.mode is not Mode.CREDIT
        if self._heard_s and now > self._heard_s and not behind_a_cell:
            rate = drawn / (now - self._heard_s)
            self._rate += (rate - self._rate) * 0.2
        self._heard_s = now
        if self.mode in (Mode.PROBING, Mode.COASTING):
            self.mode = Mode.CREDIT
            self._probe_s = PROBE_S
            # What went out meanwhile is too old to tell anything about the way.
            self._sent.clear()
        elif sent is not None:
            self._learn(now - sent, now)

    def pause(self) -> None:
        """Send nothing: the view is hidden."""
        self.mode = Mode.PAUSED
        self._sent.clear()

    def resume(self, now: float) -> None:
        """Send again."""
        if self.mode is Mode.PAUSED:
            self.mode = Mode.CREDIT
            self._heard_s = now
            self.window = START

    def _learn(self, rtt: float, now: float) -> None:
        self._rtt = rtt if self._rtt is None else self._rtt + (rtt - self._rtt) * 0.2
        while self._shortest and self._shortest[-1][1] >= rtt:
            self._shortest.pop()
        self._shortest.append((now, rtt))
        while now - self._shortest[0][0] > MEMORY_S:
            self._shortest.popleft()
        waiting = (rtt - self._shortest[0][1]) / self.interval_s
        if waiting > MANY:
            self.window, self._calm = max(LEAST, self.window - 1), 0
        elif waiting < FEW:
            self._calm += 1
            if self._calm >= CALM:
                self.window, self._calm = min(MOST, self.window + 1), 0
        else:
            self._calm = 0

    def _expire(self, now: float) -> None:
        """Give up acknowledgements that are overdue."""
        if not self._sent or self.mode is not Mode.CREDIT:
            return
        oldest = next(iter(self._sent.values()))
        patience = max(EXPIRY_S, 4.0 * (self._rtt or 0.0))
        if now - max(oldest, self._heard_s) <= patience:
            return
        self._sent.clear()
        self.window = max(LEAST, self.window - 1)
        if self.cell_running and self._rtt is not None:
            self.mode = Mode.COASTING
            self._coasting_since = self._next_s = now
        else:
            self.mode = Mode.PROBING
            self._probe_s = PROBE_S
            self._next_s = now

    def _coast_fps(self, now: float) -> float:
        rate = min(COAST_SHARE * self._rate, COAST_FPS) or COAST_FPS / 2
        halvings = int((now - self._coasting_since) // COAST_STEP_S)
        return max(COAST_LEAST_FPS, rate / 2.0 ** min(halvings, 10))
