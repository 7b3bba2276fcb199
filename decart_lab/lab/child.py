"""The embedded emulator as a child process: started once per kernel, reused, gone with it.

It is started by module name and spoken to over HTTP only; nothing of it is imported here. The pipe
to its standard input is what ties it to this process: when we die, however we die, it closes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from ..config import ENV_API_KEY, ENV_URL
from ..errors import EmulatorError

START_S: Final = 30.0
"""A cold disk can make Python's imports take ten seconds."""

_READY: Final = re.compile(r"listening on (http://\S+)")
_PAUSE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Child:
    """A running emulator."""

    url: str
    speed: float
    process: subprocess.Popen[bytes]

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None


_children: dict[tuple[int, Path, float], Child] = {}
_lock = threading.Lock()


def embedded(root: Path, speed: float = 1.0) -> Child:
    """Return the emulator of this kernel, starting it when there is none yet.

    Parameters
    ----------
    root : Path
        Runs root; the emulator keeps its jobs, files and ledger in there, so that a restarted
        kernel finds them again.
    speed : float, default 1
        How many times as fast as life its jobs go; each speed has an emulator of its own.

    Raises
    ------
    EmulatorError
        It did not start; its own words are in the message.
    """
    root = root.absolute()
    # The process id tells a forked child that these are its parent's.
    key = (os.getpid(), root, float(speed))
    with _lock:
        child = _children.get(key)
        if child is None or not child.alive:
            child = _start(root if speed == 1 else root / f".emulator-x{speed:g}", speed)
            _children[key] = child
        return child


def _start(state: Path, speed: float) -> Child:
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmulatorError(
            f"The folder {state} for the emulator cannot be made: {error.strerror or error}.",
            hint="Set DECART_LAB_RUNS to a folder that can be written to.",
        ) from error
    command = [sys.executable, "-m", "decart_lab", "emulator", "--port", "0", "--parent-pipe"]
    command += ["--state", str(state), "--speed", f"{speed:g}"]
    # The child needs no key of ours, and an interrupt of the kernel is not meant for it.
    environment = {k: v for k, v in os.environ.items() if k not in (ENV_API_KEY, ENV_URL)}
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            command, stdin=subprocess.PIPE, stdout=out, stderr=err, env=environment, **apart
        )
        try:
            url = _await_ready(process, out, err)
        except BaseException:
            _end(process)
            raise
    return Child(url, speed, process)


def _await_ready(process: subprocess.Popen[bytes], out: IO[bytes], err: IO[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while True:
        ended = process.poll() is not None
        found = _READY.search(_so_far(out))
        if found:
            return found.group(1)
        if ended or time.monotonic() > deadline:
            what = (
                f"ended with status {process.returncode}"
                if ended
                else f"was not ready after {START_S:g} s"
            )
            said = " ".join(_so_far(err).split())[-600:]
            raise EmulatorError(
                f"The embedded emulator {what}." + (f" It said: {said}" if said else ""),
                hint="Run `decart-lab emulator` in a terminal to see all of what it says.",
            )
        time.sleep(_PAUSE_S)


def _so_far(file: IO[bytes]) -> str:
    # The child writes through its own descriptor; positions are shared, so read without moving.
    size = os.fstat(file.fileno()).st_size
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), size, 0).decode("utf-8", "replace")
    file.seek(0)
    return file.read(size).decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_all() -> None:
    """End every emulator that this process started."""
    with _lock:
        mine = [key for key in _children if key[0] == os.getpid()]
        for key in mine:
            _end(_children.pop(key).process)


def _drop_lock_after_fork() -> None:
    global _lock
    _lock = threading.Lock()


atexit.register(end_all)
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_drop_lock_after_fork)
