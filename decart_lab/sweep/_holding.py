"""Who writes a journal: the one thread, the lease, and the end of both.

What belongs here: becoming the owner of a run's record and staying it, and handing work to the
thread that writes. What is written is :mod:`decart_lab.sweep.journal`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import weakref
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, Self

from .._clock import Clock
from ..errors import StoreError
from . import lease as leases
from ._moves import Moves
from ._reading import Reading
from ._writer import BATCH_S, Work, Writer
from .lease import BEAT_S, TAKEOVER_AFTER_S, Lease, Moment, Owner
from .reserve import Reserve

JOURNAL_NAME: Final = "journal.sqlite"


class Holding(Reading):
    """A journal's file, its writer and its lease.

    Attributes
    ----------
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

    def flush(self) -> None:
        """Wait until everything said so far is on the disk."""
        try:
            self._put(lambda _: None).result()
        except BaseException:
            self._failed = None  # what was gathered before failed of the same; it is told once
            raise
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

    def _put(
        self, work: Work, *places: str, durable: bool = True, within_s: float = 0.0
    ) -> Future[Any]:
        return self._writing.put(work, *places, durable=durable, within_s=within_s)

    def _gather(self, work: Work, *places: str) -> None:
        """Have cheap work done together with other; what it is refused with is raised later."""
        future = self._put(work, *places, durable=False, within_s=BATCH_S)
        future.add_done_callback(self._look)

    async def _do(self, work: Work, *places: str) -> None:
        # Shielded: what is to be written is written, whoever stops waiting for it.
        await asyncio.shield(asyncio.wrap_future(self._put(work, *places)))

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
