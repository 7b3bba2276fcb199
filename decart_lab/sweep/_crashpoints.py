"""Places at which a test may have this process killed: one on each side of every durable step.

``DECART_LAB_CRASH_AT=name`` kills with SIGKILL at that place, ``name:3`` at its third passing. It
is for tests alone: when it is not set, a place costs one look at a variable. What belongs here: the
names, and the killing. Where the places are is the journal's, the engine's and the store's.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from typing import Final

ENV_CRASH_AT: Final = "DECART_LAB_CRASH_AT"

POINTS: Final = (
    "plan.before",  # the points of a run, in one transaction
    "plan.after",
    "input.before",  # an input is copied into the run folder
    "input.after",
    "intent.before",  # the intent and its reservation
    "intent.after",
    "send.before",  # the paid request
    "send.after",  # its answer is read, and nothing of it is written down
    "ack.before",  # the job id, or a picture that was answered at once
    "ack.after",
    "poll.before",
    "poll.after",
    "download.before",
    "download.after",  # the bytes are in the part file, synced
    "rename.before",  # the part file gets the name of its content
    "rename.after",
    "sync.after",  # the folder is synced
    "done.before",  # the service's last word
    "done.after",
    "stored.before",  # the row that says where the media is
    "stored.after",
    "ended.before",  # the end of an attempt without a result
    "ended.after",
    "batch.before",  # changes that cost nothing, gathered
    "batch.after",
    "recover.before",  # attempts found without an end, when a journal is opened
    "recover.after",
    "lease.before",
    "lease.after",
)

_lock = threading.Lock()
_at: str | None = None
_left = 0
_trace: int | None = None
_passed: Counter[str] = Counter()


def here(name: str) -> None:
    """Pass the place of that name, unless this process is to end at it."""
    if _at is not None or _trace is not None:
        _pass(name)


def arm(spec: str | None, *, trace: int | None = None) -> None:
    """Choose where to end, as the environment variable does.

    Parameters
    ----------
    spec : str or None
        ``name`` or ``name:n``; None or "" for nowhere.
    trace : int, optional
        File descriptor to which the name of each place is written as it is passed, one to a line:
        it survives the kill.

    Raises
    ------
    ValueError
        No place has that name, or n is not a whole number of at least 1.
    """
    global _at, _left, _trace
    name, _, count = (spec or "").partition(":")
    if name and name not in POINTS:
        raise ValueError(f"{name!r} is not a place; these are: {', '.join(POINTS)}")
    left = int(count or 1)
    if left < 1:
        raise ValueError(f"{spec!r} counts passings from 1")
    with _lock:
        _at, _left, _trace = name or None, left, trace
        _passed.clear()


def passed() -> Counter[str]:
    """Return how often each place was passed since the last :func:`arm`; counted while armed."""
    with _lock:
        return Counter(_passed)


def _pass(name: str) -> None:
    global _left
    with _lock:
        assert name in POINTS, name
        _passed[name] += 1
        if _trace is not None:
            os.write(_trace, f"{name}\n".encode())
        if name == _at:
            _left -= 1
            if _left == 0:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


arm(os.environ.get(ENV_CRASH_AT))
