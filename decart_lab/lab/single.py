"""One picture or one clip as a run of one point: journalled, resumable, and bought once.

What belongs here: what ``lab.process`` and ``lab.edit_video`` do beyond a sweep: exceptions where a
sweep has rows, a result where a sweep has a frame, and the caller's callbacks.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from math import isnan
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from ..contract.models import ModelSpec
from ..contract.requests import validate
from ..contract.responses import Job
from ..contract.states import PointStatus
from ..errors import (
    DeadlineError,
    DecartSDKError,
    InDoubtError,
    InvalidInputError,
    JobFailedError,
    ProcessingError,
    QueueStatusError,
    combined,
)
from ..media.media import Media
from ..sweep.grid import Grid
from ..sweep.plan import Plan, Point, build_plan
from ..sweep.settings import Settings
from .opening import Terms, begin

if TYPE_CHECKING:
    from ..api.client import DecartClient
    from .lab import Lab
    from .run import Run

T = TypeVar("T")

LOOK_S: Final = 0.05


def buy_one(
    lab: Lab,
    model: ModelSpec,
    options: Mapping[str, Any],
    *,
    new: bool,
    save_to: str | PathLike[str] | None,
    timeout_s: float | None = None,
    on_status: Callable[[Job], None] | None = None,
    on_upload: Callable[[int, int], None] | None = None,
) -> Media:
    """Buy one thing, or return it when it is owned; blocking.

    Parameters
    ----------
    lab : Lab
        Where.
    model : ModelSpec
        Its row.
    options : mapping
        What is sent, as the user gave it; None counts as not given.
    new : bool
        Buy again what is owned.
    save_to : path or None
        Where a copy of the result goes.
    timeout_s : float, optional
        How long to wait.
    on_status, on_upload : callable, optional
        Told of the job and of the upload; must not block.

    Raises
    ------
    InvalidInputError
        Before any request.
    DecartSDKError
        What the client raised, or what became of an earlier try that is not repeated unasked.
    """
    plan = _planned(lab, model, {k: v for k, v in options.items() if v is not None})
    [point] = plan.points
    watched = Watched(lab._client, on_status, on_upload)
    terms = Terms(Settings(concurrency=1), new=new, single=True, client=watched)
    run = begin(lab, plan, terms)
    row = _settled(run, point, timeout_s)
    if row["status"] != PointStatus.COMPLETED and not watched.used:
        _refuse_to_repeat(run, row)
        run._go_on([point], client=watched, again=True)
        row = _settled(run, point, timeout_s)
    if row["status"] != PointStatus.COMPLETED:
        raise _failure(run, row, watched.error)
    if not watched.used:
        print(f"Taken from run {run.run_id}: nothing was bought. new=True buys it again.")
    return _media(run, row, str(options.get("prompt") or ""), save_to)


class Watched:
    """A client that tells the caller's callbacks, and remembers what was raised last.

    It has what a runner uses of :class:`DecartClient`.
    """

    def __init__(
        self,
        client: DecartClient,
        on_status: Callable[[Job], None] | None,
        on_upload: Callable[[int, int], None] | None,
    ) -> None:
        self._client = client
        self._on_status = on_status
        self._on_upload = on_upload
        self._said: str | None = None
        self.error: DecartSDKError | None = None
        self.used = False
        self.queue = self

    def unrepeated(self) -> Self:
        """Make every call once from now on."""
        self._client = self._client.unrepeated()
        return self

    @property
    def simulated(self) -> bool | None:
        """As of the client."""
        return self._client.simulated

    async def process(
        self, options: Mapping[str, Any], *, save_to: Path, on_upload_progress: Any
    ) -> Media:
        """Make a picture."""
        told = self._both(on_upload_progress)
        return await self._seen(
            self._client.process(options, save_to=save_to, on_upload_progress=told)
        )

    async def submit(self, options: Mapping[str, Any], *, on_upload_progress: Any) -> Job:
        """Submit a job."""
        told = self._both(on_upload_progress)
        return self._tell(
            await self._seen(self._client.queue.submit(options, on_upload_progress=told))
        )

    async def status(self, job_id: str) -> Job:
        """Ask after a job."""
        return self._tell(await self._seen(self._client.queue.status(job_id)))

    async def result(
        self, job_id: str, *, save_to: Path, when_saved: Callable[[Path, str], object]
    ) -> Media:
        """Fetch a result."""
        return await self._seen(
            self._client.queue.result(job_id, save_to=save_to, when_saved=when_saved)
        )

    async def _seen(self, call: Awaitable[T]) -> T:
        self.used = True
        try:
            return await call
        except DecartSDKError as error:
            self.error = error
            raise

    def _tell(self, job: Job) -> Job:
        if self._on_status is not None and job.status != self._said:
            self._said = job.status
            self._on_status(job)
        return job

    def _both(self, ours: Callable[[int, int], None]) -> Callable[[int, int], None]:
        def told(sent: int, total: int) -> None:
            ours(sent, total)
            if self._on_upload is not None:
                self._on_upload(sent, total)

        return told


def _planned(lab: Lab, model: ModelSpec, options: Mapping[str, Any]) -> Plan:
    plan = build_plan(Grid.single(model=model, **options), service=lab.service, fetch=lab._fetch)
    [point] = plan.points
    if point.problem:
        raise _invalid(model, point, options)
    return plan


def _invalid(model: ModelSpec, point: Point, options: Mapping[str, Any]) -> DecartSDKError:
    """Return the error behind a point's problem, with its field."""
    for item in point.files.values():
        if item.error is not None:
            return item.error
    try:
        validate(model, options)
    except DecartSDKError as error:
        return error
    return InvalidInputError(point.reason, field="data")


def _settled(run: Run, point: Point, timeout_s: float | None) -> dict[str, Any]:
    """Wait for a point and return how it stands."""
    if run.running_here:
        _wait(run, timeout_s)
    return run._journal.row(point.point_id)


def _wait(run: Run, timeout_s: float | None) -> None:
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while not run.wait(LOOK_S):
        if until is not None and time.monotonic() >= until:
            job_id = run.df["job_id"].iloc[0]
            raise combined(QueueStatusError, DeadlineError)(
                f"Job {job_id} was not finished after {timeout_s:g} s.",
                hint="It goes on and is kept when it ends: call again to wait for it, at no cost.",
                job_id=job_id if isinstance(job_id, str) else None,
            )


def _refuse_to_repeat(run: Run, row: Mapping[str, Any]) -> None:
    """Raise what an earlier try ended with, where trying again might pay twice."""
    job_id = row.get("job_id")
    if row["status"] == PointStatus.IN_DOUBT:
        raise InDoubtError(
            f"This was sent before, in run {run.run_id}, and nobody knows whether it was bought: "
            f"{row.get('error_message') or 'the kernel ended meanwhile'}",
            hint="new=True sends it again and may pay twice.",
            job_id=job_id,
        )
    if row["status"] in (PointStatus.FAILED, PointStatus.LOST) and job_id:
        raise JobFailedError(
            f"Job {job_id} failed before, in run {run.run_id}: {row.get('error_message')}",
            hint="new=True buys it again.",
            job_id=job_id,
        )


def _failure(run: Run, row: Mapping[str, Any], error: DecartSDKError | None) -> DecartSDKError:
    job_id = row.get("job_id")
    said = row.get("error_message") or ""
    if row["status"] == PointStatus.FAILED and row.get("error_type") == "JobFailedError":
        return JobFailedError(f"Job {job_id} failed: {said}", job_id=job_id)
    if error is not None:
        return error
    return ProcessingError(
        f"Run {run.run_id} ended without a result: {said or row['status']}",
        hint="run = lab.last_run has what is known of it.",
        job_id=job_id,
    )


def _media(
    run: Run, row: Mapping[str, Any], caption: str, save_to: str | PathLike[str] | None
) -> Media:
    cost = row.get("cost_estimate") if row.get("cost") is None else row["cost"]
    if row.get("cached"):
        cost = row.get("cost_estimate")
    media = Media(
        run.folder / row["media"],
        simulated=bool(row.get("simulated")),
        job_id=row.get("job_id"),
        cost=None if cost is None or isnan(cost) else cost,
        caption=caption,
    )
    return media if save_to is None else replace(media, path=media.save(Path(save_to)))
