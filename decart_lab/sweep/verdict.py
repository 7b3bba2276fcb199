"""What a failure means for the point it happened to: pure, and cautious with money.

The question is always whether the service may have taken the paid request. It is answered by
evidence: what was handed to the network, whether an answer began, and what a well-formed answer
says. Where it is not known the point is in doubt, and nothing here or elsewhere sends it again
unasked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ..contract.states import PointStatus
from ..errors import (
    AuthError,
    CreditsError,
    DecartSDKError,
    InvalidInputError,
    ModerationError,
    NetworkError,
    StoreError,
)
from .purchase import ERROR_COLUMNS, Phase

MAX_MESSAGE: Final = 500


class Fate(StrEnum):
    """What became of a paid request that failed, as far as can be proved."""

    NEVER_SENT = "never sent"
    """The last byte of it was never handed to the network: it may be sent again."""
    REFUSED = "refused"
    """The service says that it did not take it, for now: it may be sent again later."""
    REJECTED = "rejected"
    """The service says no to this very request: the same one would fail again."""
    PAUSED = "paused"
    """The service says no to the account: nothing is to be sent until that is mended."""
    UNKNOWN = "unknown"
    """It may have been taken: it is never sent again by itself."""
    BROKEN = "broken"
    """It could not be made, here: an input is gone or the disk refuses. Nothing was sent."""


_REJECTED: Final = frozenset({400, 404, 405, 410, 411, 413, 414, 415, 422, 431, 501})
_REDIRECTS: Final = range(300, 400)


def fate(error: Exception, *, sent: bool = False) -> Fate:
    """Return what became of a paid request.

    Parameters
    ----------
    error : Exception
        What submitting it raised.
    sent : bool
        Whether all of it had been handed to the network, as the upload's progress saw it; errors
        of the network know it themselves.

    Examples
    --------
    >>> fate(NetworkError("The line went dead.", sent="all")).value
    'unknown'
    >>> fate(NetworkError("The line went dead.", sent="partial")).value
    'never sent'
    >>> from decart_lab.errors import ServerError
    >>> fate(ServerError("No.", status=503)).value, fate(
    ...     ServerError("No.", status=503, retry_after_s=2.0)).value
    ('unknown', 'refused')
    """
    if not isinstance(error, DecartSDKError):
        return Fate.UNKNOWN  # a bug of ours, at a moment that nobody can tell
    if isinstance(error, NetworkError):
        unsent = error.sent != "all" and not error.response_started
        return Fate.NEVER_SENT if unsent else Fate.UNKNOWN
    status = error.status
    if status is None:
        # errors without an answer and without the network are raised before a byte is sent
        local = isinstance(error, (InvalidInputError, StoreError)) and not sent
        return Fate.BROKEN if local else Fate.UNKNOWN
    if status in (408, 429) or (status == 503 and error.retry_after_s is not None):
        return Fate.REFUSED
    if isinstance(error, ModerationError):
        return Fate.REJECTED
    if status in (401, 403) or isinstance(error, CreditsError):
        return Fate.PAUSED
    if status in _REJECTED or status in _REDIRECTS:
        return Fate.REJECTED
    return Fate.UNKNOWN


def pauses(error: Exception) -> bool:
    """Return whether an answer is about the account, so that every other request would fail too."""
    return isinstance(error, AuthError) and error.status in (401, 402, 403)


END: Final[dict[Fate, PointStatus]] = {
    Fate.NEVER_SENT: PointStatus.FAILED,
    Fate.REFUSED: PointStatus.FAILED,
    Fate.REJECTED: PointStatus.REJECTED,
    Fate.UNKNOWN: PointStatus.IN_DOUBT,
    Fate.BROKEN: PointStatus.FAILED,
}
"""Where a point ends with that fate; one that may be sent again, once that was tried enough."""


@dataclass(slots=True)
class Refusals:
    """How often in a row the service said the same no to one point after another.

    Moderation is left out: it judges each prompt and picture, and says nothing of the next.

    Attributes
    ----------
    most : int
        So many stop a run, which sends the same mistake with every point; 0 for never.
    why : str
        What it stopped for; "" when it did not.

    Examples
    --------
    >>> from decart_lab.errors import RejectedError
    >>> refusals = Refusals(2)
    >>> no = RejectedError("seed is no number.", status=422)
    >>> refusals.refused(no), refusals.refused(no)
    (False, True)
    """

    most: int
    why: str = ""
    _said: tuple[int | None, str] = (None, "")
    _count: int = 0

    def refused(self, error: DecartSDKError) -> bool:
        """Take a no to a point; return whether the run is to stop for somebody to look."""
        if isinstance(error, ModerationError):
            return False
        said = (error.status, error.message)
        self._count = self._count + 1 if said == self._said else 1
        self._said = said
        if self._count != self.most:
            return False
        self.why = (
            f"The service refused {self.most} points in a row in the same words: {error.message} "
            "Nothing was paid for them. See whether the whole sweep sends that mistake."
        )
        return True

    def taken(self) -> None:
        """Take that it took a point: what it refuses is not in all of them."""
        self._count = 0


def error_columns(error: Exception, phase: Phase) -> dict[str, Any]:
    """Return the error's columns of the table.

    Examples
    --------
    >>> from decart_lab.errors import RejectedError
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


NO_ERROR: Final = dict.fromkeys(ERROR_COLUMNS)
"""What a point's error columns hold once it is well again."""
