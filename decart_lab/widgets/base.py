"""What every widget of ours shares: its module and style, and messages that are not lost.

What belongs here: joining the ES modules of ``static`` into the one that a front end loads, and the
handshake. A front end that is slow to load, or opened a second time, says "ready" and is then told
everything; whatever was sent before is of no use to it. What a widget shows is its own business.

Messages are sent, not kept as traits: ten thousand rows as a trait would be saved with the notebook
and sent whole at every change. No secret is ever a trait, because traits are saved as well.
"""

from __future__ import annotations

import logging
import re
import threading
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, ClassVar, Final

import anywidget
from traitlets import MetaHasTraits

from ..display.cards import MARKS
from ..display.html import compact, css
from .shell import Route, answer_where_asked

_log = logging.getLogger(__name__)

_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./[a-z_]+\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=const |function |class )", re.MULTILINE)
_NOTE: Final = re.compile(
    r"^\s*//.*\n|^\s*/\*\*(?s:.*?)\*/\n|^[ \t]+|(?<=[;,{}]) // .*$", re.MULTILINE
)


@cache
def module(*names: str) -> str:
    """Return files of ``static`` as one ES module, in that order.

    A front end loads a widget's code as one text without an address, in which a relative import
    cannot be resolved. The files stay modules, so that each is tested by itself. Comments and
    indentation stay here: the text is sent with each widget, and saved with the notebook.
    """
    parts = [_NOTE.sub("", _static(f"{name}.js")) for name in names]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", part)) for part in parts)


@cache
def style(own: str = "") -> str:
    """Return the stylesheet of all our outputs and widgets, or what a widget with its own needs.

    It is sent with each widget, and saved where widgets' state is: what is of no use stays here.
    """
    whole = not own
    parts = [css(whole=whole), compact(_static("widgets.css"), whole)]
    return " ".join(parts if whole else [*parts, compact(_static(f"{own}.css"))])


def _static(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text("utf-8")


def marks() -> dict[str, list[str]]:
    """Return the shape, tone and word of each status, for the front end."""
    return {str(status): [*mark, str(status).replace("_", " ")] for status, mark in MARKS.items()}


class _Abstract(ABCMeta, MetaHasTraits):
    """The two kinds of class that a widget of ours is."""


class LabWidget(anywidget.AnyWidget, metaclass=_Abstract):
    """A widget that tells each new view everything, and can be told things from any thread."""

    _heard: ClassVar[Sequence[str]] = ()
    """Kinds of message a front end may send, besides "ready"; each has a method ``_on_KIND``."""

    def __init__(self, **traits: Any) -> None:
        self._sending = threading.Lock()
        self.route = Route()
        self.seen = threading.Event()
        """Set once a front end has said that it listens."""
        super().__init__(**traits)
        self.on_msg(self._received)

    def open(self) -> None:
        """Open the comm; a view is heard even while the cell that has made it runs."""
        super().open()
        if self.comm is not None:
            answer_where_asked(self.comm)

    def tell(self, kind: str, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send a message to every view; from any thread, and to nobody when the widget is closed.

        One at a time: a message is several frames on a socket that all threads share.
        """
        with self._sending:
            if self.comm is not None:
                self.route.run(self.send, {"kind": kind, **content}, list(buffers) or None)
                if not self.route.known:
                    answer_where_asked(self.comm)

    def _received(self, _: object, content: Any, buffers: Sequence[Any]) -> None:
        self.route.learn()
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "ready":
            self.seen.set()
        elif kind not in self._heard:
            _log.debug("a front end sent a message of no kind we know")
            return
        if buffers:
            content = {**content, "buffers": buffers}
        getattr(self, f"_on_{kind}")(content)

    @abstractmethod
    def _on_ready(self, content: Mapping[str, Any]) -> None:
        """Tell a view that has just begun to listen everything there is to show."""

    @abstractmethod
    def _text(self) -> str:
        """Return what the widget shows, as plain text."""

    def __repr__(self) -> str:
        return self._text()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        found = super()._repr_mimebundle_(**options)
        # anywidget returns the data alone or with metadata, by version
        data = found[0] if isinstance(found, tuple) else found
        if data is None:
            return {"text/plain": self._text()}
        data["text/plain"] = self._text()
        return found
