"""Who may buy for a run: one owner at a time, with a number that only grows.

A kernel holds a run by a lease; every transaction about money names the lease's epoch, and is
refused when somebody took the run over since. Time here is the machine's own, never a test's
hurried one: two processes must mean the same by it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sqlite3
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self

from ..errors import LeaseError

BEAT_S: Final = 5.0
TAKEOVER_AFTER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that holds a run, or wants to.

    Attributes
    ----------
    host, boot_id : str
        The machine, and which of its starts.
    pid : int
        The process.
    started : str
        When the process began, in the system's own unit: a pid alone may be used again.
    token : str
        Tells two journals in one process apart.
    since : float
        Unix time of becoming the owner.
    """

    host: str
    boot_id: str
    pid: int
    started: str
    token: str
    since: float

    @classmethod
    def here(cls) -> Self:
        """Return this process as an owner."""
        pid = os.getpid()
        token = secrets.token_hex(8)
        return cls(socket.gethostname(), boot_id(), pid, started(pid), token, time.time())

    def certainly_dead(self) -> bool:
        """Whether this machine can tell that the process is gone."""
        if self.host != socket.gethostname():
            return False
        if self.boot_id != boot_id():
            return True  # no process outlives its machine's start
        return not _alive(self.pid) or (self.started != "" and started(self.pid) != self.started)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to buy for a run.

    Attributes
    ----------
    epoch : int
        Grows by one with every owner.
    owner : Owner
        Whose it is.
    """

    epoch: int
    owner: Owner


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, in two ways, so that neither a set clock nor a restarted machine misleads."""

    wall_s: float
    monotonic_s: float

    @classmethod
    def now(cls) -> Self:
        """Return this moment."""
        return cls(time.time(), time.monotonic())


@cache
def boot_id() -> str:
    """Return which start of this machine it is, "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def started(pid: int) -> str:
    """Return when a process began, "" where that cannot be told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The name before the last bracket may hold anything; the 20th field after it is the time.
    return stat.rpartition(")")[2].split()[19]


def take(
    db: sqlite3.Connection, owner: Owner, takeover_after_s: float, now: Moment
) -> Lease | None:
    """Take the lease, or return None when somebody living has it; in the caller's transaction."""
    epoch, token, text, wall_s, monotonic_s = _row(db)
    if token == owner.token:
        _write(db, epoch, owner, now)
        return Lease(epoch, owner)
    if token is not None and not _gone(
        Owner(**json.loads(text)), owner, wall_s, monotonic_s, takeover_after_s, now
    ):
        return None
    _write(db, epoch + 1, owner, now)
    return Lease(epoch + 1, owner)


def beat(db: sqlite3.Connection, lease: Lease, now: Moment) -> bool:
    """Say that the owner lives; False when the lease is somebody else's by now."""
    return (
        db.execute(
            "UPDATE lease SET wall_s = ?, monotonic_s = ? WHERE epoch = ? AND token IS NOT NULL",
            (now.wall_s, now.monotonic_s, lease.epoch),
        ).rowcount
        == 1
    )


def release(db: sqlite3.Connection, lease: Lease) -> None:
    """Let go of the lease; nothing happens when it is somebody else's by now."""
    db.execute(
        "UPDATE lease SET token = NULL, owner = NULL WHERE epoch = ? AND token = ?",
        (lease.epoch, lease.owner.token),
    )


def holder(db: sqlite3.Connection) -> Owner | None:
    """Return who has the lease, None when nobody has or its owner is certainly dead."""
    _, token, text, _, _ = _row(db)
    if token is None:
        return None
    owner = Owner(**json.loads(text))
    return None if owner.certainly_dead() else owner


def abandoned(
    db: sqlite3.Connection, owner: Owner, now: Moment, takeover_after_s: float = TAKEOVER_AFTER_S
) -> bool:
    """Whether somebody had the run and went without giving it back, so that it may be taken."""
    _, token, text, wall_s, monotonic_s = _row(db)
    if token is None:
        return False
    return _gone(Owner(**json.loads(text)), owner, wall_s, monotonic_s, takeover_after_s, now)


def is_current(db: sqlite3.Connection, lease: Lease) -> bool:
    """Whether a lease is still good."""
    epoch, token, *_ = _row(db)
    return bool(epoch == lease.epoch and token is not None)


def check(db: sqlite3.Connection, lease: Lease) -> None:
    """Refuse a lease that is not good any more.

    Raises
    ------
    LeaseError
        Naming who has the run.
    """
    if not is_current(db, lease):
        raise lost(holder(db))


def lost(by: Owner | None) -> LeaseError:
    """Return the error of somebody who does not hold the run."""
    who = f"by process {by.pid} on {by.host}" if by else "by nobody now"
    return LeaseError(
        f"This kernel does not hold the run; it is held {who}.",
        hint="The other kernel goes on buying; open the run again here to look at it.",
        data={"holder": asdict(by) if by else None},
    )


def _gone(
    holder: Owner,
    owner: Owner,
    wall_s: float,
    monotonic_s: float,
    takeover_after_s: float,
    now: Moment,
) -> bool:
    """Whether a holder is dead for certain, or has been silent for too long."""
    if holder.certainly_dead():
        return True
    # The monotonic clock means the same to all processes of one start of a machine.
    same = holder.boot_id == owner.boot_id != "" and holder.host == owner.host
    silent_s = now.monotonic_s - monotonic_s if same else now.wall_s - wall_s
    return silent_s >= takeover_after_s


def _row(db: sqlite3.Connection) -> tuple[int, str | None, str, float, float]:
    row: tuple[int, str | None, str, float, float] = db.execute(
        "SELECT epoch, token, owner, wall_s, monotonic_s FROM lease"
    ).fetchone()
    return row


def _write(db: sqlite3.Connection, epoch: int, owner: Owner, now: Moment) -> None:
    db.execute(
        "UPDATE lease SET epoch = ?, token = ?, owner = ?, wall_s = ?, monotonic_s = ?",
        (epoch, owner.token, json.dumps(asdict(owner)), now.wall_s, now.monotonic_s),
    )


def _alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # asking would end it there; its silence will tell
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    # A zombie has ended; only its parent has not noticed.
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] not in "ZX"
