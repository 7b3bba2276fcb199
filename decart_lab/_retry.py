"""What may be repeated, when, and for how long.

Pure decisions, and one loop that carries them out with a clock and dice passed in. A request that
costs money is repeated only when the service cannot have taken it: the API has no idempotency key.
The ``stamina`` library is not used for this: it decides by exception and keeps its own time, and
here the decision hangs on evidence (``sent``), on Retry-After and on the call's own deadline.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

from ._clock import Clock
from .errors import DeadlineError, DecartSDKError, NetworkError

T = TypeVar("T")

MAX_RETRY_AFTER_S: Final = 900.0
"""Longer waits than this are the caller's to decide."""

AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same reading request may well be answered."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how patiently.

    Attributes
    ----------
    attempts : int
        Tries in all, the first included.
    base_s, cap_s : float
        The n-th wait is drawn between 0 and ``min(cap_s, base_s * 2**n)`` seconds (full jitter).
    """

    attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 8.0


NEVER: Final = Policy(attempts=1)


def parse_retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Return the seconds a ``Retry-After`` asks for; None when it says nothing sensible.

    Parameters
    ----------
    value : str or None
        Seconds, or an HTTP date.
    date : str or None
        The answer's own ``Date``: a date is measured against the server's clock, not ours.
    now : datetime
        Our time, for answers without a ``Date``.

    Examples
    --------
    >>> parse_retry_after("120", None, datetime.now(UTC))
    120.0
    >>> parse_retry_after("Wed, 01 Jan 2025 00:00:30 GMT", "Wed, 01 Jan 2025 00:00:00 GMT",
    ...                   datetime.now(UTC))
    30.0
    >>> parse_retry_after("soon", None, datetime.now(UTC)) is None
    True
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    then = _date(text)
    if then is None:
        return None
    return max(0.0, (then - ((_date(date) if date else None) or now)).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return then if then.tzinfo is not None else then.replace(tzinfo=UTC)


def may_repeat(error: DecartSDKError, *, once: bool) -> bool:
    """Return whether the request that ended so may be sent again.

    One that must not be carried out twice (``once``) only when it provably did not arrive whole
    and no answer began, or when the service says that it did not take it: 429, or 503 with a
    Retry-After.

    Examples
    --------
    >>> may_repeat(NetworkError("lost", sent="all"), once=True)
    False
    >>> may_repeat(NetworkError("lost", sent="partial"), once=True)
    True
    >>> may_repeat(NetworkError("lost", sent="all", response_started=True), once=False)
    True
    """
    if isinstance(error, NetworkError):
        if isinstance(error, DeadlineError):
            return False
        return not once or (error.sent != "all" and not error.response_started)
    if once:
        return error.status == 429 or (error.status == 503 and error.retry_after_s is not None)
    return error.status in AGAIN


def wait_s(
    error: DecartSDKError, tries: int, policy: Policy, *, once: bool, dice: random.Random
) -> float | None:
    """Return how long to wait before the next try, or None to give up.

    Parameters
    ----------
    error : DecartSDKError
        How the last try ended.
    tries : int
        Tries made so far.
    """
    if tries >= policy.attempts or not may_repeat(error, once=once):
        return None
    jitter = dice.uniform(0.0, min(policy.cap_s, policy.base_s * 2.0 ** min(tries - 1, 30)))
    if error.retry_after_s is None:
        return jitter
    if error.retry_after_s > MAX_RETRY_AFTER_S:
        return None
    # A little more than asked, so that clients told the same second do not come at once.
    return error.retry_after_s + jitter * 0.1


async def repeat(
    attempt: Callable[[float], Awaitable[T]],
    *,
    policy: Policy,
    once: bool,
    total_s: float,
    clock: Clock,
    dice: random.Random,
    on_retry: Callable[[DecartSDKError, float], None] | None = None,
) -> T:
    """Make a call until it succeeds, may not be repeated, or its time is up.

    Parameters
    ----------
    attempt : callable
        Makes one try; takes the seconds that remain of ``total_s``.
    on_retry : callable, optional
        Told the error and the wait before each repetition.

    Raises
    ------
    DecartSDKError
        The last try's error.
    """
    started = clock.now()
    tries = 0
    while True:
        try:
            return await attempt(max(0.0, total_s - (clock.now() - started)))
        except DecartSDKError as error:
            tries += 1
            wait = wait_s(error, tries, policy, once=once, dice=dice)
            if wait is None or clock.now() - started + wait >= total_s:
                raise
            if on_retry is not None:
                on_retry(error, wait)
        await clock.sleep(wait)
