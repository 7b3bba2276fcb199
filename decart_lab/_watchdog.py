"""Ends billed sessions when their process dies: a child process that outlives it.

What belongs here: both ends of a pipe. The parent writes which sessions run; when the pipe closes,
however the parent died, the child sends each session's DELETE and goes. Keys travel through the
pipe, never through arguments, environment or files.

The child runs this very file by itself, so that only the standard library may be imported above
the line that says so. It ignores interrupts and sits in a session of its own: a Ctrl-C in the
terminal, or a manager that kills the kernel's process group, does not take it along.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

TRY_S = 60.0
"""How long the child tries to reach a service for one session, in seconds."""


PARENT_S = 0.3
"""How often the child looks whether its parent lives, in seconds."""


def main() -> None:
    """Be the child: take orders until the pipe closes or the parent dies, then end the rest."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders,), daemon=True).start()
    guarded: dict[int, dict[str, str]] = {}
    ending: list[threading.Thread] = []
    parent = int(sys.argv[1])  # told, since it may be dead before this line is reached
    while True:
        try:
            line = orders.get(timeout=PARENT_S)
        except queue.Empty:
            # A forked child of the parent may hold the pipe open after the parent's death. (On
            # Windows there is no fork, and the parent's number stays.)
            if os.getppid() != parent:
                break
            continue
        if not line:
            break
        order = json.loads(line)
        known = guarded.pop(order["id"], None)
        if order["do"] == "guard":
            guarded[order["id"]] = order["request"]
        elif order["do"] == "fire" and known is not None:
            ending.append(_begin_end(known))
    ending += [_begin_end(request) for request in guarded.values()]
    for thread in ending:
        thread.join()


def _read(orders: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        orders.put(line)
    orders.put("")


def _begin_end(request: dict[str, str]) -> threading.Thread:
    thread = threading.Thread(target=_end, args=(request,))
    thread.start()
    return thread


def _end(request: dict[str, str]) -> None:
    headers = {"user-agent": request["user_agent"]}
    if request["key"]:
        headers["x-api-key"] = request["key"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    wait, deadline = 0.2, time.monotonic() + TRY_S
    while time.monotonic() < deadline:
        try:
            asked = urllib.request.Request(request["url"], headers=headers, method="DELETE")  # noqa: S310 - checked by the parent
            with opener.open(asked, timeout=5.0):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                return  # over already, or not to be had: asking again changes nothing
        except OSError:
            pass
        time.sleep(wait)
        wait = min(wait * 2, 5.0)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key goes nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


if __name__ == "__main__":
    main()
    sys.exit(0)

# -- the parent: from here on the package may be imported ------------------------------------------

import atexit  # noqa: E402
import contextlib  # noqa: E402
import itertools  # noqa: E402
import subprocess  # noqa: E402
from typing import TYPE_CHECKING, Protocol  # noqa: E402

if TYPE_CHECKING:
    from .config import Secret


class Ending(Protocol):
    """What must be known to end a session."""

    @property
    def url(self) -> str:
        """Where the DELETE goes."""

    @property
    def key(self) -> Secret | None:
        """What it is signed with."""

    @property
    def user_agent(self) -> str:
        """Who asks."""


class Guard:
    """One session's place on the watch; release it, or have it ended now."""

    def __init__(self, number: int | None) -> None:
        self._number = number

    def release(self) -> None:
        """Watch no more: the session is over."""
        self._say("release")

    def fire(self) -> None:
        """Have the child end the session, and go on trying: this process cannot."""
        self._say("fire")

    def _say(self, what: str) -> None:
        number, self._number = self._number, None
        if number is not None:
            _watchdog.say({"do": what, "id": number})


class _Watchdog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._pid = 0

    def say(self, order: dict[str, object]) -> bool:
        line = json.dumps(order) + "\n"
        with self._lock:
            try:
                pipe = self._running().stdin
                assert pipe is not None
                pipe.write(line)
                pipe.flush()
            except OSError:
                return False
        return True

    def _running(self) -> subprocess.Popen[str]:
        child = self._child
        if child is not None and child.poll() is None and self._pid == os.getpid():
            return child
        self._pid = os.getpid()
        self._child = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", __file__, str(self._pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        return self._child

    def close(self) -> None:
        """Let the child go when this process ends in good order."""
        child = self._child
        if child is not None and child.stdin is not None and self._pid == os.getpid():
            with contextlib.suppress(OSError):
                child.stdin.close()


_watchdog = _Watchdog()
_numbers = itertools.count(1)
atexit.register(_watchdog.close)


def guard(ending: Ending | None) -> Guard:
    """Put a session on the watch; None needs none.

    Returns
    -------
    Guard
    """
    if ending is None:
        return Guard(None)
    number = next(_numbers)
    request = {
        "url": ending.url,
        "key": ending.key.reveal() if ending.key is not None else "",
        "user_agent": ending.user_agent,
    }
    order: dict[str, object] = {"do": "guard", "id": number, "request": request}
    return Guard(number if _watchdog.say(order) else None)
