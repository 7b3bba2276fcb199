"""The one thread that writes a journal, so that no sync of the disk ever blocks a loop.

What waits together is committed together: each piece of work is checked in its order and may be
refused alone, and one sync makes all of them last. What moves no money waits a little for company.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import StoreError
from ._crashpoints import here
from ._schema import connect, full_sync

BATCH: Final = 50
BATCH_S: Final = 0.2
"""What nobody waits for may wait so long for company."""

SOON_S: Final = 0.03
"""What somebody waits for, and no request, may wait so long."""

AT_ONCE: Final = 256

Work = Callable[[sqlite3.Connection], Any]


class Refused(Exception):  # noqa: N818 - a result: what was written stays, and this is said
    """Carries an error that is raised to the caller after the transaction is committed."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@dataclass(slots=True)
class Job:
    """One piece of work inside a transaction.

    Attributes
    ----------
    work : callable
        Gets the connection, inside a transaction; what it raises undoes it alone.
    places : tuple of str
        Names of the crash points around it.
    durable : bool
        Whether its commit must survive a power cut.
    """

    work: Work
    places: tuple[str, ...]
    durable: bool
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """A connection that only its own thread uses.

    Parameters
    ----------
    path : Path
        The database.
    every_s : float
        How often ``regular`` is due.
    """

    def __init__(self, path: Path, every_s: float) -> None:
        self._path = path
        self._db = connect(path, write=True)
        (mode,) = self._db.execute("PRAGMA journal_mode").fetchone()
        self._full = full_sync(mode.upper())
        self._sync = ""
        self._every_s = every_s
        self._regular: Work | None = None
        self._due = 0.0
        self._jobs: list[Job] = []
        self._hurry_at = math.inf
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="decart-lab-journal", daemon=True)
        self._thread.start()

    def put(
        self, work: Work, *places: str, durable: bool = True, within_s: float = 0.0
    ) -> Future[Any]:
        """Have work done in a transaction; the future is done when it is committed.

        Parameters
        ----------
        work : callable
            Gets the connection.
        *places : str
            Names of the crash points around it.
        durable : bool, default True
            Whether it must survive a power cut once the future is done.
        within_s : float, default 0
            So long it may wait for company; it goes with whatever is committed before.

        Raises
        ------
        StoreError
            The journal is closed.
        """
        job = Job(work, places, durable)
        job.future.set_running_or_notify_cancel()  # what is asked for is done, waited for or not
        with self._wake:
            if self._closed:
                raise StoreError(
                    "The journal of the run is closed in this kernel.",
                    hint="Open the run again with decart_lab.open_run.",
                )
            self._jobs.append(job)
            due = time.monotonic() + within_s
            if due < self._hurry_at or len(self._jobs) == BATCH:
                self._hurry_at = min(due, self._hurry_at)
                self._wake.notify()
        return job.future

    def regularly(self, work: Work | None) -> None:
        """Have work done now and then, on its own; None ends it."""
        with self._wake:
            self._regular, self._due = work, time.monotonic() + self._every_s
            self._wake.notify()

    def close(self) -> None:
        """Commit what waits and end the thread; may be called twice."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _loop(self) -> None:
        while True:
            jobs = self._take()
            if not jobs:
                break
            self._commit(jobs)
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def _take(self) -> list[Job]:
        """Wait for work that is due; empty when there will be none."""
        with self._wake:
            while True:
                now = time.monotonic()
                if self._regular is not None and now >= self._due:
                    self._due = now + self._every_s
                    return [Job(self._regular, (), durable=False), *self._next()]
                enough = self._closed or len(self._jobs) >= BATCH or now >= self._hurry_at
                if self._jobs and enough:
                    return self._next()
                if self._closed:
                    return []
                then = min(self._hurry_at, self._due if self._regular is not None else math.inf)
                self._wake.wait(max(0.0, then - now) if then < math.inf else None)

    def _next(self) -> list[Job]:
        jobs, self._jobs = self._jobs[:AT_ONCE], self._jobs[AT_ONCE:]
        self._hurry_at = 0.0 if self._jobs else math.inf
        return jobs

    def _commit(self, jobs: list[Job]) -> None:
        durable = any(job.durable for job in jobs)
        self._pass(jobs, "before")
        outcomes: list[Any] = []
        db = self._db
        try:
            sync = self._full if durable else "NORMAL"
            if sync != self._sync:
                db.execute(f"PRAGMA synchronous={sync}")
                self._sync = sync
            db.execute("BEGIN IMMEDIATE")
            outcomes.extend(map(self._do, jobs))
            db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 (every waiting caller is told, whatever it is)
            with contextlib.suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute("ROLLBACK")
            failure = error if not isinstance(error, sqlite3.Error) else self._wrapped(error)
            for job in jobs:
                job.future.set_exception(failure)
            return
        self._pass(jobs, "after")
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, Refused):
                job.future.set_exception(outcome.error)
            else:
                job.future.set_result(outcome)

    def _do(self, job: Job) -> Any:
        db = self._db
        db.execute("SAVEPOINT job")
        try:
            result = job.work(db)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
                raise  # the disk's doing: nothing of this transaction can be trusted to be kept
            db.execute("ROLLBACK TO job")
            result = Refused(error)
        db.execute("RELEASE job")
        return result

    def _pass(self, jobs: list[Job], side: str) -> None:
        for job in jobs:
            for place in job.places:
                here(f"{place}.{side}")

    def _wrapped(self, error: sqlite3.Error) -> StoreError:
        wrapped = StoreError(
            f"The journal {self._path} cannot be written: {error}.",
            hint="Check the disk's space and permissions; what is written so far is kept.",
        )
        wrapped.__cause__ = error
        return wrapped
