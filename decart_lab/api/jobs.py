"""A job's answers judged: was it taken, is it lost, how long to pause. No requests here."""

from __future__ import annotations

from typing import Final

from .._caller import nonsense, parse_json
from .._retry import may_repeat
from .._wire import Answer
from ..contract.responses import Job, valid_id
from ..contract.states import JobStatus
from ..errors import (
    DeadlineError,
    DecartSDKError,
    JobLostError,
    NotFoundError,
    QueueStatusError,
    QueueSubmitError,
    ResponseError,
    combined,
)

LOST_AFTER: Final = 4
"""So many 404 or senseless answers in a row are believed; fewer may be a gateway's hiccup."""


def accepted(answer: Answer, what: str) -> Job:
    """Read the ticket; an unreadable one is an error that says the job was taken."""

    def refuse(why: str) -> DecartSDKError:
        return nonsense(
            QueueSubmitError,
            what,
            answer.head,
            f"the service took the job, but {why}",
            hint="A job may have been bought that cannot be collected; it is not sent again.",
            data={"accepted": True, "body": answer.body[:2000].decode("utf-8", "replace")},
        )

    job = parse_json(answer, _Ticket, refuse)
    if not valid_id(job.job_id):
        raise refuse(f"its job id cannot be used: {job.job_id[:60]!r}")
    return Job(job_id=job.job_id, status=job.status, error=job.error)


class _Ticket(Job):
    """A submission's answer, whose status may be left out: it is pending then."""

    status: str = JobStatus.PENDING.value


def expired(job_id: str, known: Job | None, timeout_s: float) -> DecartSDKError:
    """Return the error for a wait that ran out; the job goes on."""
    state = f"still {known.status[:40]}" if known is not None else "of unknown status"
    return combined(QueueStatusError, DeadlineError)(
        f"Job {job_id} is {state} after {timeout_s:.4g} s of waiting.",
        hint=f"It goes on. Wait again with queue.wait({job_id!r}), or collect it later with "
        f"queue.result({job_id!r}).",
        job_id=job_id,
    )


def check_poll(error: QueueStatusError, job_id: str, strange: int) -> float:
    """Return how long to pause after a poll that failed, or raise when polling is pointless.

    Parameters
    ----------
    strange : int
        How many polls in a row, this one included, found no job or no sense.
    """
    if strange >= LOST_AFTER and isinstance(error, NotFoundError):
        raise combined(QueueStatusError, JobLostError)(
            f"The service no longer knows job {job_id}.",
            hint="Its result cannot be collected any more; ask the service's support.",
            status=error.status,
            request_id=error.request_id,
            job_id=job_id,
        ) from error
    hiccup = isinstance(error, (NotFoundError, ResponseError)) and strange < LOST_AFTER
    if hiccup or may_repeat(error, once=False) or isinstance(error, DeadlineError):
        return min(error.retry_after_s or 0.0, 60.0)
    raise error
