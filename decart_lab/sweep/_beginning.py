"""The first writing of a journal: all points of a plan, or no file.

It is written under another name, synced as a whole and renamed, so that a kernel that dies
meanwhile leaves nothing that looks like a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import StoreError
from . import budget as money
from ._crashpoints import here
from ._joining import join
from ._moves import Moves
from ._schema import APPLICATION_ID, SCHEMA_VERSION, TABLES, points_table, sync_folder


def begin(
    path: Path,
    meta: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
    moves: Moves,
    budget: float | None,
) -> None:
    """Write a new journal.

    Parameters
    ----------
    path : Path
        Where it is to be; its folder is made when missing.
    meta : mapping
        JSON values about the run.
    rows : iterable of mapping
        The points.
    moves : Moves
        Lets them join.
    budget : float, optional
        Cap in USD.

    Raises
    ------
    StoreError
        There is one already, or it cannot be written.
    InvalidInputError
        The budget is no amount.
    """
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        raise StoreError(
            f"There is a journal at {path} already.", hint="Open it with decart_lab.open_run."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        _write(part, meta, rows, moves, budget)
        here("plan.before")
        part.rename(path)
        # The folder's own name, too, and its parent's, which may be as new.
        for folder in (path.parent, *path.parent.parents[:2]):
            sync_folder(folder)
        here("plan.after")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"The journal {path} cannot be made: {error}.",
            hint="Check the disk's space and permissions, or set DECART_LAB_RUNS elsewhere.",
        ) from error


def _write(
    part: Path,
    meta: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
    moves: Moves,
    budget: float | None,
) -> None:
    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as db:
        # Nobody sees it before it has its name; it is synced once, as a whole.
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("PRAGMA synchronous=OFF")
        db.executescript(TABLES + points_table(moves.columns.sql.values()))
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            (("meta", json.dumps(meta)), ("columns", json.dumps(moves.columns.axes))),
        )
        money.set_cap(db, budget)
        join(db, moves.columns, moves.clock, rows)
        db.execute("COMMIT")
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    with part.open("rb+") as file:
        os.fsync(file.fileno())
