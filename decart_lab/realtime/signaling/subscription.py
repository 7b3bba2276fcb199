"""The token that lets a viewer watch a session of the WebSocket dialect.

Pure. Source: wire contract, 7.2: base64 of ``{sid, ip, port}``; the Python SDK writes the alphabet
that is safe in addresses, the JavaScript SDK the standard one, and both are read here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Final

from ...contract.responses import valid_id
from ...errors import InvalidInputError

MAX_CHARS: Final = 2_000
_HOST: Final = re.compile(r"[A-Za-z0-9.:_-]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which session, and on which machine of the service it runs."""

    session_id: str
    server_ip: str
    server_port: int

    @property
    def valid(self) -> bool:
        """Whether this can be put into an address."""
        return (
            valid_id(self.session_id)
            and isinstance(self.server_ip, str)
            and _HOST.match(self.server_ip) is not None
            and type(self.server_port) is int
            and 0 < self.server_port < 65_536
        )


def make_token(subscription: Subscription) -> str:
    """Return the token of a session.

    Examples
    --------
    >>> read_token(make_token(Subscription("rs_1", "10.0.0.1", 8080))).server_port
    8080
    """
    facts = {
        "sid": subscription.session_id,
        "ip": subscription.server_ip,
        "port": subscription.server_port,
    }
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).decode("ascii")


def read_token(token: object) -> Subscription:
    """Read a token.

    Raises
    ------
    InvalidInputError
        It is none.
    """
    facts: object = None
    if isinstance(token, str) and len(token) <= MAX_CHARS:
        text = token.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
        try:
            facts = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
        except (binascii.Error, ValueError, RecursionError):
            facts = None
    if isinstance(facts, dict):
        read = Subscription(facts.get("sid", ""), facts.get("ip", ""), facts.get("port", 0))
        if read.valid:
            return read
    raise InvalidInputError(
        "This is no subscribe token.",
        field="token",
        hint="Pass session.subscribe_token of a session in the websocket dialect.",
    )
