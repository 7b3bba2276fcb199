"""One stream to all of its views: what goes out now, in as few messages as possible.

What belongs here: sharing a frame between views, encoding a JPEG once for all of them, and the
messages' contents. What a single view is sent is ``line``'s, threads and sources are ``feed``'s.
Fed with the time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..media.jpeg import COARSE, GOOD, JpegEncoder, fitted
from ..media.rtc.frames import EncodedFrame
from ..media.webcodecs import Description, describe
from .budget import Budget
from .flow import LEAST, Mode
from .line import Line

if TYPE_CHECKING:
    import av

ASK_S: Final = 1.0
"""Least time between two key frames asked for, in seconds."""
_REMEMBERED: Final = 64


class Outgoing(NamedTuple):
    """A message to send; ``plain`` ones leave the answers' way to the kernel (see ``shell``)."""

    content: dict[str, Any]
    data: bytes
    plain: bool


class Delivery:
    """Sends one stream to views.

    Parameters
    ----------
    of : str
        "output" or "input".
    interval_s : float
        Time between two frames, in seconds.
    ask_key : callable
        Asks the stream's sender for a key frame.
    budget : Budget
        What all previews share.
    """

    def __init__(
        self, of: str, interval_s: float, *, ask_key: Callable[[], object], budget: Budget
    ) -> None:
        self.of = of
        self.interval_s = interval_s
        self.lines: dict[str, Line] = {}
        self._ask_key = ask_key
        self._budget = budget
        self._asked_s = float("-inf")
        self._known: Description | None = None
        self._arrived: OrderedDict[int, float] = OrderedDict()
        self._picture: av.VideoFrame | None = None
        self._encoder = JpegEncoder()
        self._made: tuple[object, bytes] = (None, b"")

    @property
    def wants_pixels(self) -> bool:
        """Whether a view is sent pictures."""
        return any(line.mode == "jpeg" and not line.paused for line in self.lines.values())

    @property
    def waiting(self) -> bool:
        """Whether something is ready that could not go out yet."""
        return any((line.held or line.fresh) and not line.paused for line in self.lines.values())

    def ask_key(self, now: float, *, at_once: bool = False) -> None:
        """Ask for a key frame, unless one was asked for just now."""
        if at_once or now - self._asked_s >= ASK_S:
            self._asked_s = now
            self._ask_key()

    def take(self, frame: EncodedFrame, now: float) -> None:
        """Take an encoded frame."""
        if frame.key:
            self._known = describe(frame.codec, frame.data)
        self._arrived[frame.timestamp] = frame.arrived_s
        while len(self._arrived) > _REMEMBERED:
            self._arrived.popitem(last=False)
        needed = [line.offer(frame, now) for line in self.lines.values()]
        if any(needed):
            self.ask_key(now)

    def picture(self, frame: av.VideoFrame) -> None:
        """Take a decoded frame; it replaces the one before."""
        self._picture = frame
        for line in self.lines.values():
            line.picture()

    def lost(self, now: float) -> None:
        """Note that encoded frames went missing on their way here."""
        for line in self.lines.values():
            if line.mode != "jpeg" and not line.paused:
                line.cut(now)
        self.ask_key(now)

    def step(self, now: float) -> Iterator[Outgoing]:
        """Yield what may go out now."""
        yield from self._encoded(now)
        message = self._jpeg(now)
        if message is not None:
            yield message

    def _encoded(self, now: float) -> Iterator[Outgoing]:
        while True:
            able = {v: x for v, x in self.lines.items() if x.may_send(now) and x.held}
            if not able:
                return
            frame = min((line.held[0] for line in able.values()), key=lambda f: f.arrived_s)
            takers = {view: line for view, line in able.items() if line.held[0] is frame}
            if not self._budget.take(len(frame.data), now):
                return
            for line in takers.values():
                line.held.popleft()
            known = self._known or Description("", 0, 0)
            yield self._message(
                takers, frame.data, frame.arrived_s, now, mode=frame.codec, key=frame.key,
                us=frame.timestamp * 1_000_000 // frame.clock_rate,
                w=known.width, h=known.height, codec=known.codec or None,
            )  # fmt: skip

    def _jpeg(self, now: float) -> Outgoing | None:
        picture = self._picture
        takers = {v: x for v, x in self.lines.items() if x.may_send(now) and x.fresh}
        if picture is None or not takers:
            return None
        data, (width, height) = self._encode(picture, list(takers.values()))
        takers = {
            view: line
            for view, line in takers.items()
            if line.flow.mode is not Mode.COASTING or line.coast.take(len(data), now)
        }
        if not takers or not self._budget.take(len(data), now):
            return None
        for line in takers.values():
            line.fresh = False
        ticks = picture.pts or 0
        seconds = float(ticks * picture.time_base) if picture.time_base else ticks / 90_000
        return self._message(
            takers, data, self._arrived.get(ticks, now), now, mode="jpeg", key=True,
            us=round(seconds * 1e6), w=width, h=height, codec="image/jpeg",
        )  # fmt: skip

    def _encode(self, picture: av.VideoFrame, lines: list[Line]) -> tuple[bytes, tuple[int, int]]:
        """Return the picture as JPEG for the largest of the views, encoded once."""
        size = max(fitted(picture.width, picture.height, line.box) for line in lines)
        quantiser = COARSE if all(line.flow.window == LEAST for line in lines) else GOOD
        wanted = (id(picture), size, quantiser)
        if self._made[0] != wanted:
            self._made = wanted, self._encoder.encode(picture, size, quantiser=quantiser)
        return self._made[1], size

    def _message(
        self, takers: dict[str, Line], data: bytes, arrived_s: float, now: float, **about: Any
    ) -> Outgoing:
        # Every other probe goes the kernel's own way: the one we know may have ended.
        plain = any(
            line.flow.mode is Mode.PROBING and line.probes % 2 == 1 for line in takers.values()
        )
        numbers = [line.sent(len(data), arrived_s, now) for line in takers.values()]
        several = len(takers) > 1
        content = {
            "kind": "frame",
            "v": list(takers) if several else next(iter(takers)),
            "of": self.of,
            "i": numbers if several else numbers[0],
            **about,
        }
        if any(line.flow.pressing for line in takers.values()):
            content["now"] = True
        return Outgoing(content, data, plain)
