"""Looking at the record of a run, from any thread and any process, while it goes on or after.

What belongs here: everything that reads a journal and changes nothing. Writing is
:mod:`decart_lab.sweep.journal`'s.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ..contract.states import PointStatus
from ..errors import StoreError
from . import budget as money
from . import lease as leases
from ._records import Attempt, Columns, Event, Spent, Tally, moment, tally_of
from ._schema import check_content, connect
from .lease import Moment, Owner
from .table import INDEX, Dtype

_US: Final = Owner.here()
"""Whose monotonic clock a silence is measured by; a fork is on the same machine."""


class Reading:
    """A connection that reads one journal.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    StoreError
        It is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path.parent
        self._path = path
        self._reader = connect(path, write=False)
        self._reading = threading.RLock()
        try:
            check_content(self._reader, path)
            with self._wrapped():
                self.meta: dict[str, Any] = self._meta("meta")
                self._columns = Columns(self._meta("columns"))
        except BaseException:
            self._reader.close()
            raise

    @property
    def columns(self) -> dict[str, Dtype]:
        """The axis columns of the run's table."""
        return self._columns.axes

    @property
    def run_id(self) -> str:
        """The run's name."""
        return str(self.meta.get("run_id", self.folder.name))

    @property
    def budget(self) -> float | None:
        """The cap in USD, None when there is none."""
        with self._reading, self._wrapped():
            return money.cap(self._reader)

    def rows(self) -> list[dict[str, Any]]:
        """Return every point as it stands, in the order the points joined."""
        found = self.columns_of()
        decode = self._columns.decode
        decoded = [[decode(name, value) for value in values] for name, values in found.items()]
        return [dict(zip(found, values, strict=True)) for values in zip(*decoded, strict=True)]

    def row(self, point_id: str) -> dict[str, Any]:
        """Return one point as it stands.

        Raises
        ------
        KeyError
            It is not in the run.
        """
        names = list(self._columns)
        listed = ", ".join(self._columns.sql[name] for name in names)
        sql = f"SELECT {listed} FROM points WHERE point_id = ?"  # noqa: S608 (our names)
        found = self._read(sql, point_id)
        if not found:
            raise KeyError(point_id)
        pairs = zip(names, found[0], strict=True)
        return {INDEX: point_id} | {name: self._columns.decode(name, v) for name, v in pairs}

    def columns_of(self, names: Iterable[str] | None = None) -> dict[str, list[Any]]:
        """Return columns of the table, every point in the order the points joined.

        Parameters
        ----------
        names : iterable of str, optional
            Which; all by default. ``point_id`` always comes first.

        Returns
        -------
        dict of str to list
            Values as they are kept: times as microseconds since 1970, booleans as 0 and 1.
        """
        wanted = [n for n in (self._columns if names is None else names) if n != INDEX]
        listed = ", ".join([INDEX, *(self._columns.sql[name] for name in wanted)])
        found: list[list[Any]] = [[] for _ in range(len(wanted) + 1)]
        # Equal texts of a column become one object: a table repeats itself.
        same: list[dict[Any, Any]] = [{} for _ in found]
        with self._reading, self._wrapped():
            cursor = self._reader.execute(f"SELECT {listed} FROM points ORDER BY n")  # noqa: S608
            while block := cursor.fetchmany(2_000):
                for values, seen, column in zip(zip(*block, strict=True), same, found, strict=True):
                    if len(seen) > 5_000:
                        column.extend(values)
                    else:
                        column.extend(map(seen.setdefault, values, values))
        return dict(zip([INDEX, *wanted], found, strict=True))

    def events(self, after: int = 0) -> list[Event]:
        """Return the events so far, those after a position."""
        lines = self._read(
            "SELECT seq, at, kind, point_id, changes, attempt FROM events WHERE seq > ? "
            "ORDER BY seq",
            after,
        )
        return [
            Event(seq, moment(at), kind, point_id, self._decoded(changes), attempt)
            for seq, at, kind, point_id, changes, attempt in lines
        ]

    def attempts(self) -> list[dict[str, Any]]:
        """Return every try at buying a point, in the order they began.

        Each holds ``point_id``, ``attempt``, ``status``, ``job_id``, ``state``, ``route``, and the
        columns of the table that are known of it; of one that goes on, as the point says.
        """
        lines = self._read(
            "SELECT point_id, number, status, job_id, state, route, facts FROM attempts ORDER BY id"
        )
        return [
            self._decoded(facts)
            | {INDEX: point_id, "attempt": number, "status": status, "job_id": job_id}
            | {"state": state, "route": route}
            for point_id, number, status, job_id, state, route, facts in lines
        ]

    def under_way(self) -> list[Attempt]:
        """Return the attempts that are paid or may be, and have no end: what a runner collects.

        Those in doubt are not among them: no id leads to them.
        """
        lines = self._read(
            "SELECT a.id, a.point_id, a.number, a.route, a.state, a.job_id FROM attempts a "
            "JOIN points p ON p.point_id = a.point_id WHERE a.state IN ('acked', 'done') "
            """OR (a.state = 'lost' AND p."status" IN ('pending', 'processing')) ORDER BY a.id"""
        )
        return [Attempt(*line) for line in lines]

    def attempt_of(self, point_id: str) -> Attempt | None:
        """Return the last try at buying a point, None when there was none."""
        lines = self._read(
            "SELECT id, point_id, number, route, state, job_id FROM attempts "
            "WHERE point_id = ? ORDER BY number DESC LIMIT 1",
            point_id,
        )
        return Attempt(*lines[0]) if lines else None

    def tally(self) -> Tally:
        """Count the points by where they stand."""
        lines = self._read(
            'SELECT "status", count(*), sum("cost"), sum("cost" IS NULL) FROM points '
            'GROUP BY "status"'
        )
        counts = {status: count for status, count, _, _ in lines}
        completed = [line for line in lines if line[0] == PointStatus.COMPLETED]
        cost, unpriced = (completed[0][2] or 0.0, completed[0][3]) if completed else (0.0, 0)
        return tally_of(counts, cost, unpriced)

    def spent(self) -> Spent:
        """Return where the money is."""
        with self._reading, self._wrapped():
            return money.spent(self._reader)

    def rebuild(self) -> list[dict[str, Any]]:
        """Work the points out from the events alone; equal to :meth:`rows` unless we have a bug."""
        points: dict[str, dict[str, Any]] = {}
        for event in self.events():
            if event.kind == "planned":
                points[event.point_id] = {INDEX: event.point_id} | dict.fromkeys(self._columns)
            if event.point_id:
                known = {k: v for k, v in event.changes.items() if k in self._columns.dtypes}
                points[event.point_id] |= known
        return list(points.values())

    def backup(self, path: Path) -> None:
        """Write a whole copy of the file to a path, also while a run goes on. Blocking."""
        with self._reading, self._wrapped(), contextlib.closing(sqlite3.connect(path)) as copy:
            self._reader.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")

    def holder(self) -> Owner | None:
        """Return who has the run, None when nobody living on this machine has."""
        with self._reading, self._wrapped():
            return leases.holder(self._reader)

    def abandoned(self, *, now: Moment | None = None) -> bool:
        """Return whether who had the run is gone and did not give it back: dead, or long silent."""
        with self._reading, self._wrapped():
            return leases.abandoned(self._reader, _US, now or Moment.now())

    # -- inside --------------------------------------------------------------------------------

    def _read(self, sql: str, *values: Any) -> Sequence[Any]:
        with self._reading, self._wrapped():
            return self._reader.execute(sql, values).fetchall()

    def _meta(self, key: str) -> dict[str, Any]:
        ((text,),) = self._reader.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchall()
        found: dict[str, Any] = json.loads(text)
        return found

    def _decoded(self, text: str) -> dict[str, Any]:
        return {name: self._columns.decode(name, v) for name, v in json.loads(text).items()}

    @contextlib.contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(
                f"The journal {self._path} cannot be read: {error}.",
                hint="If it is damaged, decart_lab.sweep.salvage.salvage(folder) copies what can "
                "be read.",
            ) from error
