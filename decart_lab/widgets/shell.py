"""What the kernel's shell means for a thread that sends in the background.

What belongs here: whether a cell runs, which shell the front end's answers go to, and how long
Python lets one thread go on. All three are taken notice of where there is an IPython kernel, and
mean nothing elsewhere. What is sent is not this file's business.

Why answers need a route: ipykernel (7.4) gives a front end's message to the shell whose message was
being answered when we last sent something. For a thread of our own that is often the main shell,
where it waits behind the running cell. Sending inside the context of a message that came from the
front end's own subshell brings its answers to that subshell.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Final

SWITCH_S: Final = 0.001
"""How long Python lets one thread go on while somebody watches; its own default is 0.005 s."""


def _shell() -> Any:
    """Return IPython's shell, or None."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


class Route:
    """Sends so that the answers do not wait behind a running cell; harmless where that is unknown.

    Call :meth:`learn` from the handlers of a front end's messages, and send by :meth:`run`.
    """

    def __init__(self) -> None:
        self._context: Context | None = None
        self._subshell: str | None = None

    @property
    def known(self) -> bool:
        """Whether the front end has a subshell of its own to answer to."""
        return self._context is not None

    def learn(self) -> None:
        """Take the way that the message which is being handled has come."""
        found = _subshell()
        if found is None:
            self._context = self._subshell = None
        elif found != self._subshell:
            self._context, self._subshell = copy_context(), found

    def run(self, send: Callable[..., object], *args: Any, plain: bool = False) -> None:
        """Call ``send(*args)``; ``plain`` leaves the way of the answers to the kernel."""
        context = self._context
        if context is None or plain:
            send(*args)
        else:
            context.copy().run(send, *args)  # a copy: a context cannot be entered twice at once


def answer_where_asked(comm: object) -> None:
    """Let the next answer go where the front end addressed it, whoever sent on the comm last.

    A comm that a cell has opened would else have the first word of its page wait until the cell's
    end: too late for a view that the cell shows while it runs.
    """
    vars(comm).pop("_reply_subshell_id", None)  # ipykernel's (7.4) memory of the last sender


def _subshell() -> str | None:
    """Return the id of the subshell that the message being handled was meant for."""
    kernel = getattr(_shell(), "kernel", None)
    if kernel is None:
        return None
    try:
        found = kernel.get_parent()["header"].get("subshell_id")
    except (AttributeError, LookupError, TypeError):  # another kernel than ipykernel
        return None
    return found if isinstance(found, str) else None


class _Cells:
    """Tells whether the kernel runs a cell, by IPython's own events."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Callable[[bool], object]] = []
        self._events: Any = None

    def watch(self, listener: Callable[[bool], object]) -> bool:
        """Call ``listener`` at the beginning and end of cells; return whether one runs now."""
        with self._lock:
            self._listeners = [*self._listeners, listener]
            shell = _shell()
            if self._events is None and shell is not None:
                self._events = shell.events
                self._events.register("pre_run_cell", self._begin)
                self._events.register("post_run_cell", self._end)
        return shell is not None and _in_a_cell()

    def leave(self, listener: Callable[[bool], object]) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners = [other for other in self._listeners if other != listener]
            if not self._listeners and self._events is not None:
                self._events.unregister("pre_run_cell", self._begin)
                self._events.unregister("post_run_cell", self._end)
                self._events = None

    def _begin(self, *_: object) -> None:
        for listener in self._listeners:
            listener(True)

    def _end(self, *_: object) -> None:
        for listener in self._listeners:
            listener(False)


def _in_a_cell() -> bool:
    """Look whether the main thread is inside a cell; its beginning may be past."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_code.co_name == "run_code" and "IPython" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


CELLS: Final = _Cells()


class _Turns:
    """Lets Python's threads take turns more often while anybody needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._before_s = 0.0

    def take(self) -> None:
        """Shorten the turns, unless they are that short already."""
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                self._before_s = sys.getswitchinterval()
                if self._before_s > SWITCH_S:
                    sys.setswitchinterval(SWITCH_S)

    def give_back(self) -> None:
        """Put it back as it was, when the last one does, and unless somebody else changed it."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0 and math.isclose(sys.getswitchinterval(), SWITCH_S):
                sys.setswitchinterval(self._before_s)


TURNS: Final = _Turns()
