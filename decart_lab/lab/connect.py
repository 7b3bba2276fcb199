"""connect(): decide where to, say so in one line, and return a Lab.

What belongs here: the order in which keys and addresses are looked for, and telling an emulator
from another server. Without a key and an address, the embedded emulator is started.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener
from weakref import WeakSet

from .. import config
from ..api.client import DecartClient
from ..errors import DecartSDKError, InvalidInputError
from .child import embedded
from .lab import Lab

ANY_KEY: Final = "emulator"
"""Emulators take any key; this one says that it is none."""

HEALTH_S: Final = 3.0

_current: Lab | None = None
_open: WeakSet[Lab] = WeakSet()


def connect(
    target: str | None = None,
    *,
    api_key: str | config.Secret | None = None,
    proxy: str | None = None,
    speed: float | None = None,
    integration: str | None = None,
    logger: Any = None,
    allow_private_urls: bool = False,
) -> Lab:
    """Connect to Decart, and say where in one line.

    Parameters
    ----------
    target : str, optional
        "emulator" for the embedded emulator, or the http(s) address of a proxy or an emulator. By
        default the hosted API when there is a key, else the address in ``DECART_LAB_URL``, else
        the embedded emulator.
    api_key : str or Secret, optional
        Else ``DECART_API_KEY``, which is sent to the hosted API and nowhere else.
    proxy : str, optional
        Address of a server that holds the key; then none is sent.
    speed : float, optional
        How many times as fast as life the embedded emulator goes; 1 by default.
    integration, logger, allow_private_urls
        As for :class:`decart_lab.DecartClient`.

    Returns
    -------
    Lab
        Connected; with the emulator every result is simulated and says so.

    Raises
    ------
    InvalidInputError
        The arguments contradict each other.
    InvalidBaseURLError, InvalidAPIKeyError
        The address or the key cannot be used.
    EmulatorError
        The embedded emulator did not start.
    """
    global _current
    options = {
        "integration": integration,
        "logger": logger,
        "allow_private_urls": allow_private_urls,
    }
    _check(target, api_key, proxy, speed)
    key = config.resolve_api_key(api_key)
    lab_url = os.environ.get(config.ENV_URL, "").strip()
    why = ""
    if proxy is None and target is None and key is None:
        target = lab_url or "emulator"
        why = f"No {config.ENV_API_KEY}: "
    if proxy is not None:
        lab, said = _through(DecartClient(proxy=proxy, **options), "the proxy at", options)
    elif target == "emulator":
        child = embedded(config.runs_root(), 1.0 if speed is None else speed)
        lab = _lab(_client(child.url, api_key or ANY_KEY, options), "emulator", options, False)
        said = f"the embedded emulator at {child.url}; results are simulated"
    elif target is None or _is_hosted(target):
        lab = _lab(DecartClient(key, **options), "decart", options)
        said = f"{lab.url} with your API key; what you run is billed"
    elif api_key is not None:
        lab, said = _through(_client(target, api_key, options), "", options, key=True)
    elif _is_emulator(config.check_url(target, field="target")):
        lab = _lab(_client(target, ANY_KEY, options), "emulator", options, False)
        said = f"the emulator at {lab.url}; results are simulated"
    else:
        client = DecartClient(proxy=target, realtime_base_url=target, **options)
        lab, said = _through(client, "", options)
        said += ", without a key"
    print(f"{why}{'c' if why else 'C'}onnected to {said}.")
    _current = lab
    _open.add(lab)
    return lab


def last_lab() -> Lab | None:
    """Return the Lab that this kernel connected last, unless it was closed."""
    return None if _current is None or _current.closed else _current


def current_lab() -> Lab:
    """Return the Lab that this kernel connected last, else a new one."""
    return last_lab() or connect()


def _check(target: str | None, api_key: object, proxy: str | None, speed: float | None) -> None:
    if proxy is not None and (target is not None or api_key is not None):
        other = "target" if target is not None else "api_key"
        raise InvalidInputError(
            f"proxy and {other} are both given.",
            field="proxy",
            hint="A proxy holds the key itself: give proxy= alone.",
        )
    if speed is not None and target != "emulator":
        raise InvalidInputError(
            "speed is for the embedded emulator only.",
            field="speed",
            hint='Call connect("emulator", speed=10).',
        )
    if speed is not None and not speed > 0:
        raise InvalidInputError(f"speed must be greater than 0, not {speed!r}.", field="speed")
    if target is not None and target != "emulator" and "://" not in str(target):
        raise InvalidInputError(
            f"connect() does not know {str(target)[:80]!r}.",
            field="target",
            hint='Give "emulator", or an address such as http://127.0.0.1:8765.',
        )


def _client(url: str, key: str | config.Secret, options: dict[str, Any]) -> DecartClient:
    return DecartClient(key, base_url=url, realtime_base_url=url, **options)


def _lab(client: DecartClient, service: str, options: dict[str, Any], has_key: bool = True) -> Lab:
    return Lab(
        client,
        service=service,
        has_key=has_key,
        allow_private_urls=options["allow_private_urls"],
    )


def _through(
    client: DecartClient, what: str, options: dict[str, Any], *, key: bool = False
) -> tuple[Lab, str]:
    """Connect to a server that may be anything, after asking it what it is."""
    simulated = _is_emulator(client.base_url)
    parts = urlsplit(client.base_url)
    origin = f"{parts.scheme}://{parts.netloc.lower()}"
    # A proxy stands for the service behind it; a server that takes our key is one by itself.
    service = "emulator" if simulated else (origin if key else "decart")
    said = f"{what} {client.base_url}".strip()
    return (
        _lab(client, service, options, key),
        f"{said}; results are simulated" if simulated else said,
    )


def _is_hosted(url: str) -> bool:
    return urlsplit(url).netloc.lower() == urlsplit(config.DEFAULT_BASE_URL).netloc


def _is_emulator(url: str) -> bool:
    """Return whether a server says of itself that it is an emulator; no key is sent."""
    opener = build_opener(ProxyHandler({}), _NoRedirects())
    request = Request(f"{url.rstrip('/')}/health", headers={"Accept": "application/json"})  # noqa: S310 (http or https, checked)
    try:
        with opener.open(request, timeout=HEALTH_S) as answer:
            said = json.loads(answer.read(65_536))
    except (URLError, OSError, ValueError):
        return False
    return isinstance(said, dict) and said.get("service") == "emulator"


def _close_all() -> None:
    for lab in list(_open):
        with contextlib.suppress(DecartSDKError):
            lab.close()


# Registered after the engine's own handler, so it runs before the engine is closed.
atexit.register(_close_all)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None
