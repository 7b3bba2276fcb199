"""One stream on its way to one view: in which form, which frames, and how well it arrives.

What belongs here: the choice between the encoded stream and JPEGs, giving up until the next key
frame, and the counters. How many frames may be on their way is ``flow``'s, what a message looks
like is ``delivery``'s. Fed with the time; no threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..media.rtc.frames import EncodedFrame
from ..media.webcodecs import disposable
from .budget import Budget
from .flow import LEAST, Flow, Mode

STREAM_LEAST: Final = 6
"""Smallest window of the encoded stream: it comes no slower for a smaller one, which only costs key
frames, and then JPEGs, with which a busy machine gets on worse."""
MOST_HELD: Final = 3
"""Encoded frames that may wait for credit; with one more, all give way to the next key frame."""
CUTS, CUTS_S = 3, 10.0
"""So many cuts within so many seconds, and JPEGs, which may be left out singly, do better."""
JPEG_S: Final = 20.0
"""How long it must be calm before the encoded stream is tried again, in seconds."""
COAST_BYTES_PER_S: Final = 1_000_000.0
FPS_OVER_S: Final = 2.0
HELD_S: Final = 0.3
"""How long a page may keep what it has drawn to itself, the way here included, in seconds."""
REMEMBERED: Final = 256
"""Frames whose answers are still of interest: a cell of 25 s with all of them waiting behind it."""
DRIFT_S: Final = 0.00002
"""How much slower per answer the page's clock may be than ours, in seconds."""


class Ack(NamedTuple):
    """What a page says of a frame.

    Attributes
    ----------
    number : int
        Of the frame that was drawn.
    replaced : int
        Frames the page has replaced by newer ones so far.
    page_s, told_s : float, optional
        When it was drawn, and when the page said so, on a clock of the page's own, in seconds.
    """

    number: int
    replaced: int = 0
    page_s: float | None = None
    told_s: float | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """How a stream arrives at a view.

    Attributes
    ----------
    mode : str
        "h264", "vp8", "jpeg", "paused", or "" while nothing has been sent.
    flow : str
        What limits it: "credit", "probing", "coasting" or "paused".
    fps_drawn : float
        Draws that the page told of, per second, over the last two seconds.
    preview_lag_ms : float
        From a frame's arrival in the kernel to its draw, smoothed. The page's clock is compared
        with ours by its quickest answer, whose way back is therefore included. NaN before the
        first.
    rtt_ms : float
        From sending to the news that it was drawn, smoothed; NaN before the first.
    window : int
        Frames that may be on their way.
    in_flight : int
        Frames that are on their way, as far as is known.
    sent, drawn, dropped_preview : int
        Frames sent; draws told of; frames left out here or replaced by newer ones in the page.
    bytes : int
        Bytes sent.
    note : str
        A sentence for the user where something is amiss; else empty.
    """

    mode: str = ""
    flow: str = ""
    fps_drawn: float = float("nan")
    preview_lag_ms: float = float("nan")
    rtt_ms: float = float("nan")
    window: int = 0
    in_flight: int = 0
    sent: int = 0
    drawn: int = 0
    dropped_preview: int = 0
    bytes: int = 0
    note: str = ""


class Line:
    """A stream to a view.

    Parameters
    ----------
    interval_s : float
        Time between two frames, in seconds.
    caps : mapping
        What the page said of itself: "h264" and "vp8" (bool), "width", "height", "dpr".
    """

    def __init__(self, interval_s: float, caps: Mapping[str, Any]) -> None:
        self.flow = Flow(interval_s)
        self.caps = caps
        self.mode = ""
        self.needs_key = True
        self.fresh = False
        """Whether the newest picture has not been sent."""
        self.held: deque[EncodedFrame] = deque()
        self.coast = Budget(COAST_BYTES_PER_S, 1000.0)
        self.probes = 0
        self._cuts: deque[float] = deque(maxlen=CUTS)
        self._jpeg_until = 0.0
        self._arrived: dict[int, float] = {}  # frames that may still be answered
        self._page_s = float("inf")  # what to add to the page's clock
        self._draws: deque[float] = deque(maxlen=512)
        self._sent = self._drawn = self._bytes = self._replaced = 0
        self._lag_s: float | None = None

    @property
    def paused(self) -> bool:
        """Whether nobody looks."""
        return self.flow.mode is Mode.PAUSED

    @property
    def box(self) -> tuple[float, float]:
        """Return the pixels there are to show a picture."""
        dpr = _number(self.caps.get("dpr"), 1.0)
        return tuple(_number(self.caps.get(side), 0.0) * dpr for side in ("width", "height"))  # type: ignore[return-value]

    def wanted(self, codec: str, now: float) -> str:
        """Return the form in which the view is to have a stream of this codec."""
        if not self.caps.get(codec) or self.flow.mode in (Mode.PROBING, Mode.COASTING):
            return "jpeg"  # what is left out at will must not be needed by what follows
        if now < self._jpeg_until:
            if self.flow.window == LEAST:
                self._jpeg_until = now + JPEG_S
            return "jpeg"
        return codec

    def offer(self, frame: EncodedFrame, now: float) -> bool:
        """Take an encoded frame if it is of use; return whether a key frame is needed."""
        if self.paused:
            return False
        if self.wanted(frame.codec, now) == "jpeg":
            self.to_jpeg()
            return False
        if frame.key:
            self._leave_out(len(self.held))
            self.held.clear()
            self.held.append(frame)
            self.mode, self.needs_key, self.fresh = frame.codec, False, False
            self.flow.least = STREAM_LEAST
            return False
        if self.needs_key or self.mode != frame.codec:
            if self.mode != "jpeg":  # otherwise JPEGs bridge the time until the key frame
                self._leave_out(1)
                self.mode = frame.codec
            self.needs_key = True
            return True
        if len(self.held) >= MOST_HELD:
            if disposable(frame.codec, frame.data):
                self._leave_out(1)
                return False
            self.cut(now)
            return True
        self.held.append(frame)
        return False

    def cut(self, now: float) -> None:
        """Give up all frames until the next key frame."""
        self._leave_out(len(self.held) + 1)
        self.held.clear()
        self.needs_key = True
        self._cuts.append(now)
        if len(self._cuts) == CUTS and now - self._cuts[0] < CUTS_S:
            self._jpeg_until = now + JPEG_S
            self._cuts.clear()

    def restart(self) -> None:
        """Begin again with a key frame: the page has lost the thread."""
        self._leave_out(len(self.held))
        self.held.clear()
        self.needs_key = True

    def to_jpeg(self) -> None:
        """Send pictures from now on."""
        if self.mode != "jpeg":
            self.restart()
            self.mode = "jpeg"
            self.flow.least = LEAST

    def picture(self) -> None:
        """Note that there is a newer picture."""
        if self.mode == "jpeg" and not self.paused:
            if self.fresh:
                self._leave_out(1)
            self.fresh = True

    def pause(self) -> None:
        """Send nothing."""
        self.held.clear()
        self.needs_key, self.fresh = True, False
        self.flow.pause()

    def may_send(self, now: float) -> bool:
        """Return whether a frame may go out now; what waited for an answer in vain is given up."""
        may = self.flow.may_send(now, wanted=self.fresh or bool(self.held))
        if self.flow.mode in (Mode.PROBING, Mode.COASTING):
            self.to_jpeg()
        return may

    def sent(self, size_bytes: int, arrived_s: float, now: float) -> int:
        """Note that a frame goes out; return its number."""
        self.probes += self.flow.mode is Mode.PROBING
        number = self.flow.send(now)
        self._arrived[number] = arrived_s
        if len(self._arrived) > REMEMBERED:
            del self._arrived[next(iter(self._arrived))]
        self._sent += 1
        self._bytes += size_bytes
        return number

    def acknowledged(self, ack: Ack, now: float) -> None:
        """Take what the page says; answers may overtake each other behind a cell."""
        arrived_s = self._arrived.pop(ack.number, None)
        if arrived_s is None or self.paused:
            return
        drawn_s, held_s = now, 0.0
        if ack.page_s is not None:
            told_s = ack.page_s if ack.told_s is None else ack.told_s
            held_s = max(0.0, told_s - ack.page_s)
            self._page_s = min(self._page_s + DRIFT_S, now - told_s)
            drawn_s = min(now, max(arrived_s, ack.page_s + self._page_s))
        self.flow.acknowledge(ack.number, now, held_s)
        lag_s = drawn_s - arrived_s
        self._lag_s = lag_s if self._lag_s is None else self._lag_s * 0.8 + lag_s * 0.2
        self._drawn += 1
        self._draws.append(drawn_s)
        self._replaced = max(0, ack.replaced)

    def counters(self, now: float) -> Counters:
        """Return how it goes."""
        draws = tuple(self._draws)
        end = max((now - HELD_S, *draws[-1:]))  # what was drawn since may not have been told yet
        recent = sum(end - at < FPS_OVER_S for at in draws)
        rtt_s = self.flow.rtt_s
        return Counters(
            mode="paused" if self.paused else self.mode,
            flow=str(self.flow.mode),
            fps_drawn=recent / FPS_OVER_S,
            preview_lag_ms=float("nan") if self._lag_s is None else self._lag_s * 1e3,
            rtt_ms=float("nan") if rtt_s is None else rtt_s * 1e3,
            window=self.flow.window,
            in_flight=self.flow.in_flight,
            sent=self._sent,
            drawn=self._drawn,
            dropped_preview=self.flow.dropped + self._replaced,
            bytes=self._bytes,
            note=self._note(),
        )

    def _note(self) -> str:
        if self.flow.mode not in (Mode.PROBING, Mode.COASTING):
            return ""
        if self.flow.cell_running:
            return (
                "Paused by a running cell: the page's answers wait behind it, so only a few "
                "frames are sent."
            )
        return "The page does not answer; single frames are sent until it does."

    def _leave_out(self, count: int) -> None:
        for _ in range(count):
            self.flow.skipped()


def _number(value: object, otherwise: float) -> float:
    """Return what a page said as a number, if it is one that a screen can have."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 100_000:
        return float(value)
    return otherwise
