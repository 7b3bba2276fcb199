"""A WebSocket to the service. The only websockets import.

What belongs here: connecting, sending, receiving and closing, with every exception of the library
turned into one of ours. The key is part of the address in this dialect, so that the address is a
Secret, the library logs nothing, and none of its exceptions is chained: their frames hold it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from ..._http import TransportFailure, plain_copy, tls
from ..._log import redact
from ..._retry import parse_retry_after
from ..._wire import MAX_ERROR
from ...config import Secret
from ...contract.failures import failure
from ...contract.realtime import MAX_EVENT_BYTES
from ...errors import DeadlineError, DecartSDKError, NetworkError, WebRTCError, combined
from .patience import Patience

CONNECTING: Final = "Connecting to the service"
CONNECT_S: Final = 10.0
CLOSE_S: Final = 2.0
SIMULATED: Final = "x-decart-emulator"

_SILENT: Final = logging.Logger("decart_lab.silent")
_SILENT.disabled = True


class Closed(Exception):  # noqa: N818 - the end of a conversation, not a failure
    """The connection is over: by which code, and what was said.

    Attributes
    ----------
    code : int
        1006 when it was cut, 1000 for an orderly end, 1013 for "try again later".
    """

    def __init__(self, code: int, said: str) -> None:
        super().__init__(code, said)
        self.code = code
        self.said = said


class Socket:
    """An open connection, whose messages are JSON objects."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def simulated(self) -> bool:
        """Whether the emulator says that it is at the other end."""
        response = self._connection.response
        return response is not None and SIMULATED in response.headers

    async def send(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Send a message.

        Raises
        ------
        Closed
            The connection is over.
        """
        closed: Closed | None = None
        try:
            await self._connection.send(json.dumps({"type": kind, **fields}))
        except ConnectionClosed as error:
            closed = _closed(error)
        if closed is not None:
            raise closed

    async def receive(self) -> str | bytes:
        """Return the next message as it came, of at most ``MAX_EVENT_BYTES``.

        Raises
        ------
        Closed
            The connection is over.
        """
        closed: Closed | None = None
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            closed = _closed(error)
        raise closed

    async def close(self) -> None:
        """Close in good order, within ``CLOSE_S`` seconds."""
        await self._connection.close()

    def abort(self) -> None:
        """Close at once."""
        self._connection.transport.abort()


async def open_socket(address: Secret, host: str, patience: Patience) -> Socket:
    """Connect to an address that holds the key; no redirect and no environment proxy is followed.

    Parameters
    ----------
    host : str
        How messages name the service.

    Raises
    ------
    WebRTCError
        Also of a cause class.
    """
    cancelled: tuple[Any, ...] | None = None
    refused: Response | None = None
    cause: TransportFailure | None = None
    late = False
    try:
        return Socket(
            await _Connect(
                address.reveal(),
                logger=_SILENT,
                proxy=None,
                ssl=tls(secure=True) if address.reveal().startswith("wss:") else None,
                compression=None,
                max_size=MAX_EVENT_BYTES,
                open_timeout=CONNECT_S,
                close_timeout=CLOSE_S,
                # A connection that nobody closed is noticed after both: no byte came meanwhile.
                ping_interval=patience.quiet_s / 3,
                ping_timeout=patience.quiet_s * 2 / 3,
                user_agent_header=None,  # it is in the address, where the service looks for it
            )
        )
    except asyncio.CancelledError as error:
        cancelled = error.args
    except InvalidStatus as error:
        refused = error.response
    except TimeoutError:
        late = True
    except Exception as error:  # noqa: BLE001 - the library's, the socket's and TLS's
        cause = plain_copy(error)
    if cancelled is not None:
        raise asyncio.CancelledError(*cancelled)
    if refused is not None:
        raise _refusal(refused)
    if late:
        raise combined(WebRTCError, DeadlineError)(
            f"{CONNECTING} failed: {host} did not answer within {CONNECT_S:g} s."
        )
    raise combined(WebRTCError, NetworkError)(
        f"{CONNECTING} failed. No answer from {host}: {cause}."
    ) from cause


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception:
        return exc  # the address holds the key


def _refusal(response: Response) -> DecartSDKError:
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    return failure(
        WebRTCError,
        CONNECTING,
        response.status_code,
        headers,
        bytes(response.body or b"")[:MAX_ERROR],
        retry_after_s=parse_retry_after(
            headers.get("retry-after"), headers.get("date"), datetime.now(UTC)
        ),
    )


def _closed(error: ConnectionClosed) -> Closed:
    frame = error.rcvd
    if frame is None:
        return Closed(1006, "")
    said = "".join(c if c.isprintable() else " " for c in redact(frame.reason))
    return Closed(frame.code, " ".join(said.split()))
