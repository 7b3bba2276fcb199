"""Who a request, a point and a run are: keys made from content, never from names or order.

Two requests that would send the same things to the same service have one key, wherever the files
lie and however the sweep spelt them. These definitions are forever: a golden test holds them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

SWEEP_DIGITS: Final = 8
"""So many digits of its sweep's id are part of a run's name; the whole is compared as well."""

_CANONICAL: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, no escapes beyond JSON's own.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": "é"})
    '{"a":"é","b":1}'
    """
    return _CANONICAL.encode(value)


def request_key(
    service: str, model: str, fields: Mapping[str, str], inputs: Mapping[str, str]
) -> str:
    """Return the identity of one paid request.

    Parameters
    ----------
    service : str
        "decart" for the hosted API and any proxy to it, "emulator", else the normalised origin.
    model : str
        Canonical model id.
    fields : mapping of str to str
        Every form field sent besides files, in wire form.
    inputs : mapping of str to str
        File field to the SHA-256 of its bytes, in hex.

    Returns
    -------
    str
        64 hex digits.
    """
    parts = {
        "service": service,
        "model": model,
        "fields": dict(fields),
        "inputs": dict(inputs),
    }
    return _sha256(canonical_json(parts))


def point_id(key: str, replicate: int, twin: int = 0) -> str:
    """Return the identity of a point: 16 hex digits from its request and which buy of it this is.

    Parameters
    ----------
    key : str
        The request's key.
    replicate : int
        Which of the repeated buys.
    twin : int, default 0
        Counts the points before it in the sweep with the same key and replicate: such points are
        one buy shown several times, and still need rows of their own.
    """
    name = f"{key}:{replicate}" if twin == 0 else f"{key}:{replicate}:{twin}"
    return _sha256(name)[:16]


def sweep_id(service: str, point_ids: Iterable[str]) -> str:
    """Return the identity of a sweep: the same points at the same service, in whatever order.

    Examples
    --------
    >>> sweep_id("emulator", ["b", "a"]) == sweep_id("emulator", ["a", "b"])
    True
    """
    return _sha256(canonical_json({"service": service, "points": sorted(point_ids)}))


def new_run_id(now: datetime, sweep: str = "") -> str:
    """Return a name for a run that sorts by time and does not repeat.

    Parameters
    ----------
    now : datetime
        UTC.
    sweep : str, optional
        The sweep's id; its first digits become part of the name, by which runs of an equal sweep
        are found without opening every one.
    """
    digits = f"-{sweep[:SWEEP_DIGITS]}" if sweep else ""
    return f"{now:%Y%m%d-%H%M%S}{digits}-{secrets.token_hex(3)}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
