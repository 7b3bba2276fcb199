"""``lab.live``: a session with a view, which can be ended and begun again.

What belongs here: the session as a cell sees it. What becomes of it when the cell is run again is
:mod:`.reopening`'s, its page :mod:`.desk`'s; sessions themselves are :mod:`decart_lab.realtime`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from .._engine import engine
from ..contract.models import resolve_model
from ..errors import InvalidInputError
from ..realtime.signaling.base import KEEP, Keep, Summary
from .desk import Desk
from .offers import name_of, offers, same_source
from .session import LiveSession

if TYPE_CHECKING:
    from ..api.realtime import Realtime
    from ..realtime.session import Session
    from ..widgets.live import LiveView

FOLDER: Final = Path("decart_live")
"""Where recordings and snapshots go that are not given a name."""
FEATURES: Final = (
    *("start", "stop", "prompt", "image", "enhance", "model", "record", "snapshot", "mute"),
    *("keep", "input", "source"),
)
PAGE_SOURCES: Final = ("camera", "microphone", "screen")
"""What the browser itself sends."""
HISTORY: Final = 30
_CHANGES: Final = ("prompt", "image", "enhance")


class Live(LiveSession):
    """A live session with a view; made by ``lab.live``.

    Show it as often as you like: all views are of the same session. Leaving the page ends the
    session, and so does closing the widget, or the last view for good, unless it is detached.

    Parameters
    ----------
    realtime : Realtime
        Where sessions are opened.
    source : object
        What to send.
    options : mapping
        For :func:`decart_lab.realtime.connect.prepare`.
    detach : bool
        Whether the session goes on when its page is left or its widget closed.
    short_turns : bool
        Whether Python's threads take turns more often while somebody looks.
    """

    def __init__(
        self,
        realtime: Realtime,
        source: Any,
        options: Mapping[str, Any],
        *,
        detach: bool = False,
        short_turns: bool = True,
    ) -> None:
        self.detach = detach
        self.short_turns = short_turns
        self.muted = False
        self._realtime = realtime
        self._source = source
        self._options = dict(options)
        self._given = source
        self._offers = offers(source)
        self._acting = threading.RLock()
        super().__init__(engine().run(self._prepare))
        self._desk = Desk(self)

    # -- what it is ------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session that runs, or ran last."""
        return self._session

    @property
    def view(self) -> LiveView:
        """The widget that shows it."""
        return self._desk.view

    @property
    def running(self) -> bool:
        """Whether there is a session now."""
        return self._session.begun and not self._session.over

    @property
    def prompt(self) -> str | None:
        """The prompt in force, or the one the next start shows."""
        found: str | None = self._options.get("prompt")
        return self._session.prompt if self.running else found

    @property
    def enhance(self) -> bool:
        """Whether the service may extend the words."""
        return bool(self._options.get("enhance", True))

    @property
    def has_image(self) -> bool:
        """Whether a reference image is in force, or will be."""
        return self._session.has_image if self.running else self._options.get("image") is not None

    @property
    def image(self) -> str | bytes | None:
        """The reference image in force, or that of the next start, as it goes out or was given."""
        given = self._options.get("image")
        if not self.running and (given is None or isinstance(given, bytes)):
            return given
        return self._session.image

    @property
    def watching(self) -> bool:
        """Whether it is somebody else's session, which cannot be changed from here."""
        return False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what is sent, in pixels."""
        spec = resolve_model(self._options["model"], "realtime")
        width, height = self._options.get("size") or (spec.width, spec.height)
        return int(width), int(height)

    @property
    def fps(self) -> float:
        """Frames a second that are sent."""
        return float(self._options.get("fps") or resolve_model(self._options["model"]).fps)

    @property
    def source(self) -> Any:
        """What is sent, as it was given."""
        return self._source

    @property
    def source_label(self) -> str:
        """What is sent, in a word."""
        named = (name for name, value in self._offers.items() if same_source(value, self._source))
        return next(named, name_of(self._source))

    @property
    def features(self) -> Sequence[str]:
        """What the view offers."""
        return FEATURES

    @property
    def path(self) -> str:
        """Where the media is: in the "kernel", or in the page ("browser")."""
        return "kernel"

    @property
    def sources(self) -> Sequence[str]:
        """Sources that the view offers, by the names they have there."""
        return list(self._offers)

    @property
    def idle_timeout(self) -> float:
        """Seconds without use after which the session ends."""
        return float(self._options.get("idle_timeout") or float("inf"))

    @property
    def max_seconds(self) -> float | None:
        """Seconds of generation after which it ends."""
        return self._options.get("max_seconds")

    @property
    def max_cost(self) -> float | None:
        """USD after which it ends."""
        return self._options.get("max_cost")

    @property
    def recording(self) -> bool:
        """Whether what is received is being recorded."""
        return self.running and self._session.recording

    def delays_ms(self) -> list[float]:
        """Return the latency second by second as far as it was measured, in milliseconds."""
        table = self.stats()
        column = table["g2g_p50_ms"].fillna(table["rtt_ms"])
        return [float(value) for value in column.dropna()]

    # -- its life --------------------------------------------------------------------------------

    def start(self) -> Self:
        """Begin, or begin again with what was shown last; while one runs, do nothing.

        Frame callbacks and handlers belong to the session they were given to.

        Raises
        ------
        WebRTCError
            No session came about; also of a cause class. Nothing is left behind.
        """
        with self._acting:
            if self.running:
                return self
            if self._session.begun:
                self._session = engine().run(self._prepare)
                self._callbacks.clear()
            self.muted = False
            self._desk.watch(self._session)
            engine().run(self._session.start)
            self._remember()
            self._desk.tell("")
        return self

    def begin(self) -> Self:
        """Start as soon as there is what is needed."""
        return self.start()

    def end(self) -> Summary:
        """End the session; again, it does nothing. Return its seconds and reason."""
        session = self._session
        if not session.begun:
            return session.summary
        self._desk.last_picture(session)
        summary = engine().run(session.end)
        self._desk.wait()
        return summary

    stop = end
    """The word on the button."""

    def close(self) -> None:
        """End the session and close its views."""
        self.end()
        self._desk.view.close()

    # -- what it shows ---------------------------------------------------------------------------

    def set(
        self, *, prompt: str | Keep | None = KEEP, image: Any = KEEP, enhance: bool = True
    ) -> None:
        """Replace what is shown, in one step; every view shows it. See :meth:`LiveSession.set`."""
        super().set(prompt=prompt, image=image, enhance=enhance)
        self._note(prompt, image, enhance)

    def wish(self, **change: Any) -> None:
        """As :meth:`set`; while nothing runs it is what the next start shows."""
        if self.running:
            self.set(**change)
        else:
            self._note(
                change.get("prompt", KEEP),
                change.get("image", KEEP),
                change.get("enhance", self.enhance),
            )
            if not self._session.begun:
                self._session = engine().run(self._prepare)

    def set_source(self, source: Any) -> None:
        """Send from another source from now on, or from the next start; every view shows it.

        Raises
        ------
        InvalidInputError
            Nothing can be made of it; or it is the page's, which takes a session of its own.
        """
        if isinstance(source, str) and source in PAGE_SOURCES:
            raise InvalidInputError(
                f"The browser sends {source!r} itself, in a session of its own.",
                field="source",
                hint=f'Call lab.live(source="{source}"), or give "camera:0" for the camera of the '
                "machine where Python runs.",
            )
        if self.running:
            super().set_source(source)
        self._source = source
        self._offers.setdefault(self.source_label, source)
        self._desk.greet()
        self._desk.tell()

    def choose_model(self, name: str) -> None:
        """Take another model for the next start.

        Raises
        ------
        InvalidInputError
            A session runs, which keeps its model; or there is no such model.
        """
        if self.running:
            raise InvalidInputError("A session keeps its model. Stop it first.", field="model")
        self._options["model"] = resolve_model(name, "realtime")
        self._session = engine().run(self._prepare)

    @property
    def model(self) -> str:
        """Canonical id of the model."""
        return resolve_model(self._options["model"], "realtime").name

    def mute(self, muted: bool = True) -> None:
        """Send nothing for a while, or go on."""
        super().mute(muted)
        self.muted = muted

    def record(self, path: Any = None, *, input: bool = False) -> Path:  # noqa: A002 - as there
        """Record what is received; by default into the folder ``decart_live``.

        See :meth:`LiveSession.record`.
        """
        return super().record(self._file(".mp4") if path is None else path, input=input)

    def keep_snapshot(self) -> Path:
        """Take the next frame into the folder ``decart_live`` and return its file."""
        return self.snapshot().save(self._file(".png"))

    def _ipython_display_(self) -> None:
        self._desk.show()

    def __repr__(self) -> str:
        return self._desk.text() if not self.running else super().__repr__()

    # -- what the desk asks ----------------------------------------------------------------------

    def opened(self, view: str) -> None:
        """Take it that a view is there."""

    def pressed(self, view: str) -> None:
        """Take it that Start was pressed in a view."""

    def heard(self, content: Mapping[str, Any]) -> None:
        """Take what a page says of media that is in it; here there is none."""

    def sends_now(self, name: str) -> None:
        """Send what was chosen in the view, by its name there."""
        if name not in self._offers:
            raise InvalidInputError(
                f"No source is called {name!r} here.",
                field="source",
                hint="Set it from a cell: live.set_source(...).",
            )
        self.set_source(self._offers[name])

    def picture(self) -> Future[Any]:
        """Ask for the next frame, as an array."""
        return engine().start(self._session.snapshot)

    def drawn(self) -> Mapping[str, Any]:
        """Return figures of drawing that the page measures itself; {} when the feed does."""
        return {}

    # -- inside ----------------------------------------------------------------------------------

    async def _prepare(self) -> Session:
        from ..realtime.connect import prepare

        return await prepare(self._realtime.service, self._source, **self._options)

    def _note(self, prompt: Any, image: Any, enhance: bool) -> None:
        if not isinstance(prompt, Keep):
            self._options["prompt"] = prompt
        if not isinstance(image, Keep):
            self._options["image"] = image
        self._options["enhance"] = enhance
        self._remember()

    def _remember(self) -> None:
        prompt, history = self.prompt, self._desk.history
        if prompt and (not history or history[-1] != prompt):
            self._desk.history = [*(text for text in history if text != prompt), prompt][-HISTORY:]

    def _file(self, suffix: str) -> Path:
        FOLDER.mkdir(exist_ok=True)
        stamp = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"
        return FOLDER / f"{self.model or 'watched'}-{stamp}{suffix}"

    def same_as(self, realtime: Realtime, source: Any, options: Mapping[str, Any]) -> bool:
        """Return whether a session asked for like this could be this one, changed."""

        def fixed(given: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in given.items() if name not in _CHANGES}

        return (
            realtime is self._realtime
            and same_source(source, self._given)
            and repr(fixed(options)) == repr(fixed(self._options))
        )
