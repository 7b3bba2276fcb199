"""The steps of buying one point, in the order that keeps money safe.

Intent on the disk, request, job id on the disk, polls, download, media on the disk, row. After the
job id there is no way from here to another request: what follows takes the id. When to begin, and
how much at once, is :mod:`decart_lab.sweep.engine`'s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from math import isnan
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from ..contract.responses import Job
from ..contract.states import JobStatus, PointStatus
from ..errors import (
    DecartSDKError,
    JobFailedError,
    JobLostError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    ResponseError,
    ServerError,
    StoreError,
)
from ._crashpoints import here
from .patience import Patience
from .polling import LONGEST_S, Follow
from .purchase import Purchase
from .settings import Settings
from .verdict import END, NO_ERROR, Fate, error_columns, fate, pauses

if TYPE_CHECKING:
    import random

    from .._clock import Clock
    from ..api.client import DecartClient
    from ..media.media import Media
    from .durations import Durations
    from .journal import Attempt, Journal
    from .lease import Lease
    from .plan import Point
    from .store import Store
    from .turns import Turns

T = TypeVar("T")

PASSING: Final = (NetworkError, RateLimitError, ServerError, ResponseError)
"""Failures of a question that say nothing about the job: it is asked again later."""

STALE_S: Final = 5.0
"""An intent older than this was written before a sleep of the machine: it is not acted on.

By the machine's own time, whatever the clock of the run.
"""

DAMAGED: Final = 3
"""So often is a result fetched that came damaged."""

CONTENT_S: Final = 600.0
"""So long is a result asked for that its job says is there."""

_log = logging.getLogger("decart_lab")


class Watcher(Protocol):
    """What the steps tell the engine."""

    def accepted(self, purchase: Purchase) -> None:
        """Take that the service has answered: the request's fate is known."""

    def overdue(self, purchase: Purchase) -> None:
        """Take that its answer is late: others are not to wait for it."""

    def finished(self, purchase: Purchase) -> None:
        """Take that the service works on it no longer."""

    def again(self, purchase: Purchase, what: Fate, error: DecartSDKError) -> float | None:
        """Return after how long it may be sent again; None when it was tried enough."""

    def put_back(self, purchase: Purchase, wait_s: float) -> None:
        """Take that it is planned again, to be sent after so many seconds."""

    def refused(self, error: DecartSDKError) -> None:
        """Take that the service said no to this very request."""

    def troubled(self, error: Exception) -> None:
        """Take a passing failure of a question."""

    def pause(self, error: Exception) -> None:
        """Stop buying: what is wrong concerns every point."""


class Buying:
    """Takes single points through the steps.

    Parameters
    ----------
    client : DecartClient
        One that repeats nothing.
    journal, lease, store
        The run's record, the right to write it, and its folder.
    watcher : Watcher
        Told what the rest of the run should know.
    """

    def __init__(
        self,
        client: DecartClient,
        journal: Journal,
        lease: Lease,
        store: Store,
        watcher: Watcher,
        *,
        settings: Settings,
        clock: Clock,
        dice: random.Random,
        turns: Turns,
        durations: Durations,
        learned: Callable[[tuple[str, int], float], None],
    ) -> None:
        self._client = client
        self._journal = journal
        self._lease = lease
        self._store = store
        self._watcher = watcher
        self._settings = settings
        self._clock = clock
        self._dice = dice
        self._turns = turns
        self._durations = durations
        self._learned = learned
        self._downloads = asyncio.Semaphore(settings.downloads)

    # -- until the job id ----------------------------------------------------------------------

    async def buy(self, point: Point) -> None:
        """Buy a point; every end is in the journal.

        Raises
        ------
        BudgetError, LeaseError, StoreError
            The journal refuses; nothing was sent.
        """
        purchase = Purchase(point, self._store.incoming_path(point.point_id), self._clock)
        assert point.spec is not None
        direct = point.spec.kind == "image" and self._settings.image_route == "direct"
        try:
            await asyncio.to_thread(self._prepare, purchase)
        except DecartSDKError as error:
            await self._never_sent(purchase, error)
            return
        reserve = None if isnan(point.cost_estimate) else point.cost_estimate
        purchase.lap()  # what the preparing took does not make the intent older
        asked = time.time()
        purchase.attempt = await self._journal.intent(
            self._lease,
            point.point_id,
            reserve_usd=reserve,
            route="direct" if direct else "job",
            facts={
                **NO_ERROR,
                "submitted_at": self._clock.utc(),
                "prepare_s": sum(item.prepare_s for item in point.files.values()),
            },
        )
        purchase.target = self._store.arrival_path(point.point_id, purchase.attempt.number)
        if not 0 <= time.time() - asked <= STALE_S:
            await self._end(purchase, PointStatus.PLANNED, why="the intent was stale")
            self._watcher.put_back(purchase, 0.0)
            return
        purchase.lap()
        purchase.phase = "upload"
        if direct:
            await self._buy_direct(purchase)
        else:
            await self._buy_job(purchase)

    def _prepare(self, purchase: Purchase) -> None:
        for item in purchase.point.files.values():
            if item.error is not None:
                raise item.error
            if item.prepared is not None:
                self._store.keep_input(item.prepared)
        self._store.incoming(purchase.point.point_id)

    async def _buy_job(self, purchase: Purchase) -> None:
        assert purchase.attempt is not None
        route = {"image_route": "queue"} if purchase.point.spec.kind == "image" else {}  # type: ignore[union-attr]  # checked in buy
        here("send.before")
        try:
            job = await self._answer(
                purchase,
                self._settings.answer_s,
                self._client.queue.submit(
                    purchase.options | route, on_upload_progress=purchase.on_upload_progress
                ),
            )
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (each is a row)
            here("send.after")
            await self._failed_to_send(purchase, error)
            return
        here("send.after")
        purchase.facts["submit_s"] = purchase.lap()
        facts = purchase.take_facts(simulated=self._client.simulated, **purchase.cleared())
        await self._journal.ack(
            self._lease, purchase.attempt, job.job_id, job.model_dump_json(), facts
        )
        self._watcher.accepted(purchase)
        await self.collect(purchase, job.job_id)

    async def _buy_direct(self, purchase: Purchase) -> None:
        assert purchase.attempt is not None
        here("send.before")
        try:
            media = await self._answer(
                purchase,
                self._settings.picture_s,
                self._client.process(
                    purchase.options,
                    save_to=purchase.target,
                    on_upload_progress=purchase.on_upload_progress,
                ),
            )
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (each is a row)
            here("send.after")
            await self._failed_to_send(purchase, error)
            return
        here("send.after")
        facts = purchase.take_facts(
            **purchase.cleared(),
            simulated=media.simulated,
            media_sha256=media.sha256,  # by which a later kernel finds it
            run_s=purchase.lap(),
            completed_at=self._clock.utc(),
        )
        await self._journal.done(self._lease, purchase.attempt, facts)
        self._watcher.accepted(purchase)
        self._watcher.finished(purchase)
        await self._keep(purchase, media)

    async def _answer(self, purchase: Purchase, after_s: float, call: Awaitable[T]) -> T:
        """Await the answer to a paid request; put the point in doubt when it is overdue."""

        async def overdue() -> None:
            late = NetworkError(
                f"No answer for {after_s:g} s; it is still listened for.",
                sent="all",
                hint="It may have been bought.",
            )
            await self._end(purchase, PointStatus.IN_DOUBT, **error_columns(late, "submit"))
            purchase.overdue = True
            self._watcher.overdue(purchase)

        patience = Patience(after_s, overdue)
        purchase.when_sent = patience.begin
        try:
            return await call
        finally:
            await patience.end()

    async def _failed_to_send(self, purchase: Purchase, error: BaseException) -> None:
        """Write down what became of a request that has no good answer."""
        if not isinstance(error, Exception):  # cancelled: it may have been taken
            error = NetworkError("The run was ended while the request was on its way.", sent="all")
        what = fate(error, sent=purchase.sent)
        columns = error_columns(error, purchase.phase)
        _log.debug("point %s: %s: %s", purchase.point.point_id, what, columns["error_message"])
        end, wait_s = END.get(what, PointStatus.PLANNED), None
        if what in (Fate.NEVER_SENT, Fate.REFUSED):
            assert isinstance(error, DecartSDKError)
            wait_s = self._watcher.again(purchase, what, error)
            if wait_s is not None:
                end = PointStatus.PLANNED
        if what is Fate.REJECTED and isinstance(error, DecartSDKError):
            self._watcher.refused(error)
        if what is Fate.PAUSED or isinstance(error, StoreError):
            self._watcher.pause(error)
        if purchase.overdue and end is PointStatus.PLANNED:
            # Nothing that was in doubt is sent again by itself, whatever was said in the end.
            end, wait_s = PointStatus.FAILED, None
        await self._end(purchase, end, fate=str(what), **columns)
        if wait_s is not None:
            self._watcher.put_back(purchase, wait_s)

    async def _never_sent(self, purchase: Purchase, error: DecartSDKError) -> None:
        if isinstance(error, StoreError):
            self._watcher.pause(error)  # the disk, not the point
            return
        await self._journal.record(
            "ended",
            purchase.point.point_id,
            status=PointStatus.FAILED,
            total_s=purchase.elapsed(),
            **error_columns(error, "prepare"),
        )

    async def _end(self, purchase: Purchase, status: PointStatus, **facts: Any) -> None:
        assert purchase.attempt is not None
        if status is not PointStatus.PLANNED:
            facts |= {"total_s": purchase.elapsed(), "simulated": self._client.simulated}
        await self._journal.ended(
            self._lease, purchase.attempt, status, purchase.take_facts(**facts)
        )

    # -- from the job id on: nothing below can buy ----------------------------------------------

    def resumed(self, point: Point, attempt: Attempt) -> Purchase:
        """Return the purchase of an attempt that the service has answered before."""
        target = self._store.arrival_path(point.point_id, attempt.number)
        purchase = Purchase(point, target, self._clock)
        purchase.attempt, purchase.sent = attempt, True
        return purchase

    async def take_up(self, purchase: Purchase, attempt: Attempt) -> None:
        """Go on with an attempt that the service has answered: ask, or only fetch and keep."""
        if attempt.job_id is None:
            await self._keep_found(purchase)
        elif attempt.state == "done":
            await self.fetch(purchase, attempt.job_id)
        else:
            row = self._journal.row(purchase.point.point_id)
            began = row.get("submitted_at")
            waited_s = (self._clock.utc() - began).total_seconds() if began else 0.0
            # at least a moment, which says that it was bought before
            await self.collect(purchase, attempt.job_id, waited_s=max(1e-3, waited_s))

    async def _keep_found(self, purchase: Purchase) -> None:
        """Keep a picture that was answered at once, from where a dead kernel left it."""
        assert purchase.attempt is not None
        row = self._journal.row(purchase.point.point_id)
        try:
            media = await asyncio.to_thread(self._found, purchase, row)
        except DecartSDKError as error:
            self._watcher.pause(error)
            return
        if media is not None:
            await self._keep(purchase, media)
            return
        lost = StoreError(
            "The picture had come and is not in the run's folder any more.",
            hint="It was paid for, and a picture answered at once cannot be fetched again.",
        )
        await self._end(purchase, PointStatus.LOST, **error_columns(lost, "store"))

    def _found(self, purchase: Purchase, row: Mapping[str, Any]) -> Media | None:
        from ..media.media import Media

        sha256 = row.get("media_sha256")
        path = purchase.target if purchase.target.is_file() else None
        if path is None and sha256:
            path = self._store.held(sha256)
        if path is None:
            return None
        media = Media(path, simulated=bool(row.get("simulated")))  # as it was said when it came
        media.probe  # noqa: B018 (looks at the file, and raises when it is no picture)
        return media

    async def collect(self, purchase: Purchase, job_id: str, *, waited_s: float = 0.0) -> None:
        """Ask after a job that was paid for until it ends, and fetch its result.

        Parameters
        ----------
        waited_s : float
            How long ago the service took it, for one that an earlier kernel bought.
        """
        purchase.phase = "poll"
        if not await self._follow(purchase, job_id, waited_s):
            return
        await self.fetch(purchase, job_id)

    async def fetch(self, purchase: Purchase, job_id: str) -> None:
        """Fetch the result of a job that is done."""
        purchase.phase = "download"
        purchase.lap()
        async with self._downloads:
            media = await self._download(purchase, job_id)
        if media is not None:
            purchase.facts["download_s"] = purchase.lap()
            await self._keep(purchase, media)

    async def _follow(self, purchase: Purchase, job_id: str, waited_s: float) -> bool:
        """Ask after a job until the service has finished it; False when there is no result."""
        kind, accepted = purchase.kind, self._clock.now() - waited_s
        number = self._durations.begin(kind)
        try:
            return await self._ask(purchase, job_id, waited_s, accepted, number)
        finally:
            self._durations.end(kind, number)

    async def _ask(
        self, purchase: Purchase, job_id: str, waited_s: float, accepted: float, number: int
    ) -> bool:
        clock, follow, kind = self._clock, Follow(), purchase.kind
        asked, retry_after_s, said = waited_s, None, JobStatus.PENDING.value
        learning = waited_s == 0.0
        while asked - waited_s <= self._settings.deadline_s:
            share = self._turns.rate / max(1, self._turns.waiting + 1)
            plan = self._durations.schedule(kind, share)
            usual = plan.after(asked, LONGEST_S)
            delay = follow.delay_s(usual, retry_after_s)
            if not learning and follow.polls == 0:
                delay = 0.0  # it may have been ready for days
            await self._turns.at(max(clock.now(), accepted + asked + delay))
            before, asked, retry_after_s = asked, clock.now() - accepted, None
            here("poll.before")
            try:
                job = await self._client.queue.status(job_id)
            except NotFoundError as error:
                if follow.missed():
                    await self._lose(purchase, job_id, error)
                    return False
                continue
            except DecartSDKError as error:
                if pauses(error):
                    self._watcher.pause(error)
                    return False
                if not isinstance(error, PASSING):
                    raise
                follow.failed()
                retry_after_s = error.retry_after_s
                self._watcher.troubled(error)
                continue
            here("poll.after")
            follow.answered(job.status)
            if job.status == JobStatus.FAILED:
                await self._refused_by_service(purchase, job, follow)
                return False
            if job.status == JobStatus.COMPLETED:
                if learning:
                    # it ended between two polls, or before the first
                    middle = (before + asked) / 2 if follow.polls > 1 else 0.8 * asked
                    self._durations.learn(kind, middle)
                    self._learned(kind, middle)
                await self._done(purchase, follow, clock.now() - accepted - before)
                return True
            self._durations.still(kind, number, asked)
            if job.status != said:
                await self._say(purchase, job.status)
                said = job.status
        _log.warning("Job %s is still not finished; it can be taken up again later.", job_id)
        await self._journal.record(
            "status", purchase.point.point_id, polls=follow.polls, parked=True
        )
        return False

    async def _say(self, purchase: Purchase, said: str) -> None:
        """Write down a new word of the service about a job."""
        facts: dict[str, Any] = {"said": said}
        if said == JobStatus.PROCESSING and "queue_s" not in purchase.facts:
            facts["queue_s"] = purchase.facts["queue_s"] = purchase.lap()
        # words the contract does not know are work that is under way
        status = PointStatus.PENDING if said == JobStatus.PENDING else PointStatus.PROCESSING
        await self._journal.record("status", purchase.point.point_id, status=status, **facts)

    async def _done(self, purchase: Purchase, follow: Follow, lag_s: float) -> None:
        assert purchase.attempt is not None
        self._watcher.finished(purchase)
        purchase.facts |= {
            "polls": follow.polls,
            "run_s": purchase.lap(),
            "poll_lag_s": lag_s,
            "completed_at": self._clock.utc(),
        }
        await self._journal.done(self._lease, purchase.attempt, purchase.take_facts())

    async def _refused_by_service(self, purchase: Purchase, job: Job, follow: Follow) -> None:
        error = JobFailedError(f"The service says: {job.error or 'Job failed'}", job_id=job.job_id)
        self._watcher.finished(purchase)
        columns = error_columns(error, "poll")
        await self._end(purchase, PointStatus.FAILED, polls=follow.polls, **columns)

    async def _lose(self, purchase: Purchase, job_id: str, error: NotFoundError) -> None:
        lost = JobLostError(
            f"The service no longer knows job {job_id}.",
            hint="It was paid for; quote the job id to the service's support.",
            job_id=job_id,
            status=error.status,
        )
        self._watcher.finished(purchase)
        await self._end(purchase, PointStatus.LOST, **error_columns(lost, "poll"))

    async def _download(self, purchase: Purchase, job_id: str) -> Media | None:
        """Fetch a result, again and again within reason; None leaves the point for later."""
        follow, damaged, began = Follow(), 0, self._clock.now()
        while True:
            here("download.before")
            try:
                media = await self._client.queue.result(job_id, save_to=purchase.target)
            except DecartSDKError as error:
                if pauses(error) or isinstance(error, StoreError):
                    self._watcher.pause(error)
                    return None
                if not isinstance(error, (*PASSING, NotFoundError)) and error.status is None:
                    raise
                if error.status == 410:
                    await self._end(purchase, PointStatus.LOST, **error_columns(error, "download"))
                    return None
                follow.failed()
                damaged += isinstance(error, ResponseError) and error.status == 200
                delay = follow.delay_s(0.5, error.retry_after_s)
                if damaged >= DAMAGED or self._clock.now() - began + delay > CONTENT_S:
                    columns = error_columns(error, "download")
                    point_id = purchase.point.point_id
                    await self._journal.record("status", point_id, parked=True, **columns)
                    return None
                self._watcher.troubled(error)
            else:
                here("download.after")
                return media
            await self._clock.sleep(delay)

    async def _keep(self, purchase: Purchase, media: Media) -> None:
        """Put a result where its content says, and only then call the point completed."""
        assert purchase.attempt is not None
        purchase.phase = "store"
        try:
            stored = await asyncio.to_thread(self._store.adopt, media.path, media.sha256)
        except StoreError as error:
            self._watcher.pause(error)
            return
        cost = purchase.point.cost_estimate
        facts = purchase.take_facts(
            simulated=media.simulated,
            cached=False,
            cost=None if isnan(cost) else cost,
            total_s=purchase.elapsed(),
            media=stored.media,
            media_sha256=stored.sha256,
            media_bytes=stored.size_bytes,
            **media_columns(media),
        )
        await self._journal.stored(self._lease, purchase.attempt, facts)
        if self._settings.thumbs:
            point_id = purchase.point.point_id
            note = self._journal.note
            self._store.thumb_later(stored, lambda thumb: note("status", point_id, thumb=thumb))


def media_columns(media: Media) -> dict[str, Any]:
    """Return the columns of the table that say what a result is, from its headers."""
    return {
        "mime": media.mime,
        "width": media.width,
        "height": media.height,
        "fps": media.fps,
        "frames": media.frames,
        "duration_s": media.duration_s,
        "codec": media.probe.codec,
    }
