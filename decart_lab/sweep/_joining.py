"""Points join a run: a row and an event for each, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from .._clock import Clock
from ..contract.states import PointStatus
from ._records import Columns, dumps, micros
from .table import INDEX


def join(
    db: sqlite3.Connection, columns: Columns, clock: Clock, rows: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Let points join; those that are there already stay as they are. Return the new ids."""
    known = {name for (name,) in db.execute("SELECT point_id FROM points")}
    names = list(columns)
    targets = ", ".join(columns.sql[name] for name in names)
    marks = ", ".join("?" * (len(names) + 1))
    at = micros(clock.utc())
    new: list[str] = []

    def fresh() -> Iterable[tuple[str, dict[str, Any]]]:
        for row in rows:
            point_id = str(row[INDEX])
            if point_id in known:
                continue
            known.add(point_id)
            new.append(point_id)
            changes = {"status": PointStatus.PLANNED.value, **row}
            del changes[INDEX]
            found = columns.encode(changes)
            yield point_id, {k: v for k, v in found.items() if v is not None}

    insert = f"INSERT INTO points (point_id, {targets}) VALUES ({marks})"  # noqa: S608 (our names)
    event = "INSERT INTO events (at, kind, point_id, changes) VALUES (?, 'planned', ?, ?)"
    # In turns of a thousand: the two tables grow side by side and memory stays small.
    batch: list[tuple[str, dict[str, Any]]] = []
    for item in fresh():
        batch.append(item)
        if len(batch) == 1_000:
            _insert(db, insert, event, names, at, batch)
            batch = []
    _insert(db, insert, event, names, at, batch)
    return new


def _insert(
    db: sqlite3.Connection,
    insert: str,
    event: str,
    names: list[str],
    at: int,
    batch: list[tuple[str, dict[str, Any]]],
) -> None:
    db.executemany(insert, ([i, *map(found.get, names)] for i, found in batch))
    db.executemany(event, ((at, i, dumps(found)) for i, found in batch))
