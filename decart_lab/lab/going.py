"""Making a run go on: who holds it, what is being bought, and the end of that.

What belongs here: the journal opened for writing, the lease, the runner and its future, tied
together, so that whatever ends the buying also gives the run back. Which points are bought is the
caller's to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .._engine import engine
from ..contract.states import PointStatus
from ..display.html import plural
from ..sweep.arrivals import take_arrivals
from ..sweep.engine import Runner
from ..sweep.index import Index
from ..sweep.journal import Journal, Lease
from ..sweep.lock import read_lock
from ..sweep.plan import Point
from ..sweep.settings import Settings
from ..sweep.store import Store
from ..sweep.verdict import NO_ERROR
from .taking import take_over

if TYPE_CHECKING:
    from ..api.client import DecartClient

StopMode = Literal["drain", "detach"]


class Going:
    """A run that this kernel holds and buys.

    Parameters
    ----------
    client : DecartClient
        What buys.
    journal : Journal
        Of the run, opened for writing; closed in the end.
    lease : Lease
        Under which it is written; released when the journal is closed.
    points : sequence of Point
        What is to be bought; jobs that are paid are collected in any case.
    settings : Settings
        How.
    index : Index, optional
        What other runs own, and how long jobs took.
    again : collection of str
        Ids of points that are bought although they have ended.
    """

    def __init__(
        self,
        client: DecartClient,
        journal: Journal,
        lease: Lease,
        points: Sequence[Point],
        settings: Settings,
        *,
        index: Index | None = None,
        again: Collection[str] = (),
    ) -> None:
        self._journal = journal
        self._index = index
        store = Store(journal.folder, journal.folder.parent)
        self.runner = Runner(client, journal, lease, store, points, settings=settings, index=index)
        self.runner.buy_again(again)
        self._future: Future[None] | None = None
        self.stopped = False

    def start(self) -> None:
        """Begin; apart from making one, so that an interrupt in between finds what to stop."""
        self._future = engine().start(self._run)

    async def _run(self) -> None:
        try:
            await self.runner.run()
        finally:
            await asyncio.shield(asyncio.to_thread(self._give_back))

    def _give_back(self) -> None:
        if self._index is not None:
            self._index.close()
        self._journal.close()

    @property
    def finished(self) -> bool:
        """Whether nothing is bought and nothing is collected any more."""
        return self._future is None or self._future.done()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is finished and return whether it is."""
        if self._future is None:
            return True
        try:
            self._future.result(timeout_s)
        except WaitTimeoutError:
            return False
        return True

    def stop(self, mode: StopMode) -> int:
        """Begin no further purchase, and return how many points are left."""
        self.stopped = True
        return engine().run(self.runner.stop, mode)

    def pause(self) -> None:
        """Begin no further purchase for now."""
        engine().run(self._on_loop, self.runner.pause)

    def resume(self) -> None:
        """Go on after a pause."""
        engine().run(self._on_loop, self.runner.resume)

    async def _on_loop(self, call: Callable[[], None]) -> None:
        call()


def hold(
    folder: Path,
    client: DecartClient,
    points: Sequence[Point],
    settings: Settings,
    *,
    budget: float | None = None,
    new: bool = False,
    again: bool = False,
) -> Going | None:
    """Take the lease of a run and make ready to buy; blocking.

    Parameters
    ----------
    folder : Path
        The run's.
    client, points, settings
        As for :class:`Going`.
    budget : float, optional
        A new cap; points that an older one did not cover are planned again.
    new : bool
        Take nothing over from other runs.
    again : bool
        Buy the points although they have ended.

    Returns
    -------
    Going or None
        None when another kernel has the run.
    """
    journal = Journal.open(folder)
    try:
        lease = journal.acquire()
        if lease is None:
            journal.close()
            return None
        if budget is not None:
            engine().run(journal.set_budget, lease, budget)
            for point_id in _with_status(journal, PointStatus.SKIPPED_BUDGET):
                journal.note("status", point_id, status=PointStatus.PLANNED, **NO_ERROR)
            journal.flush()
        points = [*points, *_arrived(journal, lease, points)]
        index = None if new else Index(folder.parent)
        if index is not None and not again:
            points = _left(journal, index, points)
        ids = [point.point_id for point in points] if again else ()
        return Going(client, journal, lease, points, settings, index=index, again=ids)
    except BaseException:
        journal.close()
        raise


def _arrived(journal: Journal, lease: Lease, points: Sequence[Point]) -> list[Point]:
    """Take up pictures that had come when a kernel died; return their points that are missing."""
    store = Store(journal.folder, journal.folder.parent)
    missing = set(engine().run(take_arrivals, journal, lease, store))
    missing -= {point.point_id for point in points}
    return read_lock(journal.folder).points(sorted(missing)) if missing else []


def _left(journal: Journal, index: Index, points: Sequence[Point]) -> list[Point]:
    """Take over what other runs own; return the points that are left."""
    planned = _with_status(journal, PointStatus.PLANNED)
    taken = take_over(journal, index, [p for p in points if p.point_id in planned])
    for run_id, count in taken.elsewhere.items():
        print(
            f"{plural(count, 'point')} of this sweep: begun by run {run_id}, and not finished "
            "there. They stay planned here; run the sweep again later, or with new=True."
        )
    return [*taken.points, *(p for p in points if p.point_id not in planned)]


def _with_status(journal: Journal, wanted: PointStatus) -> set[str]:
    found = journal.columns_of(["point_id", "status"])
    pairs = zip(found["point_id"], found["status"], strict=True)
    return {point_id for point_id, status in pairs if status == wanted}
