"""The rest of the surface: model names, quota, what is not served, health, and the ledger."""

from __future__ import annotations

import json
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .. import config
from ..contract.models import find
from .answers import Refusal, invalid, row
from .services import services
from .token_routes import bounded_body

MAX_NAMES: Final = 100


async def resolve_models(request: Request) -> Response:
    """Say which model a name stands for, or each of several names."""
    services(request).gatekeeper.admit(request.headers)
    try:
        asked = json.loads(await bounded_body(request, 65_536))
    except ValueError as error:
        raise invalid(row((), f"JSON decode error: {error}"[:200], "json_invalid")) from error
    if not isinstance(asked, dict):
        raise invalid(row((), "Input should be a valid dictionary", "model_attributes_type"))
    one, several = asked.get("model"), asked.get("models")
    if isinstance(one, str):
        return JSONResponse({"model_id": _resolve(one)})
    if isinstance(several, list) and all(isinstance(name, str) for name in several[:MAX_NAMES]):
        if len(several) > MAX_NAMES:
            raise invalid(row("models", f"More than {MAX_NAMES} names", "too_long"))
        return JSONResponse({"model_ids": {name: _resolve(name) for name in several}})
    raise invalid(row("model", "Give model, a string, or models, a list of strings", "missing"))


def _resolve(name: str) -> str:
    model = find(name, "image", "video", "realtime")
    if model is None:
        raise Refusal(404, f"Model {name[:100]!r} not found.")
    if model.status == "retired":
        raise Refusal(410, f"Model {name!r} is retired. Use {model.successor!r} instead.")
    return model.canonical


async def quota(request: Request) -> Response:
    """Say how many realtime sessions there may be, and are."""
    parts = services(request)
    parts.gatekeeper.admit(request.headers)
    limit, active = parts.settings.session_limit, parts.sessions.active
    remaining = None if limit is None else max(0, limit - active)
    return JSONResponse({"limit": limit, "active": active, "remaining": remaining})


async def verify(request: Request) -> Response:
    """Watermark detection: 501, as the service answers where none is configured."""
    services(request).gatekeeper.admit(request.headers)
    raise Refusal(501, "Watermark verification is not configured on the emulator.")


async def watch_stream(request: Request) -> Response:
    """Refuse to let viewers in: that takes a LiveKit server, which the emulator is not."""
    services(request).gatekeeper.admit(request.headers)
    raise Refusal(501, "LiveKit rooms are not served by the emulator.")


async def health(request: Request) -> Response:
    """Say what this is; asked before anything else, and without a key."""
    speed = services(request).settings.speed
    return JSONResponse({"service": "emulator", "version": config.version(), "speed": speed})


async def ledger(request: Request) -> Response:
    """Answer with every paid request."""
    return JSONResponse(services(request).world.ledger.as_json())


routes = [
    Route("/v1/models/resolve", resolve_models, methods=["POST"]),
    Route("/v1/realtime/quota", quota, methods=["GET"]),
    Route("/v1/verify", verify, methods=["POST"]),
    Route("/watch-stream/{room}", watch_stream, methods=["POST"]),
    Route("/health", health, methods=["GET"]),
    Route("/_emulator/ledger", ledger, methods=["GET"]),
]
