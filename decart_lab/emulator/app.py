"""The emulator as one ASGI application: routes behind the gate and the rules for browsers."""

from __future__ import annotations

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import (
    fault_routes,
    file_routes,
    generation_routes,
    other_routes,
    session_routes,
    stream_routes,
    token_routes,
)
from .answers import Refusal
from .fault_layer import FaultLayer
from .gate import MARK, Gate
from .problems import PREFIX, Problem
from .services import LOOPBACK_ORIGIN, Services

ROUTES: Final = [
    *generation_routes.routes,
    *token_routes.routes,
    *file_routes.routes,
    *other_routes.routes,
    *session_routes.routes,
    *stream_routes.routes,
    *fault_routes.routes,
]


def make_app(parts: Services, *, host: str) -> Starlette:
    """Assemble the application.

    Parameters
    ----------
    parts : Services
        The emulator's parts.
    host : str
        The address the server is bound to, for the Host check.
    """
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(parts.settings.allow_origins),
        allow_origin_regex=LOOPBACK_ORIGIN.pattern,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["x-api-key", "If-Match", "Last-Event-ID", "Content-Type"],
        expose_headers=["ETag", "Location", "Retry-After", MARK],
    )
    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Gate, host=host), Middleware(FaultLayer, parts=parts), cors],
        exception_handlers={Refusal: _refuse, HTTPException: _http_error},
    )
    app.router.redirect_slashes = False
    app.state.services = parts
    return app


async def _refuse(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refusal)
    return exc.answer()


async def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if request.url.path.startswith(PREFIX):
        refusal = Refusal(exc.status_code, exc.detail, exc.headers)
        return Problem.of(refusal).answer()
    return JSONResponse({"detail": exc.detail}, exc.status_code, exc.headers)
