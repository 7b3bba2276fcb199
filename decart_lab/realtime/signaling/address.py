"""Where a WebSocket goes: an address that holds the key, and therefore is a secret.

Pure. Source: wire contract, 7.2 (URL). What the rest of the address says is the callers'.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

from ...config import Secret, check_url, is_loopback
from ...errors import InvalidAPIKeyError, InvalidBaseURLError


def stream_address(
    base_url: str, key: Secret | None, path: str, **query: str | None
) -> tuple[Secret, str]:
    """Return where to connect, with the key, and how messages name it.

    Parameters
    ----------
    base_url : str
        ws, wss, http or https.
    query : str or None
        What is asked for besides the key; None is left out.

    Raises
    ------
    InvalidAPIKeyError
        There is no key.
    InvalidBaseURLError
        It would travel in clear to another machine.
    """
    base = check_url(base_url, field="realtime_base_url", schemes=("ws", "wss", "http", "https"))
    if key is None:
        raise InvalidAPIKeyError(
            "The websocket dialect connects to the service itself, which takes an API key.",
            hint='Use dialect="http" through a proxy.',
        )
    scheme, _, rest = base.partition("://")
    secure = scheme in ("wss", "https")
    host = urlsplit(base).netloc
    if not secure and not is_loopback(base):
        raise InvalidBaseURLError(
            f"The key would be sent unencrypted to {host}.", hint="Use a wss or https address."
        )
    # Nobody keeps the revealed key, or the address with it, in a variable.
    told = {name: value for name, value in query.items() if value is not None}
    return (
        Secret(
            f"{'wss' if secure else 'ws'}://{rest}{path}?"
            + urlencode({"api_key": key.reveal(), **told}, quote_via=quote)
        ),
        host,
    )
