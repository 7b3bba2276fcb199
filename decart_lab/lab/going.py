"""Making a run go on: who holds it, what is being bought, and the end of that.

What belongs here: the journal opened for writing, the lease, the runner and its future, tied
together, so that whatever ends the buying also gives the run back. Which points are bought is the
caller's to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

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
LOOK_S: Final = (0.2, 1.0)
"""How often other runs are looked at that buy what this one wants: first, and after a while."""


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
    coming : sequence of Point
        What other runs are buying at this moment: waited for, and taken over or bought then.
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
        coming: Sequence[Point] = (),
    ) -> None:
        self._coming = list(coming)
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
            await self._await_others()
        finally:
            await asyncio.shield(asyncio.to_thread(self._give_back))

    async def _await_others(self) -> None:
        """Take over what other runs were buying, once they have it; buy what they leave."""
        look_s = LOOK_S[0]
        while self._coming and not (self.stopped or self.runner.paused_because):
            await asyncio.sleep(look_s)
            look_s = min(LOOK_S[1], look_s * 1.5)
            if await asyncio.to_thread(self._look_at_others) and not self.stopped:
                look_s = LOOK_S[0]
                await self.runner.run()

    def _look_at_others(self) -> bool:
        """Look where the other runs are; return whether there is something for the runner."""
        assert self._index is not None
        before = len(self._coming)
        taken = take_over(self._journal, self._index, self._coming)
        self._coming = taken.coming
        _say_elsewhere(taken.elsewhere)
        self.runner.add(taken.points)
        return len(self._coming) < before

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
        coming: list[Point] = []
        if index is not None and not again:
            points, coming = _left(journal, index, points)
        ids = [point.point_id for point in points] if again else ()
        return Going(
            client, journal, lease, points, settings, index=index, again=ids, coming=coming
        )
    except BaseException:
        journal.close()
        raise


def _arrived(journal: Journal, lease: Lease, points: Sequence[Point]) -> list[Point]:
    """Take up pictures that had come when a kernel died; return their points that are missing."""
    store = Store(journal.folder, journal.folder.parent)
    missing = set(engine().run(take_arrivals, journal, lease, store))
    missing -= {point.point_id for point in points}
    return read_lock(journal.folder).points(sorted(missing)) if missing else []


def _left(
    journal: Journal, index: Index, points: Sequence[Point]
) -> tuple[list[Point], list[Point]]:
    """Take over what other runs own; return the points that are left, and those to wait for."""
    planned = _with_status(journal, PointStatus.PLANNED)
    taken = take_over(journal, index, [p for p in points if p.point_id in planned])
    _say_elsewhere(taken.elsewhere)
    if taken.coming:
        print(f"{plural(len(taken.coming), 'point')} of this sweep: being bought by another run, "
              "and taken over from it.")  # fmt: skip
    return [*taken.points, *(p for p in points if p.point_id not in planned)], taken.coming


def _say_elsewhere(counts: Mapping[str, int]) -> None:
    """Say which points are neither bought here nor had."""
    for run_id, count in counts.items():
        print(
            f"{plural(count, 'point')} of this sweep: begun by run {run_id}, and not finished "
            "there. They stay planned here; run the sweep again later, or with new=True."
        )


def _with_status(journal: Journal, wanted: PointStatus) -> set[str]:
    found = journal.columns_of(["point_id", "status"])
    pairs = zip(found["point_id"], found["status"], strict=True)
    return {point_id for point_id, status in pairs if status == wanted}
