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
from ._holding import JOURNAL_NAME, Holding
from ._joining import join
from ._moves import Moves
from ._records import Attempt, Columns, Event, EventKind, Spent, Tally, joined
from ._schema import check
from ._writer import SOON_S
from .lease import Lease, Owner
from .table import Dtype

__all__ = [
    "JOURNAL_NAME",
    "Attempt",
    "Event",
    "EventKind",
    "Journal",
    "Lease",
    "Owner",
    "Spent",
    "Tally",
]

WINDOW: Final = 8
"""So many paid requests of a route may be on their way at once, their fate unknown."""


class Journal(Holding):
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
        self,
        lease: Lease,
        attempt: Attempt,
        facts: Mapping[str, Any] | None = None,
        *,
        later: bool = False,
    ) -> None:
        """Write down that the service has finished, which it may have done at once.

        Parameters
        ----------
        later : bool, default False
            Return at once, for a job, whose end can be asked for again: what this is refused with
            raises at the next intent, flush or close. A picture that was answered at once is
            acknowledged by this, and has to be waited for.
        """
        found = dict(facts or {})

        def work(db: sqlite3.Connection) -> Any:
            return self._moves.done(db, lease, attempt, found)

        assert not (later and attempt.route == "direct"), "this is its only acknowledgement"
        if later:
            self._gather(work, "done")
        else:
            await self._do(work, *(("ack", "done") if attempt.route == "direct" else ("done",)))

    async def stored(
        self, lease: Lease, attempt: Attempt, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Write down where the result lies, after its file is synced and has its last name.

        It waits a moment for company: the service has let go of the job by now.
        ``cost`` in the facts is the service's word; by default it is what was reserved.
        """
        found = dict(facts or {})
        future = self._put(
            lambda db: self._moves.stored(db, lease, attempt, found),
            "stored",
            within_s=SOON_S,
        )
        await asyncio.shield(asyncio.wrap_future(future))

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
        self._gather(lambda db: self._moves.record(db, held, kind, point_id, **changes), "batch")

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
            return join(db, found, self._moves.clock, listed)

        new: list[str] = self._put(work, "plan").result()
        self._columns = found
        return new

    def _undo(self, lease: Lease, done: Future[Any]) -> None:
        """End an attempt nobody waited for: its request was certainly not sent."""
        if done.exception() is None:
            attempt: Attempt = done.result()
            with contextlib.suppress(StoreError):
                self._put(
                    lambda db: self._moves.ended(db, lease, attempt, PointStatus.PLANNED, {}),
                    "ended",
                )
