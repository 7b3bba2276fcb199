"""The two ways of buying a point, as rows: answered at once, or as a job.

A route awaits the client, keeps the purchase's phase and times, and returns the downloaded media.
Errors go through; what they mean for the point is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from .._clock import Clock
from ..contract.responses import Job
from ..contract.states import JobStatus, PointStatus
from ..errors import (
    DeadlineError,
    JobFailedError,
    JobLostError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    ResponseError,
    ServerError,
)
from .polling import DEADLINE_S, MISSES, next_delay_s
from .purchase import Purchase

if TYPE_CHECKING:
    from ..api.client import DecartClient
    from ..media.media import Media

ImageRoute = Literal["direct", "queue"]
Route = Callable[["DecartClient", Purchase, Clock], Awaitable["Media"]]

PASSING: Final = (NetworkError, RateLimitError, ServerError, ResponseError)
"""Failures of a poll that say nothing about the job: it is asked again later."""


async def buy_direct(client: DecartClient, purchase: Purchase, clock: Clock) -> Media:
    """Buy a picture that is answered at once.

    Waiting for the service and fetching its answer are one call, timed together as ``run_s``;
    there is no job and so no queue to be in.
    """
    purchase.begin()
    media = await client.process(
        purchase.options,
        save_to=purchase.target,
        on_upload_progress=purchase.on_upload_progress,
    )
    purchase.record("status", run_s=purchase.lap(), completed_at=clock.utc())
    return media


async def buy_job(
    client: DecartClient, purchase: Purchase, clock: Clock, *, image_route: bool = False
) -> Media:
    """Submit a job, ask after it until it ends, and fetch its result."""
    purchase.begin()
    route = {"image_route": "queue"} if image_route else {}
    job = await client.queue.submit(
        purchase.options | route, on_upload_progress=purchase.on_upload_progress
    )
    purchase.job_id = job.job_id
    purchase.record("ack", status=PointStatus.PENDING, job_id=job.job_id, submit_s=purchase.lap())
    purchase.phase = "poll"
    await _wait(client, purchase, clock, job)
    purchase.phase = "download"
    media = await client.queue.result(job.job_id, save_to=purchase.target)
    purchase.record("status", download_s=purchase.lap())
    return media


ROUTES: Final[dict[str, Route]] = {
    "direct": buy_direct,
    "job": buy_job,
    "image_job": partial(buy_job, image_route=True),
}


def route_of(kind: str, image_route: ImageRoute) -> Route:
    """Return how points of a kind of model are bought.

    Examples
    --------
    >>> route_of("video", "direct") is buy_job, route_of("image", "direct") is buy_direct
    (True, True)
    """
    if kind != "image":
        return ROUTES["job"]
    return ROUTES["direct" if image_route == "direct" else "image_job"]


async def _wait(client: DecartClient, purchase: Purchase, clock: Clock, job: Job) -> None:
    """Ask after a job until it completes.

    Raises
    ------
    JobFailedError, JobLostError, DeadlineError
        It will not complete; the service does not know it; it took longer than jobs may.
    """
    accepted = last_answer = clock.now()
    seen_processing, misses = False, 0
    while clock.now() - accepted <= DEADLINE_S:
        await clock.sleep(next_delay_s(purchase.polls, clock.now() - accepted))
        purchase.polls += 1
        try:
            job = await client.queue.status(job.job_id)
        except PASSING:
            continue
        except NotFoundError as error:
            misses += 1
            if misses < MISSES:
                continue
            raise JobLostError(
                f"The service no longer knows job {job.job_id}.",
                hint="It was paid for; quote the job id to the service's support.",
                job_id=job.job_id,
                status=error.status,
            ) from error
        misses = 0
        if job.status == JobStatus.FAILED:
            purchase.record("status", polls=purchase.polls)
            raise JobFailedError(
                f"The service says: {job.error or 'Job failed'}", job_id=job.job_id
            )
        if job.status == JobStatus.PROCESSING and not seen_processing:
            seen_processing = True
            purchase.record("status", queue_s=purchase.lap())
        if job.status == JobStatus.COMPLETED:
            purchase.record(
                "status",
                polls=purchase.polls,
                run_s=purchase.lap(),
                poll_lag_s=clock.now() - last_answer,
                completed_at=clock.utc(),
            )
            return
        # words the contract does not know are polled on, as work that is under way
        pending = job.status == JobStatus.PENDING
        status = PointStatus.PENDING if pending else PointStatus.PROCESSING
        purchase.record("status", status=status, polls=purchase.polls)
        last_answer = clock.now()
    raise DeadlineError(
        f"Job {job.job_id} was not finished after {DEADLINE_S:g} s.",
        hint="It was paid for; ask again later with lab.queue.result(job_id).",
        sent="all",
        job_id=job.job_id,
    )
