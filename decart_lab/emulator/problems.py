"""Refusals of the realtime sessions, as problem JSON: ``{type, title, detail, status}``.

Everywhere else errors are spelt as :mod:`.answers` spells them (wire contract, section 10,
contradiction 3). The content type is inferred: the signaling document does not state one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..contract.realtime import PROBLEM
from .answers import Refusal

PREFIX: Final = "/v1/realtime/sessions"

TITLES: Final = {
    "bad-request": "Malformed request",
    "invalid-sdp": "Invalid SDP offer",
    "invalid-candidate": "Invalid ICE candidate",
    "unauthorized": "Unauthorized",
    "insufficient-credits": "Insufficient credits",
    "forbidden": "Not allowed",
    "session-not-found": "Session not found",
    "method-not-allowed": "Method not allowed",
    "session-ended": "Session ended",
    "stale-etag": "Precondition failed",
    "content-too-large": "Content too large",
    "unsupported-model": "Unsupported model",
    "invalid-image": "Invalid reference image",
    "moderation-rejected": "Input rejected by moderation",
    "restart-refused": "ICE restart refused",
    "precondition-required": "Precondition required",
    "internal-error": "Internal error",
    "unavailable": "Service unavailable",
}
"""The names that types end with, and their titles. ``invalid-sdp`` and ``moderation-rejected`` are
the vendor's (7.1); the others are made up in their manner."""

_BY_STATUS: Final = {
    400: "bad-request",
    401: "unauthorized",
    402: "insufficient-credits",
    403: "forbidden",
    404: "session-not-found",
    405: "method-not-allowed",
    413: "content-too-large",
    500: "internal-error",
    503: "unavailable",
}


class Problem(Refusal):
    """A refusal of the realtime surface.

    Parameters
    ----------
    status : int
        HTTP status.
    slug : str
        One of ``TITLES``.
    detail : str
        A sentence.
    headers : str
        Further headers, such as ``retry_after="5"``.
    """

    def __init__(self, status: int, slug: str, detail: str, **headers: str) -> None:
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        super().__init__(status, detail, named)
        self.slug = slug
        self.sentence = detail

    @classmethod
    def of(cls, refusal: Refusal) -> Problem:
        """Respell a refusal that another part of the emulator has raised."""
        if isinstance(refusal, Problem):
            return refusal
        said = refusal.detail if isinstance(refusal.detail, str) else "The request is not valid."
        slug = _BY_STATUS.get(refusal.status, "bad-request")
        made = cls(refusal.status, slug, said)
        made.headers |= refusal.headers
        return made

    def as_json(self) -> dict[str, Any]:
        """Return the body, which is also what an ``error`` event says."""
        return {
            "type": PROBLEM + self.slug,
            "title": TITLES[self.slug],
            "detail": self.sentence,
            "status": self.status,
        }

    def answer(self) -> JSONResponse:
        """Return the response."""
        headers = {"Cache-Control": "no-store"} | self.headers
        return JSONResponse(
            self.as_json(), self.status, headers, media_type="application/problem+json"
        )


def in_problems(
    route: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Let a route's refusals, whoever raises them, be answered as problems."""

    @wraps(route)
    async def spelt(request: Request) -> Response:
        try:
            return await route(request)
        except Refusal as refusal:
            return Problem.of(refusal).answer()

    return spelt
