"""``tokens``: short-lived client tokens (wire contract, section 6)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from .._caller import Caller, nonsense, parse_json
from .._wire import BytesBody, Call
from ..contract.models import ModelSpec
from ..contract.responses import ClientToken, ClientTokenAnswer
from ..errors import DecartSDKError, InvalidInputError, TokenCreateError

MAX_EXPIRES_S: Final = 3600
MAX_LISTED: Final = 20
MIN_SESSION_S: Final = 10


class Tokens:
    """Mints client tokens. Reached as ``client.tokens``."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def create(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        expires_in: int | None = None,
        allowed_models: Sequence[ModelSpec | str] | None = None,
        allowed_origins: Sequence[str] | None = None,
        constraints: Mapping[str, Any] | None = None,
    ) -> ClientToken:
        """Mint a token that is safe to hand to a browser.

        Parameters
        ----------
        metadata : mapping, optional
            Your own words, kept with the token; no secrets.
        expires_in : int, optional
            Seconds, 1 to 3600; the service's default is 60. Running sessions outlive it.
        allowed_models : sequence, optional
            At most 20 model ids.
        allowed_origins : sequence of str, optional
            At most 20 origins with scheme, such as ``https://example.com``; realtime only.
        constraints : mapping, optional
            ``{"realtime": {"maxSessionDuration": seconds}}``, at least 10.

        Returns
        -------
        ClientToken
            ``.api_key`` for REST calls, ``.token`` for realtime; neither shows in a repr.

        Raises
        ------
        InvalidInputError
            Before any request, naming the field and the fix.
        TokenCreateError
            Also of a cause class; with AuthError when the key is itself a client token.
        """
        request = _request(metadata, expires_in, allowed_models, allowed_origins, constraints)
        what = "Creating a client token"
        call = Call(
            "POST",
            "/v1/client/tokens",
            "/v1/client/tokens",
            self._caller.http.timeouts.call_s,
            body=BytesBody(json.dumps(request, separators=(",", ":")).encode()),
        )
        answer = await self._caller.call(TokenCreateError, what, call)

        def refuse(why: str) -> DecartSDKError:
            return nonsense(TokenCreateError, what, answer.head, why)

        wire = parse_json(answer, ClientTokenAnswer, refuse)
        return ClientToken(
            api_key=wire.api_key,
            token=wire.token,
            expires_at=wire.expires_at,
            permissions=wire.permissions,
            constraints=wire.constraints,
        )

    def __repr__(self) -> str:
        return "<tokens: create>"


def _request(
    metadata: Mapping[str, Any] | None,
    expires_in: int | None,
    allowed_models: Sequence[ModelSpec | str] | None,
    allowed_origins: Sequence[str] | None,
    constraints: Mapping[str, Any] | None,
) -> dict[str, Any]:
    request: dict[str, Any] = {}
    if expires_in is not None:
        _check(_whole(expires_in) and 1 <= expires_in <= MAX_EXPIRES_S, "expires_in", "1 to 3600 s")
        request["expiresIn"] = expires_in
    if allowed_models is not None:
        names = [m.name if isinstance(m, ModelSpec) else m for m in _listed(allowed_models)]
        good = len(names) <= MAX_LISTED and all(isinstance(n, str) and n for n in names)
        _check(good, "allowed_models", f"a list of at most {MAX_LISTED} model ids")
        request["allowedModels"] = names
    if allowed_origins is not None:
        origins = _listed(allowed_origins)
        good = len(origins) <= MAX_LISTED and all(_is_origin(o) for o in origins)
        _check(
            good,
            "allowed_origins",
            f"a list of at most {MAX_LISTED} origins such as https://example.com, without a path",
        )
        request["allowedOrigins"] = origins
    if constraints is not None:
        _check(_constraints_hold(constraints), "constraints", _CONSTRAINTS)
        request["constraints"] = constraints
    if metadata is not None:
        _check(isinstance(metadata, Mapping), "metadata", "a mapping of JSON values")
        try:
            request["metadata"] = json.loads(json.dumps(dict(metadata), allow_nan=False))
        except (TypeError, ValueError):
            _check(False, "metadata", "a mapping of JSON values")
    return request


_CONSTRAINTS: Final = (
    f'{{"realtime": {{"maxSessionDuration": seconds}}}} with at least {MIN_SESSION_S} seconds'
)


def _check(good: bool, field: str, rule: str) -> None:
    if not good:
        raise InvalidInputError(f"{field} is not valid.", field=field, hint=f"It must be {rule}.")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(value: Sequence[Any]) -> list[Any]:
    # A string is a sequence too, and never what was meant.
    return [None] if isinstance(value, (str, bytes)) else list(value)


def _is_origin(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    rest = (parts.path, parts.query, parts.fragment, parts.username)
    return bool(parts.scheme and parts.hostname) and not any(rest) and port != 0


def _constraints_hold(value: object) -> bool:
    if not isinstance(value, Mapping) or set(value) - {"realtime"}:
        return False
    realtime = value.get("realtime", {})
    if not isinstance(realtime, Mapping) or set(realtime) - {"maxSessionDuration"}:
        return False
    seconds = realtime.get("maxSessionDuration")
    return seconds is None or (_whole(seconds) and seconds >= MIN_SESSION_S)
