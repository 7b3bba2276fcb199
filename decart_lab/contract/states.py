"""States of a job and of a sweep's point, with the transitions that are possible.

Job states are the service's words. Point states are ours; a point that is being bought, or may
have been, is never planned again by any path in this table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class JobStatus(StrEnum):
    """What the service says of a job (wire contract, section 5)."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether the job will not change any more."""
        return self in (JobStatus.COMPLETED, JobStatus.FAILED)


class PointStatus(StrEnum):
    """Where a point of a sweep stands; the order is the order of the DataFrame's category."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    IN_DOUBT = "in_doubt"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"
    LOST = "lost"
    CANCELLED = "cancelled"
    SKIPPED_BUDGET = "skipped_budget"
    INVALID = "invalid"


_P = PointStatus

TRANSITIONS: Final[dict[PointStatus, frozenset[PointStatus]]] = {
    _P.PLANNED: frozenset(
        {_P.SUBMITTING, _P.COMPLETED, _P.CANCELLED, _P.SKIPPED_BUDGET, _P.FAILED}
    ),
    # back to planned only with proof that the service has not taken the request
    _P.SUBMITTING: frozenset(
        {_P.PLANNED, _P.IN_DOUBT, _P.PENDING, _P.COMPLETED, _P.REJECTED, _P.FAILED}
    ),
    # rejected and failed are a late word of the service, which had not taken the request
    _P.IN_DOUBT: frozenset(
        {_P.PENDING, _P.COMPLETED, _P.CANCELLED, _P.SUBMITTING, _P.REJECTED, _P.FAILED}
    ),
    _P.PENDING: frozenset({_P.PROCESSING, _P.COMPLETED, _P.FAILED, _P.LOST}),
    _P.PROCESSING: frozenset({_P.PENDING, _P.COMPLETED, _P.FAILED, _P.LOST}),
    _P.COMPLETED: frozenset(),
    _P.FAILED: frozenset({_P.SUBMITTING}),
    _P.REJECTED: frozenset({_P.SUBMITTING}),
    _P.LOST: frozenset({_P.PENDING, _P.SUBMITTING}),
    _P.CANCELLED: frozenset({_P.SUBMITTING}),
    _P.SKIPPED_BUDGET: frozenset({_P.SUBMITTING, _P.PLANNED, _P.COMPLETED}),
    _P.INVALID: frozenset(),
}

OPEN: Final[frozenset[PointStatus]] = frozenset(
    {_P.PLANNED, _P.SUBMITTING, _P.PENDING, _P.PROCESSING}
)
"""States from which a running engine still moves a point."""


def check_transition(old: PointStatus, new: PointStatus) -> None:
    """Refuse an impossible change of state.

    Raises
    ------
    AssertionError
        A bug of ours: no input or answer may lead here.
    """
    if new is not old and new not in TRANSITIONS[old]:
        raise AssertionError(f"a point cannot go from {old} to {new}")
