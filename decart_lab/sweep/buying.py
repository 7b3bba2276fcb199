"""The steps of buying one point, in the order that keeps money safe.

Intent on the disk, request, job id on the disk, polls, download, media on the disk, row. After the
job id there is no way back to another request: what follows takes the id, and is
:mod:`decart_lab.sweep.collecting`'s. When to begin, and how much at once, is
:mod:`decart_lab.sweep.engine`'s.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from math import isnan
from typing import TYPE_CHECKING, Final, TypeVar

from ..contract.states import PointStatus
from ..errors import (
    DecartSDKError,
    NetworkError,
    StoreError,
)
from ._crashpoints import here
from .collecting import Collecting
from .patience import Patience
from .purchase import Purchase
from .settings import Settings
from .verdict import END, NO_ERROR, Fate, error_columns, fate
from .watcher import Watcher

if TYPE_CHECKING:
    from .._clock import Clock
    from ..api.client import DecartClient
    from .journal import Journal
    from .lease import Lease
    from .plan import Point
    from .store import Store

T = TypeVar("T")

STALE_S: Final = 5.0
"""An intent older than this was written before a sleep of the machine: it is not acted on.

By the machine's own time, whatever the clock of the run.
"""

_log = logging.getLogger("decart_lab")


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
    collecting : Collecting
        What follows once the service has answered.
    """

    def __init__(
        self,
        client: DecartClient,
        journal: Journal,
        lease: Lease,
        store: Store,
        watcher: Watcher,
        collecting: Collecting,
        *,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self.collecting = collecting
        self._client = client
        self._journal = journal
        self._lease = lease
        self._store = store
        self._watcher = watcher
        self._settings = settings
        self._clock = clock
        self._disk_tried = False

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
            if self._unprepared(point):
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
            await self.collecting.end(purchase, PointStatus.PLANNED, why="the intent was stale")
            self._watcher.put_back(purchase, 0.0)
            return
        purchase.lap()
        purchase.phase = "upload"
        if direct:
            await self._buy_direct(purchase)
        else:
            await self._buy_job(purchase)

    def _unprepared(self, point: Point) -> bool:
        """Return whether something is to be copied first, or the disk has not been tried yet."""
        items = point.files.values()
        kept = all(i.prepared is not None and self._store.keeps(i.prepared) for i in items)
        return not (kept and self._disk_tried)

    def _prepare(self, purchase: Purchase) -> None:
        for item in purchase.point.files.values():
            if item.error is not None:
                raise item.error
            if item.prepared is not None:
                self._store.keep_input(item.prepared)
        self._store.incoming(purchase.point.point_id)
        self._disk_tried = True

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
        await self.collecting.collect(purchase, job.job_id)

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
        await self.collecting.keep(purchase, media)

    async def _answer(self, purchase: Purchase, after_s: float, call: Awaitable[T]) -> T:
        """Await the answer to a paid request; put the point in doubt when it is overdue."""

        async def overdue() -> None:
            late = NetworkError(
                f"No answer for {after_s:g} s; it is still listened for.",
                sent="all",
                hint="It may have been bought.",
            )
            await self.collecting.end(
                purchase, PointStatus.IN_DOUBT, **error_columns(late, "submit")
            )
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
        await self.collecting.end(purchase, end, fate=str(what), **columns)
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
