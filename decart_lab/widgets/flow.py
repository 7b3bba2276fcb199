"""How many frames may be on their way to one view: credit, pure, fed with the time.

A front end acknowledges what it has drawn; so many frames as the window allows may be unanswered.
The window follows the delay: while frames take no longer than one that goes alone it grows, and
when they begin to wait for each other and more are ready, it shrinks, so that the preview is never
more than a few frames behind. A way that is merely long is no reason: a smaller window would not
shorten it. Frames and acknowledgements may be lost without a word (a Jupyter server drops messages
when a cell prints a lot), so that credit expires; then single frames are sent as probes.
While a cell runs, acknowledgements may be unable to come although frames arrive: then we coast,
that is, send on at a modest rate. Nothing is queued anywhere: what may not be sent is replaced by
what is newer.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

START, LEAST, MOST = 2, 1, 8
CALM_S: Final = 0.5
"""Time without delay after which the window grows, in seconds."""
STALE_S: Final = 2.0
"""Time with some delay after which the window shrinks, in seconds: how long a frame takes that goes
alone may have changed, and only one that does tells."""
FEW, MANY = 0.9, 1.6
"""Frames waiting for others below which the window grows, and above which it shrinks."""
ENOUGH: Final = 4
"""Answers that tell something of a window: a single one may be late for any reason."""
EXPIRY_S: Final = 0.75
"""Least time after which a missing acknowledgement counts as lost, in seconds."""
PROBE_S, PROBE_CAP_S = 0.5, 2.0
COAST_FPS: Final = 10.0
COAST_SHARE: Final = 0.7
COAST_STEP_S: Final = 10.0
"""A coasting view gets half as many frames after each so many seconds, but never fewer than two."""
COAST_LEAST_FPS: Final = 2.0


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
    dropped : int
        Frames that were not sent; counted by :meth:`skipped`.
    cell_running : bool
        Whether the kernel runs a cell, so that acknowledgements may have to wait behind it.
    least : int
        The window never gets smaller.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.mode = Mode.CREDIT
        self.dropped = 0
        self.cell_running = False
        self.least = LEAST
        self._window = START
        self._sent: dict[int, float] = {}
        self._last = 0
        self._acked = 0
        self._rtt: float | None = None
        self._alone_rtt: float | None = None  # of frames that had the way to themselves
        self._alone = 0  # the last of those
        self._limited = False  # whether a frame has had to wait for credit
        self._moved = 0  # the last frame that went out with another window
        self._moved_s = self._calm_since = 0.0
        self._mean: float | None = None  # round trip of the frames since
        self._seen = 0  # how many
        self._heard_s = 0.0
        self._next_s = 0.0
        self._probe_s = PROBE_S
        self._coasting_since = 0.0
        self._rate: float | None = None  # acknowledged frames a second, smoothed
        self._count = 0  # frames acknowledged at the time of _heard_s

    @property
    def window(self) -> int:
        """How many frames may be unanswered; what is on its way already lets it shrink slowly."""
        return max(self._window, self.least, len(self._sent))

    @property
    def in_flight(self) -> int:
        """Frames that were sent and are not answered."""
        return len(self._sent)

    @property
    def pressing(self) -> bool:
        """Whether an answer is wanted at once; otherwise a front end may gather several."""
        limit = max(self._window, self.least)
        return self.mode is Mode.PROBING or len(self._sent) + 1 >= limit

    @property
    def rtt_s(self) -> float | None:
        """Smoothed time from sending to acknowledgement, in seconds."""
        return self._rtt

    def may_send(self, now: float, *, wanted: bool = True) -> bool:
        """Return whether a frame may go out now; ``wanted`` tells whether there is one."""
        if self.mode is Mode.PAUSED:
            return False
        self._expire(now)
        if self.mode is Mode.CREDIT:
            may = len(self._sent) < max(self._window, self.least)
            self._limited |= wanted and not may
            return may
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
        if not self._sent:
            self._alone = self._last
        self._sent[self._last] = now
        return self._last

    def skipped(self) -> None:
        """Note that a frame was not sent, or was replaced by a newer one."""
        self.dropped += 1

    def acknowledge(self, number: int, now: float, held_s: float = 0.0) -> None:
        """Take the number of the last frame that was drawn; what is before it is answered as well.

        One that makes no sense is ignored: it comes from the front end, which may have kept it to
        itself for ``held_s`` seconds.
        """
        if not self._acked < number <= self._last:
            return
        drawn = number - self._acked
        sent = self._sent.get(number)
        self._sent = {n: at for n, at in self._sent.items() if n > number}
        self._acked = number
        behind_a_cell = self.cell_running or self.mode is not Mode.CREDIT
        self._count += drawn
        if now > self._heard_s:
            if self._heard_s and not behind_a_cell:
                self._rate = _smoothed(self._rate, self._count / (now - self._heard_s), 0.3)
            self._heard_s, self._count = now, 0
        if self.mode in (Mode.PROBING, Mode.COASTING):
            self.mode = Mode.CREDIT
            self._probe_s = PROBE_S
            # What went out meanwhile is too old to tell anything about the way.
            self._sent.clear()
        elif sent is not None:
            self._learn(number, max(0.0, now - sent - held_s), now)

    def pause(self) -> None:
        """Send nothing: the view is hidden."""
        self.mode = Mode.PAUSED
        self._sent.clear()

    def resume(self, now: float) -> None:
        """Send again."""
        if self.mode is Mode.PAUSED:
            self.mode = Mode.CREDIT
            self._heard_s = now
            self._window = START

    def _learn(self, number: int, rtt: float, now: float) -> None:
        self._rtt = _smoothed(self._rtt, rtt, 0.2)
        if number == self._alone or self._alone_rtt is None:
            self._alone_rtt = _smoothed(self._alone_rtt, rtt, 0.2)
        if number <= self._moved:
            return  # it went out before the window changed and tells nothing of the new one
        self._seen += 1
        self._mean = _smoothed(self._mean, rtt, max(0.2, 1 / self._seen))
        if self._seen < ENOUGH:
            return
        self._alone_rtt = min(self._alone_rtt, self._mean)
        on_the_way = min(self._window, self._mean / self.interval_s)
        waiting = on_the_way * (1.0 - self._alone_rtt / self._mean) if self._mean else 0.0
        if waiting < FEW:
            self._calm_since = self._calm_since or now
            if now - max(self._calm_since, self._moved_s) >= CALM_S:
                self._move(1, now)
            return
        self._calm_since = 0.0
        if self._limited:
            if waiting > MANY:
                self._move(-max(1, int(waiting / 2)), now)
            elif now - self._moved_s >= STALE_S:
                self._move(-1, now)

    def _move(self, by: int, now: float) -> None:
        self._window = min(max(self.least, self._window + by), MOST)
        self._moved, self._moved_s, self._limited = self._last, now, False
        self._seen, self._mean = 0, None

    def _expire(self, now: float) -> None:
        """Give up acknowledgements that are overdue."""
        if not self._sent or self.mode is not Mode.CREDIT:
            return
        oldest = next(iter(self._sent.values()))
        patience = max(EXPIRY_S, 4.0 * (self._rtt or 0.0))
        if now - max(oldest, self._heard_s) <= patience:
            return
        self._sent.clear()
        self._window = max(self.least, self._window - 1)
        if self.cell_running and self._rtt is not None:
            self.mode = Mode.COASTING
            self._coasting_since = self._next_s = now
        else:
            self.mode = Mode.PROBING
            self._probe_s = PROBE_S
            self._next_s = now

    def _coast_fps(self, now: float) -> float:
        rate = COAST_FPS / 2 if self._rate is None else min(COAST_SHARE * self._rate, COAST_FPS)
        halvings = int((now - self._coasting_since) // COAST_STEP_S)
        return max(COAST_LEAST_FPS, rate / 2.0 ** min(halvings, 10))


def _smoothed(before: float | None, value: float, share: float) -> float:
    return value if before is None else before + (value - before) * share
