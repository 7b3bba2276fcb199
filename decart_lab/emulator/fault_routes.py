"""``/_emulator/faults``: see, arm and clear faults over HTTP; from this machine only.

A body must say that it is JSON: a web page cannot send that to another origin without asking first.
"""

from __future__ import annotations

import ipaddress
import json
from types import NoneType
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..errors import InvalidInputError
from .answers import Refusal, invalid, row
from .fault_rows import FAULTS
from .faults import Faults, parse
from .services import services
from .token_routes import bounded_body

MAX_BODY: Final = 16_384
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "route": (str, NoneType),
    "model": (str, NoneType),
    "times": (int, NoneType),
    "after": (int,),
    "chance": (int, float),
}


async def look(request: Request) -> Response:
    """Answer with the armed faults, and with all there are."""
    faults = _control(request)
    return JSONResponse(
        {
            "armed": [armed.as_json() for armed in faults],
            "faults": [
                {
                    "name": fault.name,
                    "hook": fault.hook,
                    "says": fault.says,
                    "routes": list(fault.routes),
                    "parameters": dict(fault.parameters),
                }
                for fault in FAULTS.values()
            ],
        }
    )


async def arm(request: Request) -> Response:
    """Arm one fault: ``{"fault": "name:key=value,..."}``, or its name and the options beside it."""
    faults = _control(request)
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise Refusal(415, "Send JSON, and say so in the Content-Type.")
    try:
        asked = json.loads(await bounded_body(request, MAX_BODY))
    except ValueError as error:
        raise invalid(row((), f"JSON decode error: {error}"[:200], "json_invalid")) from error
    if not isinstance(asked, dict) or not isinstance(asked.get("fault"), str):
        raise invalid(row("fault", "Field required", "missing"))
    try:
        number = faults.add(**_options(asked))
    except InvalidInputError as error:
        said = " ".join(filter(None, (error.message, error.hint)))
        raise invalid(row(error.field or "fault", said, "value_error")) from error
    return JSONResponse({"id": number}, 201)


async def clear(request: Request) -> Response:
    """Disarm every fault, or the one whose number the path ends with."""
    faults = _control(request)
    number = request.path_params.get("number")
    if number is None:
        faults.clear()
    elif not faults.remove(number):
        raise Refusal(404, f"No fault of number {number} is armed.")
    return Response(status_code=204)


def _options(asked: dict[str, Any]) -> dict[str, Any]:
    options = parse(asked.pop("fault"))
    parameters = FAULTS[options["name"]].parameters
    for name, value in asked.items():
        kinds = _KINDS.get(name, (str, int, float) if name in parameters else ())
        if type(value) not in kinds:
            raise InvalidInputError(f"{name[:40]!r} cannot be set to that.", field=name[:40])
        if value is not None:
            options[name] = value
    return options


def _control(request: Request) -> Faults:
    """Return the faults for a caller on this machine.

    Raises
    ------
    Refusal
        403 for anybody else.
    """
    client = request.client
    try:
        near = client is not None and ipaddress.ip_address(client.host).is_loopback
    except ValueError:
        near = False
    if not near:
        raise Refusal(403, "Faults are armed from the emulator's own machine only.")
    return services(request).faults


routes = [
    Route("/_emulator/faults", look, methods=["GET"]),
    Route("/_emulator/faults", arm, methods=["POST"]),
    Route("/_emulator/faults", clear, methods=["DELETE"]),
    Route("/_emulator/faults/{number:int}", clear, methods=["DELETE"]),
]
