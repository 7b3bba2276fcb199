"""What may happen to a point, each as one piece of a transaction.

Every move appends its event, folds it into the view of the points, and moves the money with it. The
table of states decides what is possible; the lease decides who may; the cap decides whether.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from .._clock import Clock
from ..contract.states import PointStatus, check_transition
from . import budget, lease
from ._records import MAX_ID, MAX_TEXT, Attempt, Columns, EventKind, dumps, micros
from ._writer import Refused
from .lease import Lease

UNDER_WAY: Final = ("intent", "acked", "done", "in_doubt", "lost")
"""States of an attempt that has not ended."""

_OF_ONE_ATTEMPT: Final = (
    *("job_id", "polls", "completed_at", "prepare_s", "upload_s", "submit_s", "queue_s", "run_s"),
    *("poll_lag_s", "download_s", "total_s", "cost", "error_phase", "error_type"),
    *("error_message", "http_status"),
)
"""Columns that a new attempt begins without."""

_CHEAP: Final = frozenset({PointStatus.PENDING, PointStatus.PROCESSING})


class _Try(NamedTuple):
    """An attempt as its row says."""

    point_id: str
    number: int
    epoch: int
    state: str
    reserve: int
    unpriced: int
    paid: int


class Moves:
    """The moves of one run.

    Parameters
    ----------
    columns : Columns
        Of its table.
    clock : Clock
        Dates the events.
    window : int
        So many attempts of a route may be on their way, their fate unknown, at the same time.
    """

    def __init__(self, columns: Columns, clock: Clock, window: int) -> None:
        self.columns = columns
        self.clock = clock
        self.window = window

    def record(
        self, db: sqlite3.Connection, held: Lease, kind: EventKind, point_id: str, **changes: Any
    ) -> None:
        """Note a change that moves no money.

        Raises
        ------
        AssertionError
            It would move money, or is a change of state that cannot be: a bug of ours.
        LeaseError
            Somebody else has the run.
        """
        lease.check(db, held)
        status = changes.get("status")
        if status is not None and point_id:
            assert status != PointStatus.SUBMITTING, "a purchase begins with an intent"
            row = db.execute(
                "SELECT state FROM attempts WHERE point_id = ? ORDER BY number DESC LIMIT 1",
                (point_id,),
            ).fetchone()
            if row is not None and row[0] in UNDER_WAY:
                assert status in _CHEAP, f"the attempt at {point_id} has to end"
                assert row[0] != "intent", f"the attempt at {point_id} has no job yet"
        self._append(db, kind, point_id, None, changes)

    # -- money ---------------------------------------------------------------------------------

    def intent(
        self,
        db: sqlite3.Connection,
        held: Lease,
        point_id: str,
        reserve: int | None,
        route: str,
        facts: Mapping[str, Any],
    ) -> Attempt:
        """Reserve the money and write the intent.

        Raises
        ------
        LeaseError, BudgetError
            Somebody else has the run; the cap would be exceeded.
        AssertionError
            The point cannot be bought as it stands, or the window is full.
        """
        lease.check(db, held)
        old = self._status(db, point_id)
        assert old is not PointStatus.SUBMITTING, f"{point_id} is being bought already"
        check_transition(old, PointStatus.SUBMITTING)
        (on_their_way,) = db.execute(
            "SELECT count(*) FROM attempts WHERE state = 'intent' AND route = ?", (route,)
        ).fetchone()
        assert on_their_way < self.window, f"{on_their_way} requests of {route} are on their way"
        budget.reserve(db, reserve or 0)
        (last,) = db.execute(
            "SELECT coalesce(max(number), 0) FROM attempts WHERE point_id = ?", (point_id,)
        ).fetchone()
        number = last + 1
        changes = {"submitted_at": self.clock.utc(), **facts, "attempt": number}
        if number > 1:
            changes = dict.fromkeys(_OF_ONE_ATTEMPT) | changes
        found = db.execute(
            "INSERT INTO attempts (point_id, number, route, epoch, state, status, reserve, "
            "unpriced, facts) VALUES (?, ?, ?, ?, 'intent', 'submitting', ?, ?, ?)",
            (point_id, number, route, held.epoch, reserve or 0, int(reserve is None),
             dumps(self.columns.encode(changes))),
        ).lastrowid  # fmt: skip
        self._append(db, "intent", point_id, number, {**changes, "status": PointStatus.SUBMITTING})
        assert found is not None
        return Attempt(found, point_id, number, route)

    def ack(
        self,
        db: sqlite3.Connection,
        held: Lease,
        attempt: Attempt,
        job_id: str,
        raw: str,
        facts: Mapping[str, Any],
    ) -> Refused | None:
        """Write the job id down; from here no path leads to another request of this attempt."""
        assert 0 < len(job_id) <= MAX_ID, "an id is checked before it is used"
        changes = {"status": PointStatus.PENDING, **facts, "job_id": job_id}
        row = self._try(db, attempt)
        stale = self._stale(db, held)
        if stale is not None:
            status = self._status(db, attempt.point_id)
            if not (row.state == "in_doubt" and status is PointStatus.IN_DOUBT):
                evidence = {"late_job_id": job_id, "raw": raw[:MAX_TEXT]}
                self._append(db, "evidence", attempt.point_id, attempt.number, evidence)
                return stale
        else:
            assert row.state in ("intent", "in_doubt"), f"an attempt that is {row.state} has an id"
        kind: EventKind = "ack" if stale is None else "evidence"
        self._append(db, kind, attempt.point_id, attempt.number, changes | {"raw": raw[:MAX_TEXT]})
        db.execute(
            "UPDATE attempts SET state = 'acked', status = 'pending', job_id = ?, raw = ? "
            "WHERE id = ?",
            (job_id, raw[:MAX_TEXT], attempt.id),
        )
        self._keep_facts(db, attempt, changes)
        return stale

    def done(
        self, db: sqlite3.Connection, held: Lease, attempt: Attempt, facts: Mapping[str, Any]
    ) -> Refused | None:
        """Note that the service has finished it: the money is spent, the result not yet here."""
        row = self._try(db, attempt)
        stale = self._late(db, held, attempt, "done", facts)
        if stale is not None:
            return stale
        assert row.state in ("intent", "acked", "in_doubt", "lost"), f"it is {row.state}"
        changes = dict(facts)
        if row.state in ("intent", "in_doubt"):  # answered at once, with the result
            changes.setdefault("status", PointStatus.PENDING)
        self._spend(db, attempt, row, facts.get("cost"))
        self._append(db, "done", attempt.point_id, attempt.number, changes)
        self._set(db, attempt, "done", changes)
        return None

    def stored(
        self, db: sqlite3.Connection, held: Lease, attempt: Attempt, facts: Mapping[str, Any]
    ) -> Refused | None:
        """Note where the result lies; the file has its final name and is synced."""
        row = self._try(db, attempt)
        stale = self._late(db, held, attempt, "stored", facts)
        if stale is not None:
            return stale
        assert row.state in UNDER_WAY, f"an attempt that is {row.state} stores nothing"
        changes = {"cached": False, **facts, "status": PointStatus.COMPLETED}
        self._spend(db, attempt, row, facts.get("cost"))
        spent, unpriced = db.execute(
            "SELECT spent, unpriced FROM attempts WHERE id = ?", (attempt.id,)
        ).fetchone()
        changes["cost"] = None if unpriced else spent / budget.MICRO
        self._append(db, "stored", attempt.point_id, attempt.number, changes)
        self._set(db, attempt, "stored", changes)
        return None

    def ended(
        self,
        db: sqlite3.Connection,
        held: Lease,
        attempt: Attempt,
        status: PointStatus,
        facts: Mapping[str, Any],
    ) -> Refused | None:
        """Note the end of an attempt without a result.

        ``planned``: certainly not bought, to be tried again; ``in_doubt`` and ``lost`` keep the
        reservation; ``cancelled`` out of doubt counts as spent; else the money is free again,
        unless it was spent before.
        """
        row = self._try(db, attempt)
        stale = self._late(db, held, attempt, "ended", {**facts, "late_status": str(status)})
        if stale is not None:
            return stale
        assert row.state in UNDER_WAY, f"an attempt that is {row.state} does not end"
        assert status is not PointStatus.COMPLETED, "a result is stored"
        state = str(status) if status in (PointStatus.IN_DOUBT, PointStatus.LOST) else "ended"
        if row.state == "done":
            state = "ended" if state == "in_doubt" else state
        elif state == "ended" and row.state == "in_doubt" and status is PointStatus.CANCELLED:
            self._spend(db, attempt, row, None)
        elif state == "ended":
            budget.release(db, row.reserve)
            db.execute("UPDATE attempts SET reserve = 0 WHERE id = ?", (attempt.id,))
        changes = {**facts, "status": status}
        self._append(db, "ended", attempt.point_id, attempt.number, changes)
        self._set(db, attempt, state, changes)
        return None

    def merge(self, db: sqlite3.Connection, held: Lease, kept: Iterable[tuple[int, str]]) -> None:
        """Write down job ids that a full disk had kept out of the journal."""
        for found, job_id in kept:
            row = db.execute(
                'SELECT a.point_id, a.number, a.state, p."attempt" FROM attempts a '
                "JOIN points p USING (point_id) WHERE a.id = ?",
                (found,),
            ).fetchone()
            if row is None or row[2] not in ("intent", "in_doubt"):
                continue
            point_id, number, _, last = row
            if number == last:
                self.ack(db, held, Attempt(found, point_id, number), job_id, "", {})
            else:  # it was sent again since: this is another job
                self._append(db, "evidence", point_id, number, {"late_job_id": job_id})

    def recover(self, db: sqlite3.Connection) -> int:
        """Put attempts in doubt whose owner went while they were on their way; return how many."""
        rows = db.execute(
            "SELECT id, point_id, number FROM attempts WHERE state = 'intent' ORDER BY id"
        ).fetchall()
        for found, point_id, number in rows:
            changes = {
                "status": PointStatus.IN_DOUBT,
                "error_phase": "submit",
                "error_type": "InDoubtError",
                "error_message": "The kernel ended while the request was on its way; "
                "nobody knows whether it was bought.",
            }
            self._append(db, "recovered", point_id, number, changes)
            self._set(db, Attempt(found, point_id, number), "in_doubt", changes)
        return len(rows)

    # -- inside --------------------------------------------------------------------------------

    def _append(
        self,
        db: sqlite3.Connection,
        kind: EventKind,
        point_id: str,
        attempt: int | None,
        changes: Mapping[str, Any],
    ) -> None:
        if point_id and "status" in changes:
            check_transition(self._status(db, point_id), PointStatus(changes["status"]))
        found = self.columns.encode(changes)
        db.execute(
            "INSERT INTO events (at, kind, point_id, attempt, changes) VALUES (?, ?, ?, ?, ?)",
            (micros(self.clock.utc()), kind, point_id, attempt, dumps(found)),
        )
        kept = {self.columns.sql[k]: v for k, v in found.items() if k in self.columns.sql}
        if point_id and kept:
            targets = ", ".join(f"{name} = ?" for name in kept)
            db.execute(
                f"UPDATE points SET {targets} WHERE point_id = ?",  # noqa: S608 (our names)
                (*kept.values(), point_id),
            )

    @staticmethod
    def _status(db: sqlite3.Connection, point_id: str) -> PointStatus:
        row = db.execute('SELECT "status" FROM points WHERE point_id = ?', (point_id,)).fetchone()
        assert row is not None, f"{point_id} is not in the run"
        return PointStatus(row[0])

    @staticmethod
    def _try(db: sqlite3.Connection, attempt: Attempt) -> _Try:
        row = db.execute(
            "SELECT point_id, number, epoch, state, reserve, unpriced, paid FROM attempts "
            "WHERE id = ?",
            (attempt.id,),
        ).fetchone()
        assert row is not None, f"there is no attempt {attempt.id}"
        found = _Try(*row)
        assert (found.point_id, found.number) == (attempt.point_id, attempt.number)
        return found

    @staticmethod
    def _stale(db: sqlite3.Connection, held: Lease) -> Refused | None:
        if lease.is_current(db, held):
            return None
        return Refused(lease.lost(lease.holder(db)))

    def _late(
        self,
        db: sqlite3.Connection,
        held: Lease,
        attempt: Attempt,
        what: str,
        facts: Mapping[str, Any],
    ) -> Refused | None:
        """Keep what somebody who has lost the run still knows, and refuse it."""
        stale = self._stale(db, held)
        if stale is not None:
            known = {f"late_{n}" if n in self.columns.sql else n: v for n, v in facts.items()}
            changes = {"late": what, **known}
            self._append(db, "evidence", attempt.point_id, attempt.number, changes)
        return stale

    @staticmethod
    def _spend(db: sqlite3.Connection, attempt: Attempt, row: _Try, cost: float | None) -> None:
        if row.paid:  # finished, lost from sight and found again: it is paid for once
            return
        amount = budget.micro(cost)
        if amount is None and not row.unpriced:
            amount = row.reserve
        budget.spend(db, row.reserve, amount)
        db.execute(
            "UPDATE attempts SET paid = 1, reserve = 0, spent = ?, unpriced = ? WHERE id = ?",
            (amount or 0, int(amount is None), attempt.id),
        )

    def _set(
        self, db: sqlite3.Connection, attempt: Attempt, state: str, changes: Mapping[str, Any]
    ) -> None:
        status = changes.get("status")
        db.execute(
            "UPDATE attempts SET state = ?, status = coalesce(?, status) WHERE id = ?",
            (state, None if status is None else str(status), attempt.id),
        )
        self._keep_facts(db, attempt, changes)

    def _keep_facts(
        self, db: sqlite3.Connection, attempt: Attempt, changes: Mapping[str, Any]
    ) -> None:
        db.execute(
            "UPDATE attempts SET facts = json_patch(facts, ?) WHERE id = ?",
            (dumps(self.columns.encode(changes)), attempt.id),
        )
