"""The live view: what the page of a session is told, and what it may ask.

What belongs here: routing. Frames are the feed's (:mod:`.feed`), wishes the controller's
(:mod:`decart_lab.lab.live`), the looks ``static/live*.js``'s. Nothing but the module and its style
is a trait: frames and acknowledgements as traits would be echoed and saved, and so would secrets.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeGuard

from .base import LabWidget
from .livepage import CSS, ESM, PROTOCOL

if TYPE_CHECKING:
    from .feed import Feed

_log = logging.getLogger(__name__)

ASKS: Final = (
    *("start", "stop", "keep", "set", "image", "record", "snapshot", "model", "mute", "source"),
    *("rtc", "slice"),
)
"""Kinds of message that the controller answers."""
LAST_WORDS_S: Final = 1.0
"""How long a page that says it might go still answers for pictures that it has drawn before."""
VIEWS: Final = 16
"""Views of one session; the oldest that has said nothing for long gives way."""


class Controller(Protocol):
    """Whose state the view shows; called from threads that serve messages: it must not block."""

    def describe(self) -> Mapping[str, Any]:
        """Return what never changes."""

    def mirror(self) -> Mapping[str, Any]:
        """Return how everything stands."""

    def opened(self, view: str) -> None:
        """Take it that a view is there."""

    def asked(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take a wish of the page."""

    def closed(self) -> None:
        """Take it that the widget is closed."""

    def text(self) -> str:
        """Return what there is to say in plain text."""


class LiveView(LabWidget):
    """Shows a session in any number of views.

    Parameters
    ----------
    controller : Controller
        Whose state is shown.

    Attributes
    ----------
    heard_s : float
        When a view last drew a picture or asked for something, on the monotonic clock.
    left_s : float or None
        When the last view went away together with its page; None while there is one.
    unseen_s : float or None
        When the last view was closed in a page that is still there; likewise.
    """

    _esm: ClassVar[str] = ESM
    _css: ClassVar[str] = CSS
    _heard: ClassVar[Sequence[str]] = (
        "ack",
        "pause",
        "resume",
        "resize",
        "key",
        "leaving",
        "gone",
        *ASKS,
    )

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._views: dict[str, dict[str, Any]] = {}
        self._changing = threading.Lock()
        self._feed: Feed | None = None
        self.heard_s = time.monotonic()
        self.left_s: float | None = None
        self.unseen_s: float | None = None
        self._leaving: dict[str, float] = {}  # views whose page might go, and since when
        super().__init__()
        for kind in ASKS:
            setattr(self, f"_on_{kind}", self._asking(kind))

    @property
    def views(self) -> list[str]:
        """Ids of the views that are open, oldest first."""
        with self._changing:
            return list(self._views)

    def findings(self) -> list[tuple[Mapping[str, Any], bool]]:
        """Return what each view said it can do, and whether it is heard past running cells."""
        with self._changing:
            return [(dict(caps), self.route.known) for caps in self._views.values()]

    def attach(self, feed: Feed | None) -> None:
        """Show frames of this feed from now on; None shows none."""
        with self._changing:
            self._feed = feed
            views = dict(self._views)
        if feed is not None:
            for view, caps in views.items():
                feed.ready(view, caps)

    def refresh(self, buffers: Sequence[bytes] = (), **more: Any) -> None:
        """Tell every view how everything stands."""
        content = {**self._controller.mirror(), "viewers": max(0, len(self._views) - 1), **more}
        self.tell("state", content, buffers)

    def send_frame(self, content: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """Send what the feed has; it chooses the route itself."""
        with self._sending:
            if self.comm is not None:
                self.send({"kind": "frame", **content}, list(buffers))

    def show(self) -> None:
        """Open a view in the output of the cell that runs; without IPython, none."""
        from IPython.display import display

        display(self)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close every view; the session stops, unless it is detached."""
        super().close()
        self._controller.closed()

    # -- what views say --------------------------------------------------------------------------

    def _on_ready(self, content: Mapping[str, Any]) -> None:
        view, caps = content.get("view"), content.get("caps")
        if not isinstance(view, str) or len(view) > 64 or content.get("protocol") != PROTOCOL:
            return
        caps = dict(caps) if isinstance(caps, dict) else {}
        with self._changing:
            self._views.pop(view, None)
            surplus = list(self._views)[: max(0, len(self._views) - VIEWS + 1)]
            for old in surplus:
                del self._views[old]
            self._views[view] = caps
            feed = self._feed
        self._looked()
        said = {"v": view, "protocol": PROTOCOL, "comm": self.model_id}
        self.tell("hello", {**said, **self._controller.describe()})
        self.refresh()
        if feed is not None:
            for old in surplus:
                feed.gone(old)
            feed.ready(view, caps)
        self._controller.opened(view)

    def _on_ack(self, content: Mapping[str, Any]) -> None:
        self._looked()
        if self._feed is not None:
            self._feed.ack(content)

    def _on_pause(self, content: Mapping[str, Any]) -> None:
        if self._feed is not None and (view := self._known(content)):
            self._feed.pause(view)

    def _on_resume(self, content: Mapping[str, Any]) -> None:
        self._looked()
        if self._feed is not None and (view := self._known(content)):
            self._feed.resume(view)

    def _on_resize(self, content: Mapping[str, Any]) -> None:
        sides = [side for side in (content.get("width"), content.get("height")) if _is_side(side)]
        if len(sides) == 2 and self._feed is not None and (view := self._known(content)):
            self._feed.resize(view, *sides)

    def _on_key(self, content: Mapping[str, Any]) -> None:
        if self._feed is not None and (view := self._known(content)):
            self._feed.key(view, str(content.get("of", "output")))

    def _on_leaving(self, content: Mapping[str, Any]) -> None:
        view = self._known(content)
        if view is not None:
            with self._changing:
                self._leaving[view] = now = time.monotonic()
                if self._leaving.keys() >= self._views.keys():
                    self.left_s = now

    def _on_gone(self, content: Mapping[str, Any]) -> None:
        view = self._known(content)
        if view is None:
            return
        with self._changing:
            del self._views[view]
            self._leaving.pop(view, None)
            now = None if self._views else time.monotonic()
            if content.get("page") is True:
                self.left_s = now
            else:
                self.unseen_s = now
        if self._feed is not None:
            self._feed.gone(view)

    def _asking(self, kind: str) -> Callable[[Mapping[str, Any]], None]:
        def asked(content: Mapping[str, Any]) -> None:
            if kind != "rtc" or _draws(content):
                self._looked()
            self._controller.asked(kind, content)

        return asked

    def _known(self, content: Mapping[str, Any]) -> str | None:
        view = content.get("v")
        return view if isinstance(view, str) and view in self._views else None

    def _looked(self) -> None:
        with self._changing:
            self.heard_s = now = time.monotonic()
            if all(now - since > LAST_WORDS_S for since in self._leaving.values()):
                self._leaving.clear()  # it stayed, as when its reader was asked and said so
            if self._views and not self._leaving:  # answers may come after the farewell
                self.left_s = self.unseen_s = None

    def _text(self) -> str:
        return self._controller.text()


def _draws(content: Mapping[str, Any]) -> bool:
    """Return whether a page that holds the media says that it draws it: then somebody looks."""
    stats = content.get("stats")
    drawn = stats.get("drawn_fps") if isinstance(stats, dict) else None
    return isinstance(drawn, int | float) and drawn > 0


def _is_side(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and 0 < value < 16384
