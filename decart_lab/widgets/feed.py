"""Brings a session's pictures to the views of its widget.

What belongs here: the thread that sends, where frames come from, and what views say. Everything is
decided in that thread, fed by an inbox, so that neither the media's threads nor the handlers of
messages ever wait. What goes out is ``delivery``'s.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..realtime.hub import Hub
from .budget import KERNEL, Budget
from .delivery import Delivery
from .line import Ack, Counters, Line
from .shell import CELLS, TURNS, Route
from .taps import Input, Outlet, Output, Tap

_log = logging.getLogger("decart_lab")

RETRY_S: Final = 0.02
IDLE_S: Final = 1.0
MOST_DRAWN: Final = 256
"""Draws that one message may tell of: two streams to 16 views, and the largest window."""


class Feed:
    """Sends frames to views, as many as each can take, and none that nobody sees.

    The methods named like messages are for the widget's handlers; all return at once.

    Parameters
    ----------
    hub : Hub
        Where the session's output comes from.
    video_out : VideoOut, optional
        Where its input goes; None when there is none.
    send : callable
        Sends a message: ``send(content, buffers)``. Called from one thread, one at a time.
    fps : float
        Frames per second of the stream.
    route : Route, optional
        The way the page's answers take, which the widget learns from its messages; everything the
        widget sends should go by the same, since whichever message went out last decides.
    short_turns : bool, default True
        Whether Python's threads take turns more often while somebody looks
        (``sys.setswitchinterval``), so that a busy cell delays frames less; an attribute that may
        be changed at any time.
    budget : Budget, optional
        What may be sent; by default what all previews of this process share.
    """

    def __init__(
        self,
        hub: Hub,
        video_out: Outlet | None,
        send: Callable[[dict[str, Any], list[bytes]], object],
        *,
        fps: float,
        route: Route | None = None,
        short_turns: bool = True,
        budget: Budget = KERNEL,
    ) -> None:
        self._send = send
        self.short_turns = short_turns
        self.route = route or Route()
        self._wake = threading.Event()
        self._taps: dict[str, Tap] = {"output": Output(self._wake.set, hub)}
        if video_out is not None:
            self._taps["input"] = Input(self._wake.set, video_out)
        self._deliveries = {
            of: Delivery(of, 1.0 / fps, ask_key=tap.request_key, budget=budget)
            for of, tap in self._taps.items()
        }
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failed = False
        self._cell = False
        self._turns = False

    # -- what views say --------------------------------------------------------------------------

    def ready(self, view: str, caps: Mapping[str, Any]) -> None:
        """Begin to send to a view, or begin anew; ``caps`` is what it said it can do."""
        if self._closed:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="decart-preview", daemon=True
                )
                self._thread.start()
        self._post(self._on_ready, view, dict(caps))

    def ack(self, message: Mapping[str, Any]) -> None:
        """Take what a page says its views have drawn; nonsense is ignored.

        ``drawn`` holds, for each draw, the view, the stream, the frame's number, how many frames
        the page has left out so far, and when it was; ``t`` is when it says so, both on the page's
        clock in milliseconds.
        """
        now, told_s, drawn = time.monotonic(), _seconds(message.get("t")), message.get("drawn")
        for row in drawn[:MOST_DRAWN] if isinstance(drawn, list) else ():
            if not isinstance(row, list) or len(row) != 5:
                continue
            view, of, number, replaced, page_ms = row
            known = isinstance(view, str) and isinstance(of, str) and of in self._deliveries
            if known and type(number) is int:
                replaced = replaced if type(replaced) is int else 0
                ack = Ack(number, replaced, _seconds(page_ms), told_s)
                self._post(self._on_ack, view, of, ack, now)

    def pause(self, view: str) -> None:
        """Send nothing to a view: it is hidden."""
        self._post(self._on_pause, view)

    def resume(self, view: str) -> None:
        """Send to it again."""
        self._post(self._on_resume, view)

    def resize(self, view: str, width: float, height: float) -> None:
        """Note a view's size, in CSS pixels."""
        self._post(self._on_resize, view, width, height)

    def key(self, view: str, of: str) -> None:
        """Begin again with a key frame."""
        self._post(self._on_key, view, of)

    def gone(self, view: str) -> None:
        """Forget a view."""
        self._post(self._on_gone, view)

    # -- what others ask -------------------------------------------------------------------------

    @property
    def views(self) -> tuple[str, ...]:
        """Views there are, hidden ones as well."""
        return tuple(self._deliveries["output"].lines)

    def counters(self, view: str, of: str = "output") -> Counters:
        """Return how a stream arrives at a view; empty counters for one that is not there."""
        delivery = self._deliveries.get(of)
        line = None if delivery is None else delivery.lines.get(view)
        return Counters() if line is None else line.counters(time.monotonic())

    def close(self) -> None:
        """End the thread and ask for no more frames; idempotent."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2.0)

    # -- the sending thread ----------------------------------------------------------------------

    def _post(self, handle: Callable[..., None], *args: Any) -> None:
        if self._thread is not None and not self._closed:
            self._inbox.append((handle, args))
            self._wake.set()

    def _run(self) -> None:
        self._cell = CELLS.watch(self._heard_of_cell)
        timeout_s = IDLE_S
        try:
            while not self._closed:
                self._wake.wait(timeout_s)
                self._wake.clear()
                try:
                    timeout_s = self._turn()
                except Exception:  # noqa: BLE001 - a comm may raise anything; the session goes on
                    timeout_s = RETRY_S
                    if not self._failed:
                        self._failed = True
                        _log.exception("A frame could not be sent to the notebook; trying on.")
        finally:
            CELLS.leave(self._heard_of_cell)
            self._inbox.clear()
            for tap in self._taps.values():
                tap.stop()
            self._hold_turns(False)

    def _turn(self) -> float:
        """Do what there is to do; return how long to wait for more, in seconds."""
        while self._inbox:
            handle, args = self._inbox.popleft()
            handle(*args)
        for delivery in self._deliveries.values():
            if not delivery.lines:
                continue
            self._taps[delivery.of].deliver(delivery)
            for message in delivery.step(time.monotonic()):
                self.route.run(self._send, message.content, [message.data], plain=message.plain)
        now = time.monotonic()
        watched = False
        for of, delivery in self._deliveries.items():
            live = any(not line.paused for line in delivery.lines.values())
            watched |= live
            self._taps[of].follow(encoded=live, pixels=delivery.wants_pixels, now=now)
        self._hold_turns(watched and self.short_turns)
        return RETRY_S if any(d.waiting for d in self._deliveries.values()) else IDLE_S

    def _hold_turns(self, wanted: bool) -> None:
        if wanted != self._turns:
            self._turns = wanted
            (TURNS.take if wanted else TURNS.give_back)()

    def _heard_of_cell(self, running: bool) -> None:
        self._post(self._on_cell, running)

    def _lines(self, view: str) -> list[tuple[Delivery, Line]]:
        found = [(d, d.lines.get(view)) for d in self._deliveries.values()]
        return [(delivery, line) for delivery, line in found if line is not None]

    def _on_ready(self, view: str, caps: dict[str, Any]) -> None:
        for delivery in self._deliveries.values():
            line = delivery.lines[view] = Line(delivery.interval_s, caps)
            line.flow.cell_running = self._cell
            delivery.ask_key(time.monotonic(), at_once=True)

    def _on_ack(self, view: str, of: str, ack: Ack, now: float) -> None:
        line = self._deliveries[of].lines.get(view)
        if line is not None:
            line.acknowledged(ack, now)

    def _on_pause(self, view: str) -> None:
        for _, line in self._lines(view):
            line.pause()

    def _on_resume(self, view: str) -> None:
        now = time.monotonic()
        for delivery, line in self._lines(view):
            if line.paused:
                line.flow.resume(now)
                delivery.ask_key(now, at_once=True)

    def _on_resize(self, view: str, width: float, height: float) -> None:
        for _, line in self._lines(view):
            line.caps = {**line.caps, "width": width, "height": height}

    def _on_key(self, view: str, of: str) -> None:
        for delivery, line in self._lines(view):
            if delivery.of == of and line.mode != "jpeg":
                line.restart()
                delivery.ask_key(time.monotonic())

    def _on_gone(self, view: str) -> None:
        for delivery in self._deliveries.values():
            delivery.lines.pop(view, None)

    def _on_cell(self, running: bool) -> None:
        self._cell = running
        for delivery in self._deliveries.values():
            for line in delivery.lines.values():
                line.flow.cell_running = running


def _seconds(milliseconds: object) -> float | None:
    """Return what a page said of its clock, if it is a time at all."""
    known = isinstance(milliseconds, int | float) and math.isfinite(milliseconds)
    return milliseconds / 1e3 if known else None  # type: ignore[operator]
