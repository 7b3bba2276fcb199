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
import weakref
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, Self

from .._clock import Clock, RealClock
from ..contract.states import PointStatus
from ..errors import LeaseError, StoreError
from . import budget as money
from . import lease as leases
from ._beginning import begin
from ._moves import Moves
from ._reading import Reading
from ._records import Attempt, Columns, Event, EventKind, Spent, Tally, joined
from ._schema import (
    check,
)
from ._writer import Work, Writer
from .lease import BEAT_S, TAKEOVER_AFTER_S, Lease, Moment, Owner
from .reserve import Reserve
from .table import Dtype

__all__ = ["Attempt", "Event", "EventKind", "Journal", "Lease", "Owner", "Spent", "Tally"]

JOURNAL_NAME: Final = "journal.sqlite"
WINDOW: Final = 8
"""So many paid requests of a route may be on their way at once, their fate unknown."""


class Journal(Reading):
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
        super().__init__(folder / JOURNAL_NAME)
        self.readonly = readonly
        try:
            self._writer = None if readonly else Writer(self._path, BEAT_S)
        except BaseException:
            self._reader.close()
            raise
        self._moves = Moves(self._columns, clock, window)
        self._reserve = Reserve(folder)
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
        moves = Moves(Columns(columns), clock or RealClock(), window)
        begin(folder / JOURNAL_NAME, dict(meta), rows, moves, budget)
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
            There is none, it is of a newer version, it is damaged, or it may not be written to.
        """
        check(folder / JOURNAL_NAME)
        needed = () if readonly else (folder, folder / JOURNAL_NAME)
        if not all(os.access(path, os.W_OK) for path in needed):
            raise StoreError(
                f"The run folder {folder} may not be written to.",
                hint="Look at it with decart_lab.open_run, or copy it to another place to go on.",
            )
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
        given: list[Lease] = []

        def work(db: sqlite3.Connection) -> Lease | None:
            before = leases.holder(db)
            taken = leases.take(db, wanted, takeover_after_s, now or Moment.now())
            if taken is not None:
                given.append(taken)
            if taken is not None and (before is None or before.token != wanted.token):
                self._moves.merge(db, taken, self._reserve.kept())
                self._moves.recover(db)
            return taken

        def give_back(db: sqlite3.Connection) -> None:
            for lease in given:
                leases.release(db, lease)

        try:
            lease: Lease | None = self._put(work, "lease", "recover").result()
            if lease is not None:
                self._reserve.prepare()
                self._lease = lease
                self._writing.regularly(lambda db: leases.beat(db, lease, Moment.now()))
        except BaseException:
            # Interrupted, perhaps, while the writing thread takes it all the same: nobody would
            # buy with that lease, and nobody else could take the run.
            with contextlib.suppress(StoreError):
                self._put(give_back)
            raise
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
        StoreError
            The disk refuses; the id waits in the reserve until the run is acquired again.
        """
        found = dict(facts or {})
        future = self._put(
            lambda db: self._moves.ack(db, lease, attempt, job_id, raw, found), "ack"
        )

        def keep(done: Future[Any]) -> None:  # before anybody is told, on the journal's thread
            error = done.exception()
            if isinstance(error, StoreError) and not isinstance(error, LeaseError):
                self._reserve.keep(attempt.id, job_id)

        future.add_done_callback(keep)
        await asyncio.shield(asyncio.wrap_future(future))

    async def done(
        self, lease: Lease, attempt: Attempt, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Write down that the service has finished, which it may have done at once."""
        found = dict(facts or {})
        # A picture answered at once is acknowledged by its arrival.
        places = ("ack", "done") if attempt.route == "direct" else ("done",)
        await self._do(lambda db: self._moves.done(db, lease, attempt, found), *places)

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

    @property
    def lease(self) -> Lease | None:
        """The lease this journal took last, None when it holds none."""
        return self._lease

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


def _close(writer: Writer | None, reader: sqlite3.Connection) -> None:
    if writer is not None:
        writer.close()
    reader.close()
