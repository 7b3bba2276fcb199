"""The journal's file: its tables, how it is opened, and when it is refused.

What belongs here: everything that is SQLite's and not a run's. A file that is not ours, is newer or
is damaged is refused before anything in it is changed.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ..errors import StoreError

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x44434A31
BUSY_TIMEOUT_S: Final = 30.0
CHECK_S: Final = 1.0
"""So long a journal is checked when it is opened; what is not reached by then counts as whole."""

WAL_SINCE: Final = (3, 51, 3)
"""Older ones can corrupt a database in write-ahead mode when checkpoints and writers race."""

TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, point_id TEXT NOT NULL,
    attempt INTEGER, changes TEXT NOT NULL);
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, point_id TEXT NOT NULL, number INTEGER NOT NULL, route TEXT NOT NULL,
    epoch INTEGER NOT NULL, state TEXT NOT NULL, status TEXT NOT NULL, reserve INTEGER NOT NULL,
    paid INTEGER NOT NULL DEFAULT 0, spent INTEGER NOT NULL DEFAULT 0, unpriced INTEGER NOT NULL,
    job_id TEXT, raw TEXT, facts TEXT NOT NULL, UNIQUE (point_id, number));
CREATE INDEX attempts_open ON attempts (route) WHERE state = 'intent';
CREATE TABLE budget (
    one INTEGER PRIMARY KEY CHECK (one = 1), cap INTEGER, reserved INTEGER NOT NULL,
    spent INTEGER NOT NULL, unpriced INTEGER NOT NULL);
INSERT INTO budget VALUES (1, NULL, 0, 0, 0);
CREATE TABLE lease (
    one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, token TEXT, owner TEXT,
    wall_s REAL, monotonic_s REAL);
INSERT INTO lease VALUES (1, 0, NULL, NULL, NULL, NULL);
"""

_REMOTE: Final = re.compile(r"(nfs|cifs|smb|9p|afs|ceph|gluster|lustre|fuse|davfs|vboxsf|virtiofs)")
_SYNCED: Final = re.compile(
    r"(dropbox|onedrive|google ?drive|my ?drive|icloud|mobile documents|pcloud|nextcloud)", re.I
)


def points_table(columns: Iterable[str]) -> str:
    """Return the statements that make the view of the points, given quoted column names."""
    wide = ", ".join(columns)
    return (
        f"CREATE TABLE points (n INTEGER PRIMARY KEY, point_id TEXT NOT NULL UNIQUE, {wide});"
        'CREATE INDEX points_status ON points ("status", "cost");'
    )


def why_not_local(path: Path, mounts: str | None = None) -> str:
    """Return why a path is not on this machine's own disk, or "" when it seems to be.

    Parameters
    ----------
    path : Path
        A file or folder.
    mounts : str, optional
        What ``/proc/mounts`` says; read by default, where there is such a thing.

    Examples
    --------
    >>> why_not_local(Path("/home/a/Dropbox/runs"), "")
    'Dropbox is synchronised'
    >>> why_not_local(Path("/data/runs"), "server:/x /data nfs4 rw 0 0")
    '/data is nfs4'
    """
    text = str(path.absolute())
    found = _SYNCED.search(text)
    if found:
        return f"{found.group()} is synchronised"
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    best, kind = "", ""
    for line in mounts.splitlines():
        _, _, rest = line.partition(" ")
        place, _, rest = rest.partition(" ")
        place = place.replace("\\040", " ")
        inside = text == place or text.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, kind = place, rest.partition(" ")[0]
    return f"{best} is {kind}" if _REMOTE.match(kind) else ""


def journal_mode(path: Path, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """Return the journal mode for a database at a path: WAL only where it is safe.

    Elsewhere the rollback journal is shortened to nothing by a commit. Overwriting its head
    (PERSIST) is cheaper to write, but then every reader has to open that file too, and a process
    that may open no more files could not look at its own run.

    Warns when the folder is remote or synchronised.
    """
    why = why_not_local(path)
    if why:
        warnings.warn(
            f"The run is kept in a folder that is not this machine's own ({why}). It is written "
            "in the careful way there; set DECART_LAB_RUNS to a local folder if it is slow.",
            UserWarning,
            stacklevel=2,
        )
        return "TRUNCATE"
    return "WAL" if version >= WAL_SINCE else "TRUNCATE"


def full_sync(mode: str) -> str:
    """Return the word for synchronous that makes a commit survive a power cut in that mode."""
    return "FULL" if mode == "WAL" else "EXTRA"


def check(path: Path) -> None:
    """Refuse a file that is missing, not a journal, newer, or damaged; it is not changed.

    Raises
    ------
    StoreError
        With what it is and what to do.
    """
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise StoreError(
            f"There is no journal at {path}: {error.strerror or type(error).__name__}.",
            hint="Give the folder of a run; lab.runs() lists them.",
        ) from error
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise _damaged(path, "it is not a database")
    if int.from_bytes(head[68:72]) != APPLICATION_ID:
        raise StoreError(
            f"{path} is a database, but not the journal of a run.",
            hint="Give the folder of a run; lab.runs() lists them.",
        )
    version = int.from_bytes(head[60:64])
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"The journal {path} is of version {version}; this package reads up to version "
            f"{SCHEMA_VERSION}. Nothing was changed.",
            hint="Open it with the version of the package that wrote it, or a newer one.",
        )


def check_content(db: sqlite3.Connection, path: Path) -> None:
    """Have SQLite look for damage, for at most ``CHECK_S`` seconds.

    Raises
    ------
    StoreError
        There is some.
    """
    until = time.monotonic() + CHECK_S
    db.set_progress_handler(lambda: int(time.monotonic() > until), 10_000)
    try:
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return
        raise _damaged(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    finally:
        db.set_progress_handler(None, 0)
    if found != "ok" or not {"events", "points", "attempts", "budget", "lease"} <= tables:
        raise _damaged(path, str(found).splitlines()[-1] if found != "ok" else "tables are missing")


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open a database for one writer, or for reading.

    A reader may undo what a killed writer left half done, as SQLite does; it changes nothing else.
    """
    modes = ["rw"] if write or os.access(path.parent, os.W_OK) else ["ro"]
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={modes[0]}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    db.execute("PRAGMA trusted_schema=OFF")
    db.execute("PRAGMA mmap_size=0")
    if write:
        mode = journal_mode(path)
        with contextlib.suppress(sqlite3.OperationalError):  # somebody reads: as it was, then
            db.execute(f"PRAGMA journal_mode={mode}")
    else:
        db.execute("PRAGMA query_only=ON")
    return db


def sync_folder(path: Path) -> None:
    """Make a rename in a folder survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(
        f"The journal {path} is damaged: {why[:200]}. Nothing was changed.",
        hint="decart_lab.sweep.salvage.salvage(folder) copies every readable row into a new "
        "journal beside it; the media in the folder is as it was.",
    )
