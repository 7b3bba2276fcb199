"""Reading what can be read of a damaged journal into a new one beside it.

The damaged file is only read. Rows that cannot be read are left out, one by one. Money is added up
from the attempts that are left, so the sums are what is known, not what was.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import StoreError
from ._schema import APPLICATION_ID, SCHEMA_VERSION, sync_folder
from .journal import JOURNAL_NAME

SALVAGED_NAME: Final = "journal.salvaged.sqlite"
_PATIENCE: Final = 20_000
"""So many refusals of a table are borne: with its root lost, every row would be one."""

_TABLES: Final = ("points", "events", "attempts")


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was saved.

    Attributes
    ----------
    path : Path
        The new journal; to go on, put it in the place of the damaged one.
    points, events, attempts : int
        Rows that could be read.
    """

    path: Path
    points: int
    events: int
    attempts: int


def salvage(folder: Path) -> Salvaged:
    """Copy every readable row of a run's journal into a new journal beside it. Blocking.

    Parameters
    ----------
    folder : Path
        The run's. Nobody may be writing to it.

    Raises
    ------
    StoreError
        Not even the tables' definitions can be read, or the copy cannot be written.
    """
    source, target = Path(folder) / JOURNAL_NAME, Path(folder) / SALVAGED_NAME
    part = target.with_name(f"{SALVAGED_NAME}.part")
    try:
        part.unlink(missing_ok=True)
        with (
            contextlib.closing(_reader(source)) as old,
            contextlib.closing(sqlite3.connect(part, isolation_level=None)) as new,
        ):
            new.execute("PRAGMA synchronous=OFF")
            new.execute("BEGIN")
            for (sql,) in old.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
                new.execute(sql)
            new.executemany("INSERT INTO meta VALUES (?, ?)", old.execute("SELECT * FROM meta"))
            counts = {table: _copy(old, new, table) for table in _TABLES}
            _add_up(old, new)
            new.execute("COMMIT")
            new.execute(f"PRAGMA application_id={APPLICATION_ID}")
            new.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
        sync_folder(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"The journal {source} cannot be salvaged: {error}.",
            hint="The media in the folder is as it was, and run.lock.json says what was bought.",
        ) from error
    return Salvaged(target, **counts)


def _reader(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    db.execute("PRAGMA trusted_schema=OFF")
    db.execute("PRAGMA cell_size_check=ON")
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return db


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> int:
    count = 0
    for row in _rows(old, table):
        marks = ", ".join("?" * len(row))
        with contextlib.suppress(sqlite3.IntegrityError):
            new.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608 (our names)
            count += 1
    return count


def _rows(db: sqlite3.Connection, table: str) -> Iterator[tuple[object, ...]]:
    """Every row that can be read; around a place that cannot, by halves."""
    key = {"points": "n", "events": "seq", "attempts": "id"}[table]
    spans = [(1, 1 << 31)]
    select = f"SELECT * FROM {table} WHERE {key} BETWEEN ? AND ? ORDER BY {key}"  # noqa: S608
    refused = 0
    while spans and refused < _PATIENCE:
        first, last = spans.pop()
        reached = first - 1
        try:
            for row in db.execute(select, (first, last)):
                reached = row[0]
                yield row
        except sqlite3.Error:
            refused += 1
            first = reached + 1
            if first < last:
                middle = (first + last) // 2
                spans += [(middle + 1, last), (first, middle)]


def _add_up(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    new.execute("INSERT INTO budget VALUES (1, NULL, 0, 0, 0)")
    with contextlib.suppress(sqlite3.Error):
        new.executemany(
            "UPDATE budget SET cap = ?", old.execute("SELECT cap FROM budget").fetchall()
        )
    new.execute(
        "UPDATE budget SET "
        "reserved = (SELECT coalesce(sum(reserve), 0) FROM attempts), "
        "spent = (SELECT coalesce(sum(spent), 0) FROM attempts), "
        "unpriced = (SELECT coalesce(sum(unpriced AND paid), 0) FROM attempts)"
    )
    (epoch,) = new.execute("SELECT coalesce(max(epoch), 0) FROM attempts").fetchone()
    new.execute("INSERT INTO lease VALUES (1, ?, NULL, NULL, NULL, NULL)", (epoch,))
