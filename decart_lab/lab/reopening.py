"""Sessions with a view by the cell that opened them: run again, a cell finds its own.

What belongs here: whether a session goes on or is ended when its cell is run again, and the list
of those that run. What a session is and does is :mod:`.live`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..display.html import seconds
from ..widgets.cell import cell_id
from .live import PAGE_SOURCES, Live
from .offers import same_source

if TYPE_CHECKING:
    from ..api.realtime import Realtime

_LOCK: Final = threading.RLock()

_found: dict[tuple[str | None, str], Live] = {}
"""What each cell began, by the cell's id and the name given there."""


def open_live(
    realtime: Realtime,
    source: Any,
    options: Mapping[str, Any],
    *,
    name: str,
    detach: bool,
    short_turns: bool = True,
) -> Live:
    """Open a live session with a view, or adopt the one that this cell began before.

    A cell that is run again keeps its session when only the prompt, the image or enhance differ:
    that saves the start, and nothing is billed twice. Otherwise the old one is ended first. One
    line says which.
    """
    before = found(name)
    if before is not None and before.running:
        if before.same_as(realtime, source, options):
            before.detach, before.short_turns = detach, short_turns
            _change(before, source, options)
            print(f"The session of this cell goes on, {seconds(before.seconds)} so far.")
            return before
        before.end()
        print(f"The session this cell had opened was ended after {seconds(before.seconds)}.")
    make: type[Live] = Live
    if isinstance(source, str) and source in PAGE_SOURCES:
        from .pagelive import PageLive

        make = PageLive
    live = make(realtime, source, options, detach=detach, short_turns=short_turns)
    remember(name, live)
    return live.begin()


def found(name: str) -> Live | None:
    """Return what this cell opened last under a name."""
    key = (cell_id(), name)
    with _LOCK:
        return _found.get(key) if any(key) else None


def remember(name: str, live: Live) -> None:
    """Take it that this cell has opened a session under a name."""
    with _LOCK:
        for old in [key for key, before in _found.items() if not before.running]:
            del _found[old]
        _found[cell_id(), name] = live


def running_lives() -> list[Live]:
    """Return the sessions with a view that run, those begun first first."""
    with _LOCK:
        return [live for live in _found.values() if live.running]


def _change(live: Live, source: Any, options: Mapping[str, Any]) -> None:
    if live.path == "kernel" and not same_source(source, live.source):
        live.set_source(source)
    wanted: dict[str, Any] = {"enhance": bool(options.get("enhance", True))}
    if options.get("prompt") != live.prompt:
        wanted["prompt"] = options.get("prompt")
    if options.get("image") is not None or live.has_image:
        wanted["image"] = options.get("image")
    if len(wanted) > 1:
        live.set(**wanted)
