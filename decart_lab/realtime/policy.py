"""Whether and when to connect again: pure decisions.

What ends a session for good is what another try cannot change: a refused key or prompt, a model
that does not exist, no credits, a reason of the service's that is not a fault of the network, and
any word we do not know. Sources: wire contract, section 7.2 (the official SDKs' waits and words).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .._retry import MAX_RETRY_AFTER_S
from ..contract.realtime import RECOVERABLE
from ..errors import (
    AuthError,
    CreditsError,
    DecartSDKError,
    InvalidInputError,
    NotFoundError,
    RejectedError,
    SessionClosedError,
)

_FINAL: Final = (AuthError, CreditsError, InvalidInputError, NotFoundError, RejectedError)
_FINAL_WORDS: Final = (
    "permission denied",
    "not allowed",
    "invalid session",
    "401",
    "invalid api key",
    "unauthorized",
)
"""What the official SDKs take for permanent in a message without a status (7.2)."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How often and how patiently to connect again.

    Attributes
    ----------
    attempts : int
        Tries in a row; a connection that came about starts the count anew.
    base_s, cap_s : float
        The n-th wait is ``min(cap_s, base_s * 2**n)`` seconds, as in the official SDKs.
    """

    attempts: int = 5
    base_s: float = 1.0
    cap_s: float = 10.0


NEVER: Final = Reconnect(attempts=0)


def permanent(error: DecartSDKError) -> bool:
    """Return whether trying again is pointless.

    Examples
    --------
    >>> permanent(SessionClosedError("over", reason="ice_failure"))
    False
    >>> permanent(SessionClosedError("over", reason="moderation_violation"))
    True
    """
    if isinstance(error, SessionClosedError):
        return bool(error.reason) and error.reason not in RECOVERABLE
    if isinstance(error, _FINAL):
        return True
    return error.status is None and _says(str(error).lower(), _FINAL_WORDS)


def wait_before(error: DecartSDKError, tries: int, policy: Reconnect) -> float | None:
    """Return the seconds to wait before the next try, or None to give up.

    Parameters
    ----------
    error : DecartSDKError
        Why there is no connection.
    tries : int
        Failed tries since the last connection.
    """
    if tries >= policy.attempts or permanent(error):
        return None
    wait = min(policy.cap_s, policy.base_s * 2.0 ** min(tries, 30))
    if error.retry_after_s is None:
        return wait
    return None if error.retry_after_s > MAX_RETRY_AFTER_S else max(wait, error.retry_after_s)


def _says(text: str, words: Iterable[str]) -> bool:
    return any(word in text for word in words)
