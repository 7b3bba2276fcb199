"""The runner: decides which point is bought when, and keeps every limit while it is.

It runs on one event loop, where the client lives. No failure of a point escapes it; what a failure
means is :mod:`decart_lab.sweep.verdict`'s, the steps of buying one point
:mod:`decart_lab.sweep.buying`'s. Where every point stands is in the journal and only there, so
that :meth:`Runner.run` may be called again, in this kernel or another, and goes on.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import defaultdict, deque
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

from .._clock import Clock, RealClock
from ..contract.states import PointStatus
from ..errors import BudgetError, DecartSDKError, LeaseError, StoreError
from .buying import Buying
from .collecting import Collecting
from .durations import Durations
from .habits import Habits
from .journal import Attempt, Journal, Lease
from .limits import Pace
from .plan import Point
from .purchase import Purchase
from .settings import CONCURRENCY, MAX_CONCURRENCY, ImageRoute, Settings, check_limits
from .store import Store
from .turns import shared_turns
from .twins import Twins
from .verdict import Fate, Refusals, error_columns

if TYPE_CHECKING:
    from ..api.client import DecartClient
    from .index import Index

__all__ = ["CONCURRENCY", "MAX_CONCURRENCY", "ImageRoute", "Runner", "Settings", "check_limits"]

Stop = Literal["drain", "detach"]
_UNDER_WAY: Final = (PointStatus.PENDING, PointStatus.PROCESSING)
_WITHOUT_RESULT: Final = frozenset(
    {PointStatus.IN_DOUBT, PointStatus.FAILED, PointStatus.REJECTED, PointStatus.LOST}
    | {PointStatus.CANCELLED, PointStatus.SKIPPED_BUDGET}
)


class Runner:
    """Buys the points of a run, and collects what was bought for it before.

    Parameters
    ----------
    client : DecartClient
        Used on the loop that awaits :meth:`run`, and on no other.
    journal : Journal
        Holds the points; what is planned is bought, what is under way is collected.
    lease : Lease
        The right to do so.
    store : Store
        Where results go.
    points : iterable of Point
        What the points send, from the plan or from the run's lock.
    settings : Settings, optional
        Limits and routes.
    index : Index, optional
        Remembers how long jobs took.

    Attributes
    ----------
    paused_because : str
        Why buying has stopped although points are left; "" when it has not.
    refusals : Refusals
        What the service said no to, and whether the run stopped for it.
    """

    def __init__(
        self,
        client: DecartClient,
        journal: Journal,
        lease: Lease,
        store: Store,
        points: Iterable[Point],
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        dice: random.Random | None = None,
        index: Index | None = None,
        durations: Durations | None = None,
    ) -> None:
        self.paused_because = ""
        self._client = client.unrepeated()
        self._journal = journal
        self._lease = lease
        self._store = store
        self._settings = settings or Settings()
        self._clock: Clock = clock or RealClock()
        self._habits = Habits(durations or Durations(), index)
        self._points: dict[str, Point] = {}
        self._again: set[str] = set()
        self._twins = Twins(journal)
        self.add(points)
        self._waiting: dict[str, deque[Point]] = {"direct": deque(), "job": deque()}
        self._later: list[tuple[float, int, Point]] = []
        self._order = itertools.count()
        self._on_their_way: defaultdict[str, int] = defaultdict(int)
        self._in_flight: set[str] = set()
        self._in_window: dict[str, str] = {}
        self._bytes = 0
        self._pace = Pace(self._settings.concurrency, dice or random.Random())  # noqa: S311 (spreads retries; guards nothing)
        self.refusals = Refusals(self._settings.refusals)
        self._tasks: dict[asyncio.Task[None], bool] = {}
        self._wake = asyncio.Event()
        self._stopped: Stop | None = None
        self._broken: Exception | None = None
        self._running = False

    def add(self, points: Iterable[Point]) -> None:
        """Let further points be bought by the next :meth:`run`; the journal must have them."""
        for point in points:
            if point.problem:
                continue
            if point.twin_of is not None:
                self._twins.add(point)
            else:
                self._points[point.point_id] = point

    def buy_again(self, point_ids: Iterable[str]) -> None:
        """Let the next :meth:`run` buy points once more that have ended without a result."""
        self._again.update(point_ids)

    # -- what a run object calls, on the runner's loop -------------------------------------------

    async def run(self) -> None:
        """Buy and collect until nothing is left, or until it was stopped or paused.

        It may be called again: it goes on with what the journal holds.

        Raises
        ------
        LeaseError, StoreError
            The journal is somebody else's by now, or cannot be written; nothing more was sent.
        """
        assert not self._running, "a runner runs once at a time"
        self._running, self._stopped, self._broken = True, None, None
        try:
            buying = self._buying()
            await asyncio.to_thread(self._habits.recall)
            self._load(buying)
            while True:
                self._wake.clear()
                nap = self._launch(buying)
                if not self._tasks and nap is None:
                    break
                await self._rest(nap)
                if self._detached:
                    await self._let_go()
                    break
            await asyncio.to_thread(self._store.finish_thumbs)
            await asyncio.to_thread(self._habits.remember)
            await asyncio.to_thread(self._journal.flush)
        finally:
            self._running = False
        if self._broken is not None:
            raise self._broken

    async def stop(self, how: Stop = "drain") -> int:
        """Begin no further purchase; return how many points are not bought because of it.

        Parameters
        ----------
        how : {"drain", "detach"}
            Collect what is paid, or leave the jobs at the service, to be collected by a later
            :meth:`run`. Either way requests that are on their way are waited for, and written down.
        """
        self._stopped = how
        left = self._left()
        self._wake.set()
        return left

    def pause(self, why: str | Exception = "It was paused.") -> None:
        """Begin no further purchase; what is under way goes on. On the runner's loop."""
        self.paused_because = self.paused_because or " ".join(str(why).split())
        self._wake.set()

    def resume(self) -> None:
        """Go on after a pause; :meth:`run` is to be called again if it has returned."""
        self.paused_because = ""
        self._wake.set()

    @property
    def limits(self) -> tuple[int, float]:
        """How many jobs may be in flight, and for how many seconds nothing may be sent."""
        return self._pace.jobs.allowed, self._pace.gate.wait_s(self._clock.now())

    # -- beginning -----------------------------------------------------------------------------

    def _buying(self) -> Buying:
        parts = (self._client, self._journal, self._lease, self._store, self)
        collecting = Collecting(
            *parts,
            settings=self._settings,
            clock=self._clock,
            turns=shared_turns(self._clock),
            habits=self._habits,
        )
        return Buying(*parts, collecting, settings=self._settings, clock=self._clock)

    def _load(self, buying: Buying) -> None:
        """Look up where every point stands, and take up what was begun."""
        for line in self._waiting.values():
            line.clear()
        self._later.clear()
        held = self._journal.columns_of(("point_id", "status"))
        standing = dict(zip(held["point_id"], held["status"], strict=True))
        attempts = {attempt.point_id: attempt for attempt in self._journal.under_way()}
        for point_id, point in self._points.items():
            status = standing.get(point_id)
            again = point_id in self._again and status in _WITHOUT_RESULT
            if status == PointStatus.PLANNED or again:
                self._waiting[self._route(point)].append(point)
            elif status in _UNDER_WAY and point_id in attempts:
                self._in_flight.add(point_id)
                self._spawn(self._collect(buying, point, attempts[point_id]), calm=True)
        self._again.clear()
        self._twins.share_all(standing)

    def _route(self, point: Point) -> str:
        direct = self._settings.image_route == "direct"
        assert point.spec is not None
        return "direct" if direct and point.spec.kind == "image" else "job"

    async def _collect(self, buying: Buying, point: Point, attempt: Attempt) -> None:
        purchase = buying.collecting.resumed(point, attempt)
        if attempt.state == "done":
            self.finished(purchase)
        try:
            await buying.collecting.take_up(purchase, attempt)
        finally:
            self._in_flight.discard(point.point_id)
            self._twins.share(point.point_id)

    # -- what may begin ------------------------------------------------------------------------

    def _launch(self, buying: Buying) -> float | None:
        """Begin what may begin; return the seconds after which to look again, None for never."""
        now = self._clock.now()
        while self._later and self._later[0][0] <= now:
            point = heapq.heappop(self._later)[2]
            self._waiting[self._route(point)].appendleft(point)
        if self._closed():
            return None
        wait = self._pace.gate.wait_s(now)
        if wait > 0:
            return wait if self._left() else None
        for route, line in self._waiting.items():
            while line and self._may_begin(route, line[0]):
                point = line.popleft()
                self._in_flight.add(point.point_id)
                self._in_window[point.point_id] = route
                self._on_their_way[route] += 1
                self._bytes += _upload_bytes(point)
                self._spawn(self._buy(buying, point), calm=False)
        return self._later[0][0] - now if self._later else None

    @property
    def _detached(self) -> bool:
        return self._stopped == "detach"

    def _closed(self) -> bool:
        return self._stopped is not None or bool(self.paused_because) or self._broken is not None

    def _may_begin(self, route: str, point: Point) -> bool:
        on_their_way = self._on_their_way[route]
        if self._pace.gate.alone:
            return not self._in_window
        return (
            on_their_way < self._settings.window
            and len(self._in_flight) < self._pace.jobs.allowed
            and len(self._tasks) < self._settings.concurrency + 4 * self._settings.downloads
            and (
                not self._bytes or self._bytes + _upload_bytes(point) <= self._settings.upload_bytes
            )
        )

    def _left(self) -> int:
        return sum(map(len, self._waiting.values())) + len(self._later)

    async def _buy(self, buying: Buying, point: Point) -> None:
        try:
            await buying.buy(point)
        except BudgetError as error:
            columns = error_columns(error, "prepare")
            skipped = PointStatus.SKIPPED_BUDGET
            await self._journal.record("ended", point.point_id, status=skipped, **columns)
        finally:
            self._answered(point)
            self._in_flight.discard(point.point_id)
            self._twins.share(point.point_id)

    # -- what the steps tell (see watcher.Watcher) -----------------------------------------------

    def accepted(self, purchase: Purchase) -> None:
        """Take that the service has answered: the request's fate is known."""
        self.refusals.taken()
        self._pace.taken(self._clock.now())
        self._answered(purchase.point)

    def overdue(self, purchase: Purchase) -> None:
        """Take that its answer is late: others are not to wait for it."""
        self._in_flight.discard(purchase.point.point_id)
        self._answered(purchase.point)

    def finished(self, purchase: Purchase) -> None:
        """Take that the service works on it no longer: another may take its place."""
        self._in_flight.discard(purchase.point.point_id)
        self._wake.set()

    def again(self, purchase: Purchase, what: Fate, error: DecartSDKError) -> float | None:
        """Return after how long it may be sent again; None when it was tried enough."""
        point_id, now = purchase.point.point_id, self._clock.now()
        if what is Fate.REFUSED:
            tries, wait_s = self._pace.refused(point_id, now, error.status, error.retry_after_s)
        else:
            tries, wait_s = self._pace.unreached(point_id, now)
        return wait_s if tries < self._settings.tries else None

    def put_back(self, purchase: Purchase, wait_s: float) -> None:
        """Take that it is planned again, to be sent after so many seconds."""
        at = self._clock.now() + wait_s
        heapq.heappush(self._later, (at, next(self._order), purchase.point))

    def refused(self, error: DecartSDKError) -> None:
        """Take that the service said no to this very request."""
        if self.refusals.refused(error):
            self.pause(self.refusals.why)

    def troubled(self, error: Exception) -> None:
        """Take a passing failure of a question."""
        if isinstance(error, DecartSDKError) and error.status == 429:
            shared_turns(self._clock).refused()
        self._pace.jobs.trouble(self._clock.now())

    def _answered(self, point: Point) -> None:
        route = self._in_window.pop(point.point_id, None)
        if route is not None:
            self._on_their_way[route] -= 1
            self._bytes -= _upload_bytes(point)
            self._wake.set()

    # -- ending --------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], *, calm: bool) -> None:
        """Begin a task; a calm one is not about to buy and may be left at any time."""
        task = asyncio.create_task(work)
        self._tasks[task] = calm
        task.add_done_callback(self._ended_task)

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._wake.set()
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, (LeaseError, StoreError)) or self._broken is None:
            self._broken = error if isinstance(error, Exception) else self._broken

    async def _rest(self, seconds: float | None) -> None:
        """Wait until something has changed, or for some time."""
        if seconds is None:
            await self._wake.wait()
            return
        waits = {
            asyncio.create_task(self._wake.wait()),
            asyncio.create_task(self._clock.sleep(seconds)),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _let_go(self) -> None:
        """Leave the jobs at the service; wait a little for requests that are on their way."""
        began = self._clock.now()
        while self._in_window and self._clock.now() - began < self._settings.detach_s:
            self._wake.clear()
            await self._rest(self._settings.detach_s - (self._clock.now() - began))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _upload_bytes(point: Point) -> int:
    return sum(i.prepared.size_bytes for i in point.files.values() if i.prepared is not None)
