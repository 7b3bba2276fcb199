"""The steps of a point from its job id on: asking, fetching, keeping. Nothing here can buy.

Every step may be taken again, in this kernel or another, and costs nothing but time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING, Any, Final

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
from .polling import LONGEST_S, Follow
from .purchase import Purchase
from .settings import Settings
from .verdict import error_columns, pauses
from .watcher import Watcher

if TYPE_CHECKING:
    from pathlib import Path

    from .._clock import Clock
    from ..api.client import DecartClient
    from ..media.media import Media
    from .habits import Habits
    from .journal import Attempt, Journal
    from .lease import Lease
    from .plan import Point
    from .store import Store, Stored
    from .turns import Turns

PASSING: Final = (NetworkError, RateLimitError, ServerError, ResponseError)
"""Failures of a question that say nothing about the job: it is asked again later."""

DAMAGED: Final = 3
"""So often is a result fetched that came damaged."""

CONTENT_S: Final = 600.0
"""So long is a result asked for that its job says is there."""

_log = logging.getLogger("decart_lab")


class Collecting:
    """Takes single points that are paid for to their results.

    Parameters
    ----------
    client : DecartClient
        One that repeats nothing.
    journal, lease, store
        The run's record, the right to write it, and its folder.
    watcher : Watcher
        Told what the rest of the run should know.
    habits : Habits
        Told how long each job took, and asked when to ask.
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
        turns: Turns,
        habits: Habits,
    ) -> None:
        self._client = client
        self._journal = journal
        self._lease = lease
        self._store = store
        self._watcher = watcher
        self._settings = settings
        self._clock = clock
        self._turns = turns
        self._habits = habits
        self._durations = habits.durations
        self._downloads = asyncio.Semaphore(settings.downloads)

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
            await self.keep(purchase, media)
            return
        lost = StoreError(
            "The picture had come and is not in the run's folder any more.",
            hint="It was paid for, and a picture answered at once cannot be fetched again.",
        )
        await self.end(purchase, PointStatus.LOST, **error_columns(lost, "store"))

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
            found = await self._download(purchase, job_id)
        if found is not None:
            purchase.facts["download_s"] = purchase.lap()
            await self._write_down(purchase, *found)

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
                    self._habits.learn(kind, middle)
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
        facts = purchase.take_facts()
        await self._journal.done(self._lease, purchase.attempt, facts, later=True)

    async def _refused_by_service(self, purchase: Purchase, job: Job, follow: Follow) -> None:
        error = JobFailedError(f"The service says: {job.error or 'Job failed'}", job_id=job.job_id)
        self._watcher.finished(purchase)
        columns = error_columns(error, "poll")
        await self.end(purchase, PointStatus.FAILED, polls=follow.polls, **columns)

    async def _lose(self, purchase: Purchase, job_id: str, error: NotFoundError) -> None:
        lost = JobLostError(
            f"The service no longer knows job {job_id}.",
            hint="It was paid for; quote the job id to the service's support.",
            job_id=job_id,
            status=error.status,
        )
        self._watcher.finished(purchase)
        await self.end(purchase, PointStatus.LOST, **error_columns(lost, "poll"))

    async def _download(self, purchase: Purchase, job_id: str) -> tuple[Media, Stored] | None:
        """Fetch a result, again and again within reason; None leaves the point for later.

        The thread that wrote it also puts it where its content says.
        """
        follow, damaged, began = Follow(), 0, self._clock.now()
        placed: list[Stored] = []

        def place(path: Path, sha256: str) -> None:
            here("download.after")
            placed.append(self._store.adopt(path, sha256))

        while True:
            here("download.before")
            try:
                media = await self._client.queue.result(
                    job_id, save_to=purchase.target, when_saved=place
                )
            except DecartSDKError as error:
                if pauses(error) or isinstance(error, StoreError):
                    self._watcher.pause(error)
                    return None
                if not isinstance(error, (*PASSING, NotFoundError)) and error.status is None:
                    raise
                if error.status == 410:
                    await self.end(purchase, PointStatus.LOST, **error_columns(error, "download"))
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
                return media, placed[-1]
            await self._clock.sleep(delay)

    async def keep(self, purchase: Purchase, media: Media) -> None:
        """Put a result where its content says, and only then call the point completed."""
        purchase.phase = "store"
        try:
            stored = await asyncio.to_thread(self._store.adopt, media.path, media.sha256)
        except StoreError as error:
            self._watcher.pause(error)
            return
        await self._write_down(purchase, media, stored)

    async def _write_down(self, purchase: Purchase, media: Media, stored: Stored) -> None:
        """Call a point completed whose result has its place."""
        assert purchase.attempt is not None
        purchase.phase = "store"
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

    async def end(self, purchase: Purchase, status: PointStatus, **facts: Any) -> None:
        """Write down an end without a result."""
        assert purchase.attempt is not None
        if status is not PointStatus.PLANNED:
            facts |= {"total_s": purchase.elapsed(), "simulated": self._client.simulated}
        await self._journal.ended(
            self._lease, purchase.attempt, status, purchase.take_facts(**facts)
        )


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
