"""What a failure means for the point it happened to: pure, and cautious with money.

The question is always whether the service may have taken the paid request. Where that is not
known the point is in doubt, and nothing here or elsewhere sends it again unasked.
"""

from __future__ import annotations

from typing import Any, Final

from ..contract.states import PointStatus
from ..errors import (
    AuthError,
    CreditsError,
    DeadlineError,
    DecartSDKError,
    InvalidInputError,
    JobLostError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RejectedError,
    ServerError,
    StoreError,
)
from .purchase import Phase

MAX_MESSAGE: Final = 500


def verdict(error: Exception, phase: Phase) -> PointStatus:
    """Return where a point stands after an error.

    Parameters
    ----------
    error : Exception
        What was raised.
    phase : str
        What was being done.

    Examples
    --------
    >>> verdict(NetworkError("The line went dead.", sent="all"), "submit").value
    'in_doubt'
    >>> verdict(NetworkError("No route.", sent="none"), "upload").value
    'failed'
    """
    if phase == "poll":
        lost = isinstance(error, (JobLostError, DeadlineError))
        return PointStatus.LOST if lost else PointStatus.FAILED
    if phase not in ("upload", "submit"):
        return PointStatus.FAILED
    match error:
        case InvalidInputError() | RateLimitError() | StoreError():
            return PointStatus.FAILED
        case RejectedError() | AuthError() | NotFoundError():
            return PointStatus.REJECTED
        case NetworkError(sent="none" | "partial", response_started=False):
            return PointStatus.FAILED
        case ServerError(status=503, retry_after_s=float() | int()):
            return PointStatus.FAILED  # the service says that it did not take the request
    return PointStatus.IN_DOUBT


def hopeless(error: Exception) -> bool:
    """Return whether every other point would fail the same way: no valid key, or no credits."""
    return isinstance(error, CreditsError) or (isinstance(error, AuthError) and error.status == 401)


def error_columns(error: Exception, phase: Phase) -> dict[str, Any]:
    """Return the error's columns of the table.

    Examples
    --------
    >>> columns = error_columns(RejectedError("No.", hint="Say please.", status=422), "submit")
    >>> columns["error_type"], columns["error_message"]
    ('RejectedError', 'No. Say please.')
    """
    text = " ".join(str(error).split()) or type(error).__name__
    # a combined class is named after both its parts; its cause is what the reader wants
    kind = next(c.__name__ for c in type(error).__mro__ if "[" not in c.__name__)
    return {
        "error_phase": phase,
        "error_type": kind,
        "error_message": text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 3] + "...",
        "http_status": error.status if isinstance(error, DecartSDKError) else None,
    }
