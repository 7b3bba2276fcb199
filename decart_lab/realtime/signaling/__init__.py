"""How a session is agreed with the service: one protocol, one file for each dialect."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..._caller import Caller
from ..._clock import Clock, RealClock
from ..._http import Http
from ...config import Secret
from ...contract.models import ModelSpec
from ...contract.realtime import Dialect
from .base import Signaling
from .patience import Patience


@dataclass(frozen=True)
class Service:
    """Where a session is signaled, and what for."""

    caller: Caller
    realtime_base_url: str
    key: Secret | None
    user_agent: str
    model: ModelSpec
    resolution: str | None
    speed: str | None
    patience: Patience | None


def _over_http(to: Service) -> Signaling:
    from .http import HttpSignaling

    return HttpSignaling(
        to.caller,
        to.model.name,
        key=to.key,
        user_agent=to.user_agent,
        patience=to.patience,
        resolution=to.resolution,
        speed=to.speed,
    )


def _over_websocket(to: Service) -> Signaling:
    from .address import stream_address
    from .websocket import WebSocketSignaling

    address, host = stream_address(
        to.realtime_base_url,
        to.key,
        to.model.url_path,
        model=to.model.name,
        resolution=to.resolution,
        speed=to.speed,
        user_agent=to.user_agent,
    )
    return WebSocketSignaling(address, host, logger=to.caller.logger, patience=to.patience)


DIALECTS: Final[dict[Dialect, Callable[[Service], Signaling]]] = {
    "http": _over_http,
    "websocket": _over_websocket,
}


def open_signaling(
    dialect: Dialect,
    *,
    http: Http,
    realtime_base_url: str,
    key: Secret | None,
    user_agent: str,
    model: ModelSpec,
    resolution: str | None = None,
    speed: str | None = None,
    clock: Clock | None = None,
    patience: Patience | None = None,
    dice: random.Random | None = None,
) -> Signaling:
    """Return the signaling of a session that is not open yet.

    Parameters
    ----------
    dialect : {"http", "websocket"}
        How to talk to the service.
    http : Http
        For the HTTP dialect: the service, or a proxy that holds the key.
    realtime_base_url : str
        For the WebSocket dialect; ws, wss, http or https.
    key : Secret or None
        For the WebSocket dialect, and for whoever ends an HTTP session from outside.
    user_agent : str
        Who we are.
    model : ModelSpec
        What is to run.
    resolution, speed : str, optional
        As the model offers them.
    patience : Patience, optional
        How long each step may take.

    Raises
    ------
    InvalidAPIKeyError
        The WebSocket dialect without a key.
    InvalidBaseURLError
        The key would travel in clear to another machine.
    """
    caller = Caller(http, clock=clock or RealClock(), logger=http.logger, dice=dice)
    to = Service(caller, realtime_base_url, key, user_agent, model, resolution, speed, patience)
    return DIALECTS[dialect](to)


def open_viewer(
    token: str,
    *,
    http: Http,
    realtime_base_url: str,
    key: Secret | None,
    user_agent: str,
    clock: Clock | None = None,  # noqa: ARG001 - as for a session; this dialect waits by the loop
    patience: Patience | None = None,
) -> Signaling:
    """Return the signaling of a viewer, who sees a session of the WebSocket dialect.

    Parameters
    ----------
    token : str
        The session's ``subscribe_token``.

    Raises
    ------
    InvalidInputError
        The token is none.
    InvalidAPIKeyError, InvalidBaseURLError
        As for :func:`open_signaling`.
    """
    from .address import stream_address
    from .subscription import read_token
    from .websocket import WebSocketSignaling

    seen = read_token(token)
    address, host = stream_address(
        realtime_base_url,
        key,
        f"/subscribe/{seen.session_id}",
        IP=seen.server_ip,
        port=str(seen.server_port),
        user_agent=user_agent,
    )
    return WebSocketSignaling(address, host, logger=http.logger, viewer=True, patience=patience)
