"""``decart-lab emulator``: the emulator as a process, until it is told to end.

It ends on SIGINT and SIGTERM, and with ``--parent-pipe`` as soon as its standard input closes,
which is what the system does when the parent dies, however it dies.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Final

from .faults import overview
from .server import emulator

_ARENAS: Final = 2
_ARENA_MAX: Final = -8  # M_ARENA_MAX of glibc's malloc.h


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    result = argparse.ArgumentParser(
        prog="decart-lab emulator",
        description="Serve an emulator of Decart's API: no key, no cost; results are simulated.",
    )
    add = result.add_argument
    add("--host", default="127.0.0.1", help="address to bind (default: this machine only)")
    add("--port", type=int, default=8765, help="port; 0 takes any free one (default: 8765)")
    add("--speed", type=float, default=1.0, help="emulator seconds per second (default: 1)")
    add("--state", metavar="DIR", help="folder that keeps jobs and ledger (default: none)")
    add(
        "--api-key",
        action="append",
        default=[],
        metavar="KEY",
        help="accept this key only; repeatable (default: any key)",
    )
    add("--render", choices=("full", "canned"), default="full", help="media work (default: full)")
    add("--credits", type=float, metavar="USD", help="what the account holds (default: no limit)")
    add("--capacity", type=int, default=8, help="jobs processed at once (default: 8)")
    add("--seed", type=int, default=0, help="what durations are drawn from (default: 0)")
    add(
        "--service-times",
        metavar="lognormal:MEAN:SIGMA",
        default="",
        help="how long jobs take, in seconds (default: as models and clips ask for)",
    )
    add(
        "--sessions",
        type=int,
        default=5,
        metavar="N",
        help="sessions at once (default: 5); 0: no limit",
    )
    add(
        "--session-s", type=float, default=600.0, metavar="S", help="longest session (default: 600)"
    )
    add(
        "--idle-s",
        type=float,
        default=30.0,
        metavar="S",
        help="longest silence of one (default: 30)",
    )
    add("--no-mark", action="store_true", help="do not write SIMULATED into live frames")
    add(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="web origin whose pages may call it, besides this machine's; repeatable",
    )
    add(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:KEY=VALUE,...]",
        help="something to go wrong, such as rate_limited:route=jobs,times=3; repeatable; "
        '"list" says what there is',
    )
    add("--parent-pipe", action="store_true", help="end when standard input closes")
    return result


def main(argv: Sequence[str]) -> int:
    """Serve until told to end; return the exit status.

    Raises
    ------
    InvalidInputError
        An argument is out of range.
    EmulatorError
        The port or the state folder cannot be had.
    """
    options = parser().parse_args(list(argv))
    if "list" in options.fault:
        print(overview())
        return 0
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    _share_memory()
    end = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: end.set()) for number in numbers]
    if options.parent_pipe:
        threading.Thread(target=_await_eof, args=(end,), daemon=True).start()
    server = emulator(
        options.port,
        speed=options.speed,
        api_keys=options.api_key,
        state=options.state,
        render=options.render,
        credits=options.credits,
        capacity=options.capacity,
        seed=options.seed,
        service_times=options.service_times,
        session_limit=options.sessions or None,
        session_s=options.session_s,
        idle_s=options.idle_s,
        mark=not options.no_mark,
        host=options.host,
        allow_origins=options.allow_origin,
        faults=options.fault,
    )
    try:
        server.start()
        print(f"decart-lab emulator listening on {server.url}", flush=True)
        while server.running and not end.wait(1.0):
            pass  # in slices, which lets a signal in on every platform
        server.stop(wait_for_renders=False)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    if any(t.name.startswith("decart-lab-render") for t in threading.enumerate()):
        # The interpreter would wait for media work that nobody will collect.
        os._exit(0)
    return 0


def _await_eof(end: threading.Event) -> None:
    """Wait for the parent to close the pipe, by intent or by dying."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass  # no standard input at all: nobody is waiting for us
    end.set()


def _share_memory() -> None:
    """Let all threads take their memory from two places, where the C library is glibc.

    It gives a place of its own to many of a session's dozen threads, and what FFmpeg lets go of in
    one of them is of no use to the others: sessions that come and go cost 10 MB a minute.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
