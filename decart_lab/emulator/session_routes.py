"""``/v1/realtime/sessions``: the HTTP dialect of realtime signaling (wire contract, section 7.1).

What belongs here: paths, headers, status codes and the event stream. What a session does is
:mod:`.session`'s business.

Where the vendor is silent (inferred): 204 for candidates; 403 outside a client token's origins or
models; 402 without credits; 503 with ``Retry-After`` when there are as many sessions as there may
be; 422 for a restart that was not asked for and is not wanted; an event token that is none is 401.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Scope

from ..contract.realtime import EndReason
from .answers import Refusal
from .auth import Caller
from .door import reset
from .event_log import LAST_WORD, last_event_id
from .problems import PREFIX, Problem, in_problems
from .services import Services, services
from .session import Session
from .session_requests import (
    MAX_BODY,
    Order,
    candidates_of,
    change_of,
    model_of,
    offer_of,
    parse_object,
)
from .sessions import negotiated, unknown
from .token_routes import bounded_body

KEEP_ALIVE_S: Final = 10.0
"""Real seconds between comments on a stream that has nothing to tell."""
KEEP_ALIVE: Final = b": still here\n\n"

_TAG: Final = re.compile(r'\s*(?:W/)?("[^"]*"|\*)\s*\Z')


async def create(request: Request) -> Response:
    """Open a session: moderation first, then the offer."""
    parts, caller = _caller(request)
    given = await _body(request)
    model = model_of(given.get("model"))
    admit_model(caller, model.name, model.canonical)
    offer = offer_of(given.get("sdp"))
    shown = {key: value for key, value in given.items() if value is not None}
    change = await change_of(parts.world, shown)
    order = Order(
        model, "http", change, caller.token, str(given.get("speed") or ""), _resolution(given)
    )
    session, answer = await parts.sessions.create(order, offer)
    session.tell_candidates()
    return JSONResponse(
        {
            "session_id": session.id,
            "sdp": _answer(parts, answer),
            "ice_servers": session.ice_servers(),
            "events": _events(parts, session),
            "expires_at": _iso(session.expires_at),
        },
        201,
        {"Location": f"{PREFIX}/{session.id}", "ETag": session.etag, "Cache-Control": "no-store"},
    )


async def read(request: Request) -> Response:
    """Say how a session stands, with its ETag and a fresh event token."""
    parts, session = _session(request)
    return JSONResponse(
        {
            "session_id": session.id,
            "status": session.state,
            "model": session.order.model.name,
            "seconds": session.seconds,
            "ice_servers": session.ice_servers(),
            "events": _events(parts, session),
            "expires_at": _iso(session.expires_at),
        },
        headers={"ETag": session.etag, "Cache-Control": "no-store"},
    )


async def negotiate(request: Request) -> Response:
    """Take candidates, or another offer; in sequence, as the ETag says."""
    parts, session = _session(request)
    _in_sequence(request, session)
    given = await _body(request)
    # Another one may have been first while this body was on its way.
    parts, session = _session(request)
    if "sdp" in given:
        offer = offer_of(given["sdp"])
        _take_turn(request, session)
        answer = await negotiated(session, offer)
        session.tell_candidates()
        return JSONResponse(
            {
                "session_id": session.id,
                "sdp": _answer(parts, answer),
                "ice_servers": session.ice_servers(),
            },
            headers={"ETag": session.etag},
        )
    candidates = candidates_of(given.get("candidates"))
    _take_turn(request, session)
    await session.add_candidates(candidates)
    return Response(status_code=204, headers={"ETag": session.etag})


async def prompt(request: Request) -> Response:
    """Change the words; answers with the words as they were given."""
    parts, session = _session(request)
    given = await _body(request)
    if not isinstance(given.get("prompt"), str):
        raise Problem(400, "bad-request", "Give prompt, a text.")
    words = ("prompt", "enhance_prompt")
    wanted: dict[str, Any] = {key: given[key] for key in words if key in given}
    await session.change(await change_of(parts.world, wanted))
    return JSONResponse({"prompt": given["prompt"]})


async def image(request: Request) -> Response:
    """Change the reference image, and the words if there are any."""
    parts, session = _session(request)
    given = await _body(request)
    if "image_data" not in given and "image_ref" not in given:
        raise Problem(400, "bad-request", "Give image_data, a picture in base64, or null for none.")
    await session.change(await change_of(parts.world, given))
    return JSONResponse({"prompt": given.get("prompt")})


async def end(request: Request) -> Response:
    """End the session, and answer with what is billed."""
    _, session = _session(request)
    return JSONResponse(session.end(EndReason.DISCONNECT))


async def events(request: Request) -> Response:
    """Stream what the session tells, from where the client left off."""
    parts = services(request)
    session = parts.sessions.all.get(request.path_params["session"])
    if session is None:
        raise unknown()
    if not parts.sessions.admits(session, request.query_params.get("event_token", "")):
        raise Problem(401, "unauthorized", "The event token is not one of this session.")
    if session.log.closed:
        raise Problem(410, "session-ended", f"The session has ended: {session.reason}.")
    after = last_event_id(request.headers.get("last-event-id"))
    return StreamingResponse(
        _stream(parts, request.scope, session, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _stream(
    parts: Services, scope: Scope, session: Session, after: int
) -> AsyncIterator[bytes]:
    cuts = session.log.cuts
    while True:
        told = await session.log.wait(after, KEEP_ALIVE_S)
        if session.log.cuts != cuts:
            if (transport := parts.door.transport(scope)) is not None:
                reset(transport)
            return
        for event in told:
            yield event.as_sse()
            after = event.id
        if not told:
            if session.log.closed:
                return
            yield KEEP_ALIVE
        elif session.log.closed and not session.log.after(after):
            yield LAST_WORD
            return


def _caller(request: Request, running: Session | None = None) -> tuple[Services, Caller]:
    parts = services(request)
    token = running.order.token if running is not None else None
    caller = parts.gatekeeper.admit(request.headers, running=token)
    admit_origin(caller, request.headers.get("origin"))
    return parts, caller


def _session(request: Request) -> tuple[Services, Session]:
    name = request.path_params["session"]
    parts, caller = _caller(request, services(request).sessions.all.get(name))
    return parts, parts.sessions.find(name, caller)


def admit_origin(caller: Caller, origin: str | None) -> None:
    """Refuse a page of an origin that the client token is not for; 403.

    A caller that is no browser sends no Origin, and is let in (seeds: the changelog of May 2026).
    """
    origins = caller.token.origins if caller.token is not None else None
    if origins and origin is not None and origin not in origins:
        raise Problem(403, "forbidden", "The client token is not for pages of this origin.")


def admit_model(caller: Caller, *names: str) -> None:
    """Refuse a model that the client token is not for; 403."""
    if caller.token is not None and not caller.token.allows_model(*names):
        raise Problem(403, "forbidden", f"The client token does not allow model {names[0]!r}.")


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = await bounded_body(request, MAX_BODY)
    except Refusal as refusal:
        raise Problem(413, "content-too-large", str(refusal.detail)) from refusal
    return parse_object(body)


def _in_sequence(request: Request, session: Session) -> bool:
    """Refuse a PATCH without an ETag, or with a stale one; return whether it has a wildcard."""
    given = request.headers.get("if-match")
    if given is None:
        raise Problem(428, "precondition-required", "A PATCH needs If-Match with the current ETag.")
    match = _TAG.match(given)
    tag = match.group(1) if match is not None else given.strip()
    if tag in ("*", '"*"'):  # the samples write both (section 10, 7)
        return True
    if tag != session.etag:
        raise Problem(412, "stale-etag", "Another ICE operation came first; GET the current ETag.")
    return False


def _take_turn(request: Request, session: Session) -> None:
    """Check the ETag once more, with nothing in between, and make it a stale one."""
    wildcard = _in_sequence(request, session)
    if session.stale_patches > 0 and not wildcard:
        session.stale_patches -= 1
        session.rotate()  # somebody else, who does not exist, was first
    _in_sequence(request, session)
    session.rotate()


def _answer(parts: Services, sdp: str) -> dict[str, str]:
    if parts.settings.server_candidates == "events":
        lines = sdp.splitlines(keepends=True)
        told = ("a=candidate:", "a=end-of-candidates")
        sdp = "".join(line for line in lines if not line.startswith(told))
    return {"type": "answer", "sdp": sdp}


def _events(parts: Services, session: Session) -> dict[str, str]:
    token = parts.sessions.event_token(session)
    return {"event_token": token, "expires_at": _iso(session.expires_at)}


def _resolution(given: Mapping[str, Any]) -> str:
    value = given.get("resolution")
    return value if value in ("720p", "1080p") else ""


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_ONE: Final = PREFIX + "/{session}"

routes = [
    Route(path, in_problems(route), methods=[method])
    for path, method, route in (
        (PREFIX, "POST", create),
        (_ONE, "GET", read),
        (_ONE, "PATCH", negotiate),
        (_ONE, "DELETE", end),
        (f"{_ONE}/events", "GET", events),
        (f"{_ONE}/prompt", "POST", prompt),
        (f"{_ONE}/image", "POST", image),
    )
]
