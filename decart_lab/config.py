"""Where settings come from: argument, then environment, then default; and the Secret type.

No network is touched here, and no file but the one in which a Jupyter server says where it is.
Everything that names an environment variable of ours is in this file, so that the README's table
can be checked against it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urljoin, urlsplit

from .errors import InvalidAPIKeyError, InvalidBaseURLError, InvalidInputError

DEFAULT_BASE_URL: Final = "https://api.decart.ai"
DEFAULT_REALTIME_BASE_URL: Final = "wss://api.decart.ai"
DEFAULT_CONFIRM_USD: Final = 5.0

ENV_API_KEY: Final = "DECART_API_KEY"
ENV_URL: Final = "DECART_LAB_URL"
ENV_RUNS: Final = "DECART_LAB_RUNS"
ENV_PRESETS: Final = "DECART_LAB_PRESETS"
ENV_CONFIRM_USD: Final = "DECART_LAB_CONFIRM_USD"


class Secret:
    """A string that never shows itself.

    It is masked in repr, str and format, has no ``__dict__`` for ``vars`` or a traceback tool to
    print, and refuses pickling and copying into JSON. The value is had only by ``reveal()``, which
    is called in one place, where the header is made.

    Examples
    --------
    >>> Secret("dct_abc123")
    Secret('***')
    >>> f"{Secret('dct_abc123')}"
    '***'
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        # Behind a closure, so that a tool that prints slots prints a function.
        self._reveal: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        """Return the value; for the one place that makes the header."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A Secret is not pickled or copied; pass the key again where it is needed.")


def resolve_api_key(api_key: str | Secret | None) -> Secret | None:
    """Return the key to use: the argument, else ``DECART_API_KEY``, else None.

    Raises
    ------
    InvalidAPIKeyError
        The key is empty or could not be sent in a header.
    """
    if isinstance(api_key, Secret):
        return api_key
    value = api_key if api_key is not None else os.environ.get(ENV_API_KEY, "")
    value = value.strip()
    if not value:
        if api_key is not None:
            raise InvalidAPIKeyError("The API key is empty.")
        return None
    # No part of the value may appear in the message.
    if not value.isascii() or not value.isprintable() or " " in value:
        raise InvalidAPIKeyError("The API key holds characters that cannot be sent in a header.")
    return Secret(value)


def check_url(url: str, *, field: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """Return the address without its trailing slash, or say what is wrong with it.

    Raises
    ------
    InvalidBaseURLError
        Not absolute, another scheme, with credentials, a query or a fragment.
    """
    parts = urlsplit(url if isinstance(url, str) else "")
    if parts.scheme not in schemes or not parts.hostname:
        shown = url if isinstance(url, str) and "@" not in url else "(not shown)"
        raise InvalidBaseURLError(
            f"{field} is not an absolute {' or '.join(schemes)} address: {shown!r}."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidBaseURLError(
            f"{field} must not hold credentials, a query or a fragment.",
            hint="Give the bare address and pass the key as api_key=.",
        )
    return url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Return whether an address names this machine.

    Examples
    --------
    >>> is_loopback("http://127.0.0.1:8765"), is_loopback("http://127.0.0.1.example.com")
    (True, False)
    """
    host = (urlsplit(url).hostname or "").lower()
    if host in ("localhost", "::1"):
        return True
    parts = host.split(".")
    return (
        len(parts) == 4 and parts[0] == "127" and all(p.isdigit() and int(p) < 256 for p in parts)
    )


def resolve_proxy(proxy: str) -> str:
    """Return an absolute proxy address; a path is taken on the Jupyter server, when it is known.

    Raises
    ------
    InvalidBaseURLError
        A path was given and no Jupyter server address is known, or the address is unusable.
    """
    if isinstance(proxy, str) and proxy.startswith("/") and not proxy.startswith("//"):
        server = jupyter_server_url()
        if server is None:
            raise InvalidBaseURLError(
                f"proxy={proxy!r} is a path, and the address of the Jupyter server is not known.",
                hint="Give the whole address, such as http://127.0.0.1:8888/api/decart.",
            )
        return urljoin(server.rstrip("/") + "/", proxy.lstrip("/")).rstrip("/")
    return check_url(proxy, field="proxy")


def jupyter_server_url() -> str | None:
    """Return the address of the Jupyter server this kernel belongs to, if it can be known.

    ``JUPYTER_SERVER_URL`` says it where a deployment has set it. Otherwise the server that started
    this kernel gave its process id in ``JPY_PARENT_PID`` and wrote its address into
    ``jpserver-<pid>.json`` in Jupyter's runtime folder.
    """
    value = os.environ.get("JUPYTER_SERVER_URL", "").strip()
    if value:
        return check_url(value, field="JUPYTER_SERVER_URL")
    pid = os.environ.get("JPY_PARENT_PID", "")
    if not pid.isdigit():
        return None
    try:
        from jupyter_core.paths import jupyter_runtime_dir

        written = Path(jupyter_runtime_dir(), f"jpserver-{pid}.json").read_text(encoding="utf-8")
        return check_url(json.loads(written)["url"], field="the Jupyter server's address")
    except (ImportError, OSError, ValueError, KeyError, TypeError, InvalidBaseURLError):
        return None


def runs_root() -> Path:
    """Return the folder that holds the runs: ``DECART_LAB_RUNS``, else ``./decart_runs``."""
    return Path(os.environ.get(ENV_RUNS, "").strip() or "decart_runs").expanduser()


def presets_root() -> Path:
    """Return the folder that holds presets: ``DECART_LAB_PRESETS``, else ``./decart_presets``."""
    return Path(os.environ.get(ENV_PRESETS, "").strip() or "decart_presets").expanduser()


def confirm_usd() -> float:
    """Return the estimate, in USD, above which a run against the hosted API needs ``budget=``."""
    value = os.environ.get(ENV_CONFIRM_USD, "").strip()
    if not value:
        return DEFAULT_CONFIRM_USD
    try:
        limit = float(value)
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise InvalidInputError(
            f"{ENV_CONFIRM_USD} is not an amount in USD: {value!r}.", field=ENV_CONFIRM_USD
        )
    return limit


@cache
def version() -> str:
    """Return the installed version of decart_lab."""
    return metadata.version("decart-lab")


def user_agent(integration: str | None = None) -> str:
    """Return the User-Agent: ``decart-lab/{version} lang/py [integration]``.

    Raises
    ------
    InvalidInputError
        The integration could break out of the header.
    """
    base = f"decart-lab/{version()} lang/py"
    if integration is None:
        return base
    if not integration.isascii() or not integration.isprintable() or len(integration) > 200:
        raise InvalidInputError(
            "integration must be printable ASCII of at most 200 characters.", field="integration"
        )
    return f"{base} {integration}"
