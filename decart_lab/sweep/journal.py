"""The record of a run on the disk: what happened, in order, and where every point stands.

One file, ``journal.sqlite``. The events are the truth and the points a view of them, updated in the
event's own transaction. One thread writes; anybody reads, from any thread or process. An intent is
on the disk before the first byte of a paid request, and a job id before anything else can fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, Self

from .._clock import Clock, RealClock
from ..contract.states import PointStatus
from ..errors import StoreError
from . import budget as money
from . import lease as leases
from ._crashpoints import here
from ._moves import Moves
from ._records import Attempt, Columns, Event, EventKind, Spent, Tally, moment, tally_of
from ._schema import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    TABLES,
    check,
    check_content,
    connect,
    points_table,
    sync_folder,
)
from ._writer import Work, Writer
from .lease import BEAT_S, TAKEOVER_AFTER_S, Lease, Moment, Owner
from .table import INDEX, Dtype

__all__ = ["Attempt", "Event", "EventKind", "Journal", "Lease", "Owner", "Spent", "Tally"]

JOURNAL_NAME: Final = "journal.sqlite"
WINDOW: Final = 8
"""So many paid requests of a route may be on their way at once, their fate unknown."""


class Journal:
    """The record of one run; made by :meth:`create` and :meth:`open`.

    Attributes
    ----------
    folder : Path
        The run's.
    run_id : str
        Its name.
    meta : dict
        What was said of it when it was planned.
    columns : dict of str to dtype
        The axis columns of its table.
    readonly : bool
        Whether it can only be looked at.
    """

    def __init__(self, folder: Path, *, readonly: bool, clock: Clock, window: int) -> None:
        self.folder = folder
        self.readonly = readonly
        path = folder / JOURNAL_NAME
        self._path = path
        self._reader = connect(path, write=False)
        self._reading = threading.RLock()
        try:
            check_content(self._reader, path)
            with self._wrapped():
                self.meta: dict[str, Any] = self._meta("meta")
                self._columns = Columns(self._meta("columns"))
            self._writer = None if readonly else Writer(path, BEAT_S)
        except BaseException:
            self._reader.close()
            raise
        self._moves = Moves(self._columns, clock, window)
        self._lease: Lease | None = None
        self._failed: BaseException | None = None
        # Closes at the latest with the process, so that nothing that was gathered is lost.
        self._end = weakref.finalize(self, _close, self._writer, self._reader)

    @classmethod
    def create(
        cls,
        folder: Path,
        meta: Mapping[str, Any],
        rows: Iterable[Mapping[str, Any]],
        columns: Mapping[str, Dtype],
        *,
        budget: float | None = None,
        clock: Clock | None = None,
        window: int = WINDOW,
    ) -> Self:
        """Begin the record of a run; all points join, or there is no record. Blocking.

        Parameters
        ----------
        folder : Path
            The run's; made when missing.
        meta : mapping
            JSON values about the run, with ``run_id``. No secret.
        rows : iterable of mapping
            One per point: ``point_id`` and what is known of it; ``status`` is planned unless it
            says otherwise.
        columns : mapping of str to dtype
            The axis columns.
        budget : float, optional
            Cap in USD.
        clock : Clock, optional
            Dates the events.
        window : int, default 8
            Paid requests of a route on their way at the same time.

        Raises
        ------
        StoreError
            There is one already, or the folder cannot be written.
        """
        path = folder / JOURNAL_NAME
        part = folder / f"{JOURNAL_NAME}.part"
        found = Columns(columns)
        moves = Moves(found, clock or RealClock(), window)
        if path.exists():
            raise StoreError(
                f"There is a journal at {path} already.", hint="Open it with decart_lab.open_run."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            db = sqlite3.connect(part, isolation_level=None)
            try:
                # Nobody sees it before its last name; it is synced once, as a whole.
                db.execute("PRAGMA journal_mode=OFF")
                db.execute("PRAGMA synchronous=OFF")
                db.executescript(TABLES + points_table(found.sql.values()))
                db.execute("BEGIN IMMEDIATE")
                db.executemany(
                    "INSERT INTO meta VALUES (?, ?)",
                    (("meta", json.dumps(dict(meta))), ("columns", json.dumps(found.axes))),
                )
                money.set_cap(db, budget)
                moves.join(db, rows)
                db.execute("COMMIT")
                db.execute(f"PRAGMA application_id={APPLICATION_ID}")
                db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            finally:
                db.close()
            _sync(part)
            here("plan.before")
            part.rename(path)
            sync_folder(folder)
            here("plan.after")
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"The journal {path} cannot be made: {error}.",
                hint="Check the disk's space and permissions, or set DECART_LAB_RUNS elsewhere.",
            ) from error
        return cls(folder, readonly=False, clock=moves.clock, window=window)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        readonly: bool = False,
        clock: Clock | None = None,
        window: int = WINDOW,
    ) -> Self:
        """Open the record of a run; nothing in it changes before :meth:`acquire`. Blocking.

        Raises
        ------
        StoreError
            There is none, it is of a newer version, or it is damaged.
        """
        check(folder / JOURNAL_NAME)
        try:
            return cls(folder, readonly=readonly, clock=clock or RealClock(), window=window)
        except sqlite3.Error as error:
            raise StoreError(
                f"The journal {folder / JOURNAL_NAME} cannot be opened: {error}.",
                hint="Check the permissions of the folder.",
            ) from error

    # -- who may buy ---------------------------------------------------------------------------

    def acquire(
        self,
        owner: Owner | None = None,
        *,
        takeover_after_s: float = TAKEOVER_AFTER_S,
        now: Moment | None = None,
    ) -> Lease | None:
        """Become the one who buys for the run, and put what an owner before left open in doubt.

        The lease is kept alive by the journal's own thread until :meth:`release`. Blocking.

        Parameters
        ----------
        owner : Owner, optional
            This process by default.
        takeover_after_s : float, default 30
            An owner that cannot be shown to be dead loses the run after so long a silence.

        Returns
        -------
        Lease or None
            None when somebody living has it, see :meth:`holder`.
        """
        wanted = owner or Owner.here()

        def work(db: sqlite3.Connection) -> Lease | None:
            before = leases.holder(db)
            taken = leases.take(db, wanted, takeover_after_s, now or Moment.now())
            if taken is not None and (before is None or before.token != wanted.token):
                self._moves.recover(db)
            return taken

        lease: Lease | None = self._put(work, "lease", "recover").result()
        if lease is not None:
            self._lease = lease
            self._writing.regularly(lambda db: leases.beat(db, lease, Moment.now()))
        return lease

    def heartbeat(self, lease: Lease, *, now: Moment | None = None) -> bool:
        """Say that the owner lives; return whether the run is still its own. Blocking."""
        found: bool = self._put(lambda db: leases.beat(db, lease, now or Moment.now())).result()
        return found

    def release(self, lease: Lease) -> None:
        """Let go of the run. Blocking."""
        self._writing.regularly(None)
        self._put(lambda db: leases.release(db, lease), "lease").result()
        if self._lease == lease:
            self._lease = None

    def holder(self) -> Owner | None:
        """Return who has the run, None when nobody living on this machine has."""
        with self._reading, self._wrapped():
            return leases.holder(self._reader)

    # -- money ---------------------------------------------------------------------------------

    async def intent(
        self,
        lease: Lease,
        point_id: str,
        *,
        reserve_usd: float | None,
        facts: Mapping[str, Any] | None = None,
        route: str = "job",
    ) -> Attempt:
        """Write down that a point is about to be bought; only then may its request begin.

        Parameters
        ----------
        lease : Lease
            The right to do so.
        point_id : str
            The point.
        reserve_usd : float or None
            What it will cost; None or NaN when that is not known, which reserves nothing.
        facts : mapping, optional
            Columns that are known by now.
        route : str, default "job"
            How it is bought; the window is counted by it. ``facts`` may say it instead.

        Raises
        ------
        BudgetError
            The cap would be exceeded.
        LeaseError
            Somebody else has the run.
        AssertionError
            The point cannot be bought as it stands, or the window is full: a bug of ours.
        """
        self._raise_failure()
        reserve = money.micro(reserve_usd)
        found = dict(facts or {})
        route = str(found.pop("route", route))
        future = self._put(
            lambda db: self._moves.intent(db, lease, point_id, reserve, route, found), "intent"
        )
        try:
            attempt: Attempt = await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: self._undo(lease, done))
            raise
        return attempt

    async def ack(
        self,
        lease: Lease,
        attempt: Attempt,
        job_id: str,
        raw: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down the job id of an attempt, with what the service said.

        Raises
        ------
        LeaseError
            Somebody else has the run; the id is in the journal all the same.
        """
        found = dict(facts or {})
        await self._do(lambda db: self._moves.ack(db, lease, attempt, job_id, raw, found), "ack")

    async def done(
        self, lease: Lease, attempt: Attempt, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Write down that the service has finished, which it may have done at once."""
        found = dict(facts or {})
        await self._do(lambda db: self._moves.done(db, lease, attempt, found), "done")

    async def stored(
        self, lease: Lease, attempt: Attempt, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Write down where the result lies, after its file is synced and has its last name.

        ``cost`` in the facts is the service's word; by default it is what was reserved.
        """
        found = dict(facts or {})
        await self._do(lambda db: self._moves.stored(db, lease, attempt, found), "stored")

    async def ended(
        self,
        lease: Lease,
        attempt: Attempt,
        status: PointStatus | str,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down that an attempt has no result.

        Parameters
        ----------
        status : PointStatus
            ``planned``: certainly not bought, and to be tried again. ``failed``, ``rejected``: the
            money is free again. ``in_doubt``, ``lost``: it stays reserved. ``cancelled`` of an
            attempt in doubt: it counts as spent.
        """
        found, word = dict(facts or {}), PointStatus(status)
        await self._do(lambda db: self._moves.ended(db, lease, attempt, word, found), "ended")

    async def set_budget(self, lease: Lease, usd: float | None) -> None:
        """Change the cap; what is spent and reserved stays."""

        def work(db: sqlite3.Connection) -> None:
            leases.check(db, lease)
            money.set_cap(db, usd)

        await self._do(work)

    # -- what costs nothing --------------------------------------------------------------------

    async def record(self, kind: EventKind, point_id: str, /, **changes: Any) -> None:
        """Write down a change that moves no money, a little later and together with others.

        It returns at once. A change that is refused raises at the next intent, flush or close.

        Raises
        ------
        LeaseError
            This journal does not hold the run.
        """
        self.note(kind, point_id, **changes)

    def note(self, kind: EventKind, point_id: str, /, **changes: Any) -> None:
        """Do as :meth:`record` does, from any thread."""
        held = self._lease
        if held is None:
            raise leases.lost(self.holder())
        future = self._put(
            lambda db: self._moves.record(db, held, kind, point_id, **changes),
            "batch",
            durable=False,
        )
        future.add_done_callback(self._look)

    def extend(
        self, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Dtype] | None = None
    ) -> list[str]:
        """Let the points of an extended grid join; return the ids of the new ones. Blocking.

        Parameters
        ----------
        rows : iterable of mapping
            As for :meth:`create`; points that are there already stay as they are.
        columns : mapping of str to dtype, optional
            The axis columns of the extended grid.
        """
        wide = joined(self._columns.axes, columns or {})
        found = Columns(wide)
        listed = list(rows)

        def work(db: sqlite3.Connection) -> list[str]:
            for name in wide:
                if name not in self._columns.axes:
                    db.execute(f"ALTER TABLE points ADD COLUMN {found.sql[name]}")
            db.execute("UPDATE meta SET value = ? WHERE key = 'columns'", (json.dumps(wide),))
            self._moves.columns = found
            return self._moves.join(db, listed)

        new: list[str] = self._put(work, "plan").result()
        self._columns = found
        return new

    def flush(self) -> None:
        """Wait until everything said so far is on the disk."""
        self._put(lambda _: None).result()
        self._raise_failure()

    def close(self) -> None:
        """Write what was gathered, let go of the run and of the file; may be called twice.

        Raises
        ------
        Exception
            What a gathered change was refused with.
        """
        if not self._end.alive:
            return
        try:
            if self._lease is not None:
                self.release(self._lease)
        finally:
            self._end()
        self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- looking -------------------------------------------------------------------------------

    @property
    def columns(self) -> dict[str, Dtype]:
        """The axis columns of the run's table."""
        return self._columns.axes

    @property
    def run_id(self) -> str:
        """The run's name."""
        return str(self.meta.get("run_id", self.folder.name))

    @property
    def lease(self) -> Lease | None:
        """The lease this journal took last, None when it holds none."""
        return self._lease

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

    # -- inside --------------------------------------------------------------------------------

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreError(
                f"The run {self.run_id} is open for looking only.",
                hint="Open it without readonly to go on buying.",
            )
        return self._writer

    def _put(self, work: Work, *places: str, durable: bool = True) -> Future[Any]:
        return self._writing.put(work, *places, durable=durable)

    async def _do(self, work: Work, *places: str) -> None:
        # Shielded: what is to be written is written, whoever stops waiting for it.
        await asyncio.shield(asyncio.wrap_future(self._put(work, *places)))

    def _undo(self, lease: Lease, done: Future[Any]) -> None:
        """End an attempt nobody waited for: its request was certainly not sent."""
        if done.exception() is None:
            attempt: Attempt = done.result()
            with contextlib.suppress(StoreError):
                self._put(
                    lambda db: self._moves.ended(db, lease, attempt, PointStatus.PLANNED, {}),
                    "ended",
                )

    def _look(self, done: Future[Any]) -> None:
        self._failed = self._failed or done.exception()

    def _raise_failure(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

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


def joined(one: Mapping[str, Dtype], other: Mapping[str, Dtype]) -> dict[str, Dtype]:
    """Return the axis columns of two grids together; a type that differs becomes one for both.

    Examples
    --------
    >>> joined({"size": "Int64"}, {"size": "Float64", "look": "string"})
    {'size': 'Float64', 'look': 'string'}
    """
    found = dict(one)
    for name, kind in other.items():
        old = found.get(name, kind)
        both: Dtype = "Float64" if {old, kind} <= {"Int64", "Float64"} else "string"
        found[name] = kind if old == kind else both
    return found


def _close(writer: Writer | None, reader: sqlite3.Connection) -> None:
    if writer is not None:
        writer.close()
    reader.close()


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
