"""The runner: buys the points of a plan, a few at a time, and writes down what became of each.

It runs on one event loop, where the client lives. No failure of a point escapes it and no point is
left without an end; what a failure means is :mod:`decart_lab.sweep.verdict`'s, how a point is
bought :mod:`decart_lab.sweep.routes`'. Media goes from the network to the disk, never into memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .._clock import Clock, RealClock
from ..contract.states import PointStatus
from ..errors import InvalidInputError
from ._memory import EventKind, Journal
from .plan import Plan, Point
from .purchase import Purchase
from .routes import ImageRoute, route_of
from .store import Store
from .verdict import error_columns, hopeless, verdict

if TYPE_CHECKING:
    from ..api.client import DecartClient
    from ..media.media import Media

CONCURRENCY: Final = 8
MAX_CONCURRENCY: Final = 256

SHARED: Final = (
    *("simulated", "job_id", "media", "media_sha256", "media_bytes", "mime", "width", "height"),
    *("fps", "frames", "duration_s", "codec", "thumb", "submitted_at", "completed_at"),
)
"""Columns a twin takes over from the point whose request it repeats."""

_log = logging.getLogger("decart_lab")


class Runner:
    """Buys a plan.

    Parameters
    ----------
    client : DecartClient
        Used on the loop that awaits :meth:`run`, and on no other.
    plan : Plan
        Checked; its runnable points are bought.
    journal : Journal
        Already holds the points as planned.
    store : Store
        Where results go.
    concurrency : int, default 8
        Points being bought at the same time.
    image_route : {"direct", "queue"}
        Whether pictures are answered at once or go as jobs.

    Raises
    ------
    InvalidInputError
        A concurrency below 1 or above 256, or an unknown route.
    """

    def __init__(
        self,
        client: DecartClient,
        plan: Plan,
        journal: Journal,
        store: Store,
        *,
        concurrency: int = CONCURRENCY,
        image_route: ImageRoute = "direct",
        clock: Clock | None = None,
    ) -> None:
        check_limits(concurrency, image_route)
        self._client = client
        self._journal = journal
        self._store = store
        self._image_route: ImageRoute = image_route
        self._clock: Clock = clock or RealClock()
        originals = [point for point in plan.runnable if point.twin_of is None]
        self._waiting = deque(originals)
        self._workers = min(concurrency, len(originals))
        self._twins: defaultdict[str, list[Point]] = defaultdict(list)
        for point in plan.runnable:
            if point.twin_of is not None:
                self._twins[point.twin_of].append(point)

    async def run(self) -> None:
        """Buy until nothing waits and nothing is under way."""
        workers = (self._work() for _ in range(self._workers))
        # Not a task group: a bug in one worker must not cut off what others are paying for.
        for outcome in await asyncio.gather(*workers, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def stop(self) -> int:
        """Begin no further purchase; return how many points are not bought because of it.

        What is under way goes on to its end: it is paid.
        """
        return self._cancel_waiting({})

    async def _work(self) -> None:
        while self._waiting:
            await self._buy(self._waiting.popleft())

    async def _buy(self, point: Point) -> None:
        assert point.spec is not None
        target = self._store.folder / "media" / "incoming" / point.point_id
        purchase = Purchase(point, target, self._journal, self._clock)
        try:
            target = await asyncio.to_thread(self._store.incoming, point.point_id)
            buy = route_of(point.spec.kind, self._image_route)
            media = await buy(self._client, purchase, self._clock)
            purchase.phase = "store"
            facts = await asyncio.to_thread(self._keep, media)
        except Exception as error:  # noqa: BLE001 (a point's failure is its row, whatever it is)
            self._fail(purchase, error)
        else:
            cost = None if isnan(point.cost_estimate) else point.cost_estimate
            purchase.record(
                "done",
                status=PointStatus.COMPLETED,
                total_s=purchase.elapsed(),
                cost=cost,
                cached=False,
                **facts,
            )
        finally:
            await asyncio.to_thread(_remove, target)
        self._share(point)

    def _keep(self, media: Media) -> dict[str, Any]:
        """Store a result and return its columns; blocking."""
        facts: dict[str, Any] = {
            "simulated": media.simulated,
            "mime": media.mime,
            "width": media.width,
            "height": media.height,
            "fps": media.fps,
            "frames": media.frames,
            "duration_s": media.duration_s,
            "codec": media.probe.codec,
        }
        stored = self._store.adopt(media.path)
        return facts | {
            "media": stored.media,
            "media_sha256": stored.sha256,
            "media_bytes": stored.size_bytes,
            "thumb": stored.thumb or None,
        }

    def _fail(self, purchase: Purchase, error: Exception) -> None:
        status = verdict(error, purchase.phase)
        columns = error_columns(error, purchase.phase)
        _log.debug("point %s: %s", purchase.point.point_id, columns["error_message"])
        purchase.record(
            "ended",
            status=status,
            total_s=purchase.elapsed(),
            simulated=self._client.simulated,
            cached=False,
            **columns,
        )
        if hopeless(error):
            self._cancel_waiting(columns)

    def _cancel_waiting(self, columns: dict[str, Any]) -> int:
        stopped = 0
        while self._waiting:
            point = self._waiting.popleft()
            self._end(point, status=PointStatus.CANCELLED, **columns)
            stopped += 1 + self._share(point)
        return stopped

    def _share(self, point: Point) -> int:
        """Give the twins of a point that has ended their end; return how many there are."""
        twins = self._twins.pop(point.point_id, [])
        row = self._journal.row(point.point_id) if twins else {}
        for twin in twins:
            if row["status"] == PointStatus.COMPLETED:
                taken = {name: row.get(name) for name in SHARED}
                self._end(twin, status=PointStatus.COMPLETED, cached=True, cost=0.0, **taken)
            else:
                why = f"Point {point.point_id}, whose request this one repeats, has no result."
                self._end(twin, status=PointStatus.CANCELLED, error_message=why)
        return len(twins)

    def _end(self, point: Point, **changes: Any) -> None:
        kind: EventKind = "done" if changes["status"] == PointStatus.COMPLETED else "ended"
        self._journal.record(kind, point.point_id, self._clock.utc(), **changes)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # what is left of a failed download is in nobody's way
        path.unlink(missing_ok=True)


def check_limits(concurrency: int, image_route: str) -> None:
    """Refuse settings of a run that cannot be, before anything is opened.

    Raises
    ------
    InvalidInputError
        Naming the argument.
    """
    if type(concurrency) is not int or not 1 <= concurrency <= MAX_CONCURRENCY:
        raise InvalidInputError(
            f"concurrency must be a whole number from 1 to {MAX_CONCURRENCY}, not {concurrency!r}.",
            field="concurrency",
        )
    if image_route not in ("direct", "queue"):
        raise InvalidInputError(
            f'image_route must be "direct" or "queue", not {image_route!r:.60}.',
            field="image_route",
        )
