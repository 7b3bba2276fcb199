"""What a status and an error body mean: one table from the wire to the error tree.

Pure: it takes what arrived and returns the exception to raise, which says both the operation and
the cause. Sources: wire contract sections 2.1, 4 to 7 and 10 (contradiction 3: two body formats).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from ..errors import (
    AuthError,
    CreditsError,
    DecartSDKError,
    ModerationError,
    NotFoundError,
    RateLimitError,
    RejectedError,
    ResponseError,
    ServerError,
    combined,
)
from .responses import ErrorBody, parse_error

_CAUSES: Final[dict[int, type[DecartSDKError]]] = {
    401: AuthError,
    402: CreditsError,
    403: AuthError,
    404: NotFoundError,
    408: ServerError,
    410: NotFoundError,
    425: ServerError,
    429: RateLimitError,
}
"""Statuses with a class of their own; other 4xx are RejectedError, 5xx ServerError."""

_HINTS: Final[dict[int, str]] = {
    403: "The key may not do this; a client token mints none, and may be limited to models.",
    404: "Check the id or the model; jobs and files are forgotten after a while.",
    405: "Check that the address is a Decart API.",
    413: "Send a smaller file: crop, resize or trim it first.",
    415: "Send PNG, JPEG or WebP pictures and MP4 clips.",
    501: "This server does not offer the function.",
}
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,200}\Z")


def cause_of(status: int, body: ErrorBody) -> type[DecartSDKError]:
    """Return the class that says why a request failed.

    Examples
    --------
    >>> cause_of(422, ErrorBody("moderation_rejected")).__name__
    'ModerationError'
    >>> cause_of(503, ErrorBody("")).__name__
    'ServerError'
    """
    if status < 400:
        return ResponseError
    if status in (400, 403, 422) and body.moderated:
        return ModerationError
    if status in (402, 403) and body.out_of_credits:
        return CreditsError
    if status >= 500:
        return ServerError
    return _CAUSES.get(status, RejectedError)


_WORDS: Final[dict[str, type[DecartSDKError]]] = {
    "invalid session": NotFoundError,
    "invalid api key": AuthError,
    "unauthorized": AuthError,
    "permission denied": AuthError,
    "not allowed": AuthError,
    "401": AuthError,
}
"""What the official SDKs take for permanent in a message without a status (7.2)."""


def cause_of_words(text: str) -> type[DecartSDKError] | None:
    """Return the class that says why something failed, where there are only words for it.

    Examples
    --------
    >>> cause_of_words("Invalid API key").__name__
    'AuthError'
    >>> cause_of_words("At capacity") is None
    True
    """
    body = ErrorBody(text)
    if body.moderated:
        return ModerationError
    if body.out_of_credits:
        return CreditsError
    low = text.lower()
    return next((cause for words, cause in _WORDS.items() if words in low), None)


def failure(
    operation: type[DecartSDKError],
    what: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    retry_after_s: float | None = None,
    job_id: str | None = None,
    hint: str | None = None,
) -> DecartSDKError:
    """Return the error for an answer whose status is not the one hoped for.

    Parameters
    ----------
    operation : type
        Which call failed, such as QueueSubmitError.
    what : str
        The call as the start of a sentence, such as "Submitting to lucy-2.1".
    status, headers, body
        The answer; header names in lower case, the body bounded by the caller.
    retry_after_s : float, optional
        What Retry-After asked for, in seconds.
    hint : str, optional
        What to do next, where the operation knows better than the status.

    Examples
    --------
    >>> from decart_lab.errors import QueueSubmitError
    >>> error = failure(QueueSubmitError, "Submitting to lucy-2.1", 429, {}, b"slow down")
    >>> print(error)
    Submitting to lucy-2.1 failed with status 429: slow down. Wait, or lower concurrency=.
    """
    parsed = parse_error(body)
    cause = cause_of(status, parsed)
    told = f": {parsed.message.rstrip('.')}" if parsed.message else ""
    data: dict[str, Any] = {"body": parsed.raw, "fields": list(parsed.fields)}
    if 300 <= status < 400:
        told = f": it is redirected to {_host(headers.get('location', ''))}"
        hint = "No redirect is followed with a key; give the final address as base_url=."
    if hint is None and cause not in (ModerationError, CreditsError):
        hint = _HINTS.get(status)
    return combined(operation, cause)(
        f"{what} failed with status {status}{told}.",
        hint=hint,
        status=status,
        data=data,
        retry_after_s=retry_after_s,
        request_id=request_id(headers),
        job_id=job_id,
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the service's own name for the request, if it gave a printable one."""
    value = headers.get("x-request-id", "")
    return value if _REQUEST_ID.match(value) else None


def _host(location: str) -> str:
    """Name only the host of a redirect: the rest may hold anything, secrets included."""
    try:
        host = urlsplit(location).hostname or "the same host"
    except ValueError:
        host = "an unreadable address"
    return "".join(c if c.isprintable() else "?" for c in host)[:100]
