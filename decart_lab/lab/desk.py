"""The desk of a live session: what its page shows and asks, its feed, its poster, its watch.

What belongs here: one thread that looks five times a second while a session runs, and the answers
to the page. What a session may be asked from Python is :mod:`.live`'s; both act on the same state.
Wishes of the page are served in threads of their own: messages must never wait for the service.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Final

from .._engine import engine
from ..contract.models import names
from ..display.poster import new_id, poster, poster_picture, show
from ..display.shown import Shown
from ..errors import DecartSDKError
from ..widgets.feed import Feed
from ..widgets.live import LiveView
from ..widgets.printing import PRINTING
from ..widgets.shell import CELLS
from .figures import TEXT, drawn, ending, failure, known, warning
from .reference import TYPE, Reference

if TYPE_CHECKING:
    from ..realtime.session import Session
    from .live import Live

_log = logging.getLogger("decart_lab")

TICK_S: Final = 0.2
HEARTBEAT_S: Final = 5.0
"""A page that hears nothing for much longer takes the kernel for dead and closes the camera."""
UNSEEN_S: Final = 10.0
"""How long a session goes on whose last view was closed in a page that is still there."""
LEAVE_S: Final = 3.0
"""How long the page may be away, as while it is loaded anew, before the session ends."""
COUNTDOWN_S: Final = 30.0
"""How long before an idle stop the page begins to count, in seconds."""
SETTLE_S: Final = 5.0
"""How long a new prompt has been shown before the poster takes a picture of it, in seconds."""
LAST_S: Final = 0.7
"""Longest wait for a last picture before a session is ended, in seconds."""
CLOSE_S: Final = 3.0
_FIGURES: Final = (
    *("fps_in", "fps_out", "kbps_in", "kbps_out", "rtt_ms", "loss", "fps_drawn"),
    *("preview_lag_ms", "mode", "window", "dropped_preview"),
)


class Desk:
    """Serves the page of one :class:`.live.Live`."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.element = new_id()
        self.view = LiveView(self)
        self.note = ""
        self.history: list[str] = []
        self._warning = ""
        self._prompt_error = ""
        self._pending = 0
        self._answered: list[str] = []
        self._reference = Reference()
        self._picture = b""
        self._shown = False
        self._in_a_cell = False
        self._telling = threading.Lock()
        self._told: Mapping[str, Any] = {}
        self._told_s = 0.0
        self._thread: threading.Thread | None = None
        self._look = threading.Event()
        self._wanted_at: float | None = None
        self._coming: Future[Any] | None = None

    # -- a session's life ------------------------------------------------------------------------

    def watch(self, session: Session) -> None:
        """Show this session from now on, until it is over."""
        self._told, self.note = {}, ""
        self._thread = threading.Thread(
            target=self._watch, args=(session,), name="decart-lab-live", daemon=True
        )
        self._thread.start()

    def show(self) -> None:
        """Open a view and, for when there is none, the poster."""
        self.view.show()
        show(self._poster(), self.element)
        self._shown = True

    def tell(self, note: str | None = None) -> None:
        """Have the page told how everything stands, at once."""
        if note is not None:
            self.note = note
        self._refresh(force=True)

    def greet(self) -> None:
        """Have the page told anew what it may offer."""
        self.view.tell("hello", {"v": None, **self.describe()})

    def last_picture(self, session: Session) -> None:
        """Take a picture for the poster while there is one to take."""
        if session.over or not session.is_connected() or not session.figures:
            return
        coming = self._live.picture()
        try:
            self._picture = poster_picture(coming.result(LAST_S))
        except (TimeoutError, DecartSDKError):
            coming.cancel()

    def wait(self) -> None:
        """Wait until the end of a session has been shown."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSE_S)

    # -- what the page is told -------------------------------------------------------------------

    def describe(self) -> Mapping[str, Any]:
        """Return what never changes."""
        return {
            "model": self._live.model,
            "models": names("realtime"),
            "path": self._live.path,
            "size": list(self._live.size),
            "features": list(self._live.features),
            "sources": list(self._live.sources),
            "poster": self.element,
        }

    def mirror(self) -> Mapping[str, Any]:
        """Return how everything stands; unknown figures are null."""
        live, session = self._live, self._live.session
        running = session.begun and not session.over
        idle = session.idle_left if running else None
        counting = idle is not None and idle <= min(COUNTDOWN_S, live.idle_timeout / 2)
        figures = session.figures if running else {}
        return {
            "state": str(session.state) if session.begun else "idle",
            "reason": ending(session.reason),
            "error": failure(session.error),
            "model": live.model,
            "prompt": live.prompt,
            "pending": self._pending > 0,
            "prompt_error": self._prompt_error,
            "history": self.history,
            "enhance": live.enhance,
            "has_image": live.has_image,
            "seconds": known(session.seconds),
            "cost": known(session.cost),
            "max_seconds": live.max_seconds,
            "max_cost": live.max_cost,
            "price_per_s": known(session.price_per_s),
            "simulated": bool(session.simulated),
            "recording": live.recording,
            "muted": live.muted,
            "note": self.note,
            "warning": self._warning,
            "source": live.source_label,
            "watching": live.watching,
            "idle_left": math.ceil(idle) if counting and idle is not None else None,
            "g2g_ms": known(figures.get("g2g_p50_ms")),
            **{name: known(figures.get(name)) for name in _FIGURES},
        }

    def text(self) -> str:
        """Return what there is to say in plain text."""
        return self._poster().text

    def closed(self) -> None:
        """Take it that the widget is closed: so is the session, unless it is detached."""
        # Also called when the interpreter ends and collects widgets: no thread can begin then.
        if self._live.running and not self._live.detach and not sys.is_finalizing():
            engine().start(self._live.session.end, "closed")

    # -- what the page asks ----------------------------------------------------------------------

    def opened(self, view: str) -> None:
        """Take it that a view is there."""
        if self._live.has_image:
            self.serve(self._show_image_again)
        self._live.opened(view)

    def serve(self, function: Callable[..., object], *args: object) -> None:
        """Do what may take its time in a thread of its own; the page is told what came of it."""
        self._act(function, *args)

    def asked(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take a wish of the page."""
        if kind in ("rtc", "slice") or (kind == "snapshot" and "buffers" in content):
            self._live.heard(content)  # at once: it only leaves a word
            return
        serve: Callable[[Mapping[str, Any]], object] = getattr(self, f"_{kind}")
        self._act(serve, content)

    def _act(self, function: Callable[..., object], *args: object) -> None:
        def act() -> None:
            try:
                function(*args)
            except DecartSDKError as error:
                self.note = str(error)[:TEXT]
            except CancelledError:
                pass  # the session, or the interpreter, has ended meanwhile
            except Exception:  # noqa: BLE001 - what a page says must not end a thread in silence
                _log.exception("A wish of the live view could not be served.")
            self.tell()

        threading.Thread(target=act, name="decart-lab-live-wish", daemon=True).start()

    def _start(self, content: Mapping[str, Any]) -> None:
        if isinstance(content.get("v"), str):
            self._live.pressed(content["v"])
        self._live.start()

    def _stop(self, _: Mapping[str, Any]) -> None:
        self._live.end()

    def _keep(self, _: Mapping[str, Any]) -> None:
        self._live.keep_running()

    def _set(self, content: Mapping[str, Any]) -> None:
        prompt = content.get("prompt")
        if not isinstance(prompt, str):
            return
        self._ask(content, prompt=prompt or None, enhance=content.get("enhance") is not False)

    def _image(self, content: Mapping[str, Any]) -> None:
        buffers = content.get("buffers") or []
        self._ask(content, image=bytes(buffers[0]) if buffers else None)

    def _ask(self, content: Mapping[str, Any], **change: Any) -> None:
        self._pending += 1
        self._prompt_error = ""
        self.tell()
        try:
            self._live.wish(**change)
        except DecartSDKError as error:
            self._prompt_error = str(error)[:TEXT]
        finally:
            self._pending -= 1
            if isinstance(content.get("id"), str):
                self._answered.append(content["id"])

    def _show_image_again(self) -> None:
        with self._telling:
            self._reference.forget()

    def _record(self, content: Mapping[str, Any]) -> None:
        if content.get("on") is True:
            self.note = f"Recording to {self._live.record()}."
        else:
            recording = self._live.stop_recording()
            path = None if recording is None else recording.path
            self.note = "Nothing was recorded." if path is None else f"Recorded to {path}."

    def _snapshot(self, _: Mapping[str, Any]) -> None:
        self.note = f"Kept as {self._live.keep_snapshot()}."

    def _model(self, content: Mapping[str, Any]) -> None:
        self._live.choose_model(str(content.get("name")))

    def _mute(self, content: Mapping[str, Any]) -> None:
        self._live.mute(content.get("on") is True)

    def _source(self, content: Mapping[str, Any]) -> None:
        self._live.sends_now(str(content.get("name"))[:80])

    # -- the watch -------------------------------------------------------------------------------

    def _watch(self, session: Session) -> None:
        feed = Feed(
            session.hub,
            session.sends,
            self.view.send_frame,
            fps=self._live.fps,
            route=self.view.route,
            short_turns=self._live.short_turns,
        )
        self.view.attach(feed)
        PRINTING.take()
        self._in_a_cell = CELLS.watch(self._cell)
        session.previewed_by(lambda: self._live.drawn() or drawn(feed))
        first, prompt = True, session.prompt
        try:
            while not session.over:
                self._look.wait(TICK_S)
                self._look.clear()
                feed.short_turns = self._live.short_turns
                now = time.monotonic()
                self._is_anybody_there(session, now)
                if session.figures.get("fps_in") and first:
                    first, self._wanted_at = False, now
                elif session.prompt != prompt:
                    prompt, self._wanted_at = session.prompt, now + SETTLE_S
                self._take_picture(now)
                self._warning = warning(feed, now)
                self._refresh()
        finally:
            self.view.attach(None)
            PRINTING.give_back()
            CELLS.leave(self._cell)
            feed.close()
            self._warning = ""
            self._refresh(force=True)
            self._update_poster()

    def _cell(self, runs: bool) -> None:
        self._in_a_cell = runs
        if self.view.unseen_s is not None:
            self.view.unseen_s = time.monotonic()

    def _is_anybody_there(self, session: Session, now: float) -> None:
        view = self.view
        if now - view.heard_s < 2.0:
            session.keep_running()
        left = view.left_s
        if left is not None and now - left > LEAVE_S and not self._live.detach:
            view.left_s = None
            engine().start(session.end, "page_closed")
        elif self._is_forgotten(session, now):
            view.unseen_s = None
            engine().start(session.end, "view_closed")

    def _is_forgotten(self, session: Session, now: float) -> bool:
        """Whether the last view was closed, and nobody shows another one or uses the session."""
        unseen, left = self.view.unseen_s, session.idle_left
        if unseen is None or self._live.detach or self._in_a_cell:
            return False  # a cell that runs may be about to show it
        if left is None:
            return self._live.watching and now - unseen > UNSEEN_S
        used = now - (self._live.idle_timeout - left)
        return now - max(unseen, used) > UNSEEN_S

    def _take_picture(self, now: float) -> None:
        coming = self._coming
        if coming is not None and coming.done():
            self._coming = None
            if not coming.cancelled() and coming.exception() is None:
                self._picture = poster_picture(coming.result())
                self._update_poster()
        elif coming is None and self._wanted_at is not None and now >= self._wanted_at:
            self._wanted_at = None
            self._coming = self._live.picture()

    def _refresh(self, *, force: bool = False) -> None:
        with self._telling:
            told, now = self.mirror(), time.monotonic()
            small = self._reference.of(self._live.image)
            due = now - self._told_s >= HEARTBEAT_S
            if not (force or due or told != self._told or self._reference.news):
                return
            self._told, self._told_s = told, now
            answered, self._answered = self._answered, []
            if self._reference.news:
                self._reference.told()
                self.view.refresh([small] if small else (), done=answered, image_thumb=TYPE)
            else:
                self.view.refresh(done=answered)

    def _poster(self) -> Shown:
        delays = self._live.delays_ms() if self._live.session.begun else []
        return poster(self.element, self.mirror(), self._picture, delays)

    def _update_poster(self) -> None:
        if self._shown:
            show(self._poster(), self.element, update=True)
