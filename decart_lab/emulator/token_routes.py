"""``POST /v1/client/tokens`` and the JWKS that its tokens verify against (contract section 6)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .answers import Refusal, invalid, pydantic_rows, row
from .records import TokenRecord
from .services import services

MAX_BODY: Final = 65_536
DEFAULT_LIFE_S: Final = 60

_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
# A full origin: scheme, host, perhaps a port; no path.
_Origin = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*://[^/?#@\s]+$", max_length=300)
]


class _RealtimeConstraints(BaseModel):
    maxSessionDuration: Annotated[int, Field(ge=10)] | None = None  # noqa: N815 - wire name


class _Constraints(BaseModel):
    realtime: _RealtimeConstraints | None = None


class TokenRequest(BaseModel):
    """What may be asked of a client token, by its wire names."""

    expiresIn: Annotated[int, Field(ge=1, le=3600)] | None = None  # noqa: N815
    allowedModels: Annotated[list[_Name], Field(max_length=20)] | None = None  # noqa: N815
    allowedOrigins: Annotated[list[_Origin], Field(max_length=20)] | None = None  # noqa: N815
    constraints: _Constraints | None = None
    metadata: dict[str, Any] | None = None


async def create_token(request: Request) -> Response:
    """Mint a client token: an opaque ``ek_`` key and its signed twin."""
    parts = services(request)
    parts.gatekeeper.admit_account(request.headers)
    asked = _parse(await bounded_body(request, MAX_BODY))
    now = parts.clock.utc()
    opaque = f"ek_{secrets.token_urlsafe(32)}"
    constraints = asked.constraints and asked.constraints.model_dump(exclude_none=True)
    token = TokenRecord(
        id=f"ct_{secrets.token_hex(8)}",
        key_hash=parts.keyring.hash(opaque),
        created_at=now,
        expires_at=now + timedelta(seconds=asked.expiresIn or DEFAULT_LIFE_S),
        models=asked.allowedModels or None,
        origins=asked.allowedOrigins or None,
        constraints=constraints or None,
    )
    await asyncio.wrap_future(parts.world.save_token(token))
    permissions = {"models": token.models, "origins": token.origins}
    permissions = {name: value for name, value in permissions.items() if value is not None}
    return JSONResponse(
        {
            "apiKey": opaque,
            "token": parts.keyring.sign(token, _parent(parts.keyring.kid), asked.metadata),
            "expiresAt": token.expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "permissions": permissions or None,
            "constraints": token.constraints,
        },
        headers={"Cache-Control": "no-store"},
    )


def _parent(kid: str) -> str:
    # All keys are of one account here, and nothing derived from a key goes into a token.
    return "key_" + hashlib.sha256(kid.encode()).hexdigest()[:12]


def _parse(body: bytes) -> TokenRequest:
    try:
        given = json.loads(body) if body.strip() else None
    except ValueError as error:
        raise invalid(row((), f"JSON decode error: {error}"[:200], "json_invalid")) from error
    try:
        return TokenRequest.model_validate({} if given is None else given)
    except ValidationError as error:
        raise invalid(*pydantic_rows(error.errors())) from error


async def bounded_body(request: Request, limit: int) -> bytes:
    """Return a small body; 413 for one that is not."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refusal(413, f"The request is larger than {limit:,} bytes.")
    return bytes(body)


async def jwks(request: Request) -> Response:
    """Serve the public key, which needs no key."""
    return JSONResponse(services(request).keyring.jwks())


routes = [
    Route("/v1/client/tokens", create_token, methods=["POST"]),
    Route("/api/auth/jwks", jwks, methods=["GET"]),
]
