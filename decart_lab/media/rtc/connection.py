"""Connections that work anywhere: without a network, and without waiting for dead servers.

What belongs here: making aiortc's peer connections, feeding them the other side's descriptions
and candidates, and closing them. Nothing here knows of tracks' contents or of signaling.

How aiortc 1.16 differs from what is needed here: it leaves the loopback address out, so that on a
machine without a network no two peers ever meet; it waits five seconds for every silent STUN
server before an offer exists; it asks Google's STUN server unless told otherwise; and it looks up
host names in threads that cannot be abandoned. All of that is answered in one public method,
``Connection.setLocalDescription``, on our own connections only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError
from aiortc.rtcicetransport import parse_stun_turn_uri

from .sdp import InvalidSDP, Kind, check_sdp, read_candidate

_log = logging.getLogger("decart_lab")

GATHER_S: Final = 0.3
"""How long an offer or answer waits for STUN servers and name look-ups, in seconds."""
RELAY_GATHER_S: Final = 1.5
"""The same where a TURN server is configured, without which there may be no way through."""
CLOSE_S: Final = 3.0
"""How long closing may take, in seconds."""

Codec = Literal["h264", "vp8", "opus"]
VideoCodec = Literal["h264", "vp8"]


class IceServerLike(Protocol):
    """What is asked of a STUN or TURN server's row."""

    @property
    def urls(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def username(self) -> str | None: ...  # noqa: D102
    @property
    def credential(self) -> str | None: ...  # noqa: D102


class CandidateLike(Protocol):
    """What is asked of a candidate; ``contract.realtime.Candidate`` is one."""

    @property
    def candidate(self) -> str: ...  # noqa: D102
    @property
    def sdp_mid(self) -> str | None: ...  # noqa: D102
    @property
    def sdp_m_line_index(self) -> int | None: ...  # noqa: D102


class LocalCandidate(NamedTuple):
    """One of our own candidates, spelt as the wire spells it."""

    candidate: str
    sdp_mid: str
    sdp_m_line_index: int


class Connection(RTCPeerConnection):
    """aiortc's connection with candidates gathered within bounds; see the module."""

    def __init__(self, configuration: RTCConfiguration, *, loopback: bool) -> None:
        super().__init__(configuration)
        self._loopback = loopback

    async def setLocalDescription(  # noqa: N802 - aiortc's own method
        self,
        sessionDescription: RTCSessionDescription | None = None,  # noqa: N803
    ) -> None:
        """Gather candidates within :data:`GATHER_S`, the loopback address among them."""
        transports = [t.receiver.transport.transport for t in self.getTransceivers()]
        if self.sctp is not None:
            transports.append(self.sctp.transport.transport)
        agents = {getattr(t.iceGatherer, "_connection", None) for t in transports} - {None}
        await asyncio.gather(*(_bound(agent, self._loopback) for agent in agents))
        await super().setLocalDescription(sessionDescription)

    async def _RTCPeerConnection__connect(self) -> None:  # noqa: N802 - aiortc's, by Python's rule
        # aiortc connects in a task that nobody watches, and closing meanwhile makes it raise what
        # asyncio then reports as an error of ours. An aiortc without this method never comes here.
        with contextlib.suppress(InvalidStateError):
            await super()._RTCPeerConnection__connect()  # type: ignore[misc]


def make_connection(
    ice_servers: Iterable[IceServerLike] = (), *, loopback: bool = True
) -> Connection:
    """Make a connection.

    Parameters
    ----------
    ice_servers : iterable
        STUN and TURN servers with ``urls``, ``username`` and ``credential``; none by default, no
        public one is ever asked unbidden. Addresses that cannot be parsed are left out.
    loopback : bool, default True
        Whether to offer 127.0.0.1 too, for peers on this machine.
    """
    return Connection(RTCConfiguration(iceServers=_usable(ice_servers)), loopback=loopback)


async def set_remote(connection: RTCPeerConnection, text: object, kind: Kind) -> None:
    """Check the other side's description and use it.

    Raises
    ------
    InvalidSDP
        It is malformed, or does not fit this connection. Close the connection then: aiortc may
        have taken in half of it.
    """
    description = RTCSessionDescription(sdp=check_sdp(text, kind), type=kind)
    try:
        await connection.setRemoteDescription(description)
    except Exception as exc:  # noqa: BLE001 - aiortc raises AssertionError, KeyError and more here
        raise InvalidSDP(f"The {kind} cannot be used ({type(exc).__name__}: {exc}).") from None


async def add_candidate(connection: RTCPeerConnection, candidate: CandidateLike | None) -> None:
    """Add a candidate of the other side; None says that there are no more.

    All media travels over one transport, the first line's, so that is where every candidate
    goes, whatever line it was announced for. Candidates of no use here are left out, as in
    :func:`check_sdp`.

    Raises
    ------
    InvalidSDP
        It is not a candidate, or no description has come yet.
    """
    if connection.remoteDescription is None:
        raise InvalidSDP("A candidate came before the description.")
    carriers = [t for t in connection.getTransceivers() if not t._bundled]
    if not carriers:
        return
    first = carriers[0]
    if candidate is None:
        # An end without a beginning would make aioice give up, though checks that come in from
        # the other side may still bring its address.
        if first.receiver.transport.transport.getRemoteCandidates():
            await connection.addIceCandidate(None)
        return
    read = read_candidate(candidate.candidate, first.mid, None)
    if read is not None:
        await connection.addIceCandidate(read)


def local_candidates(connection: RTCPeerConnection) -> list[LocalCandidate]:
    """Return our own candidates of the line that carries the media; aiortc has them at once."""
    description = connection.localDescription
    found: list[LocalCandidate] = []
    mid = ""
    for line in description.sdp.splitlines() if description else ():
        if line.startswith("m=") and found:
            break
        if line.startswith("a=mid:"):
            mid = line.removeprefix("a=mid:")
        elif line.startswith("a=candidate:"):
            found.append(LocalCandidate(line.removeprefix("a="), "", 0))
    return [row._replace(sdp_mid=mid) for row in found]


def prefer_codec(transceiver: RTCRtpTransceiver, codec: VideoCodec | None) -> None:
    """Put a video codec first in what is offered or answered; the others stay behind it."""
    if codec is None or transceiver.kind != "video":
        return
    wanted = f"video/{codec}"
    capabilities = RTCRtpReceiver.getCapabilities("video")
    rows = capabilities.codecs if capabilities else []
    transceiver.setCodecPreferences(sorted(rows, key=lambda row: row.mimeType.lower() != wanted))


def negotiated_codec(transceiver: RTCRtpTransceiver) -> str | None:
    """Name the codec that is sent, in lower case ("h264", "vp8", "opus"); None before."""
    return str(transceiver._codecs[0].name).lower() if transceiver._codecs else None


async def close(connection: RTCPeerConnection, *, within_s: float = CLOSE_S) -> bool:
    """Close a connection; False when that took longer than allowed and goes on by itself."""
    task = asyncio.ensure_future(connection.close())
    done, _ = await asyncio.wait({task}, timeout=within_s)
    if not done:
        _log.warning("A connection did not close within %.0f s; it was left to itself.", within_s)
        return False
    if task.exception() is not None:
        _log.debug("closing a connection failed: %s", type(task.exception()).__name__)
    return True


def _usable(ice_servers: Iterable[IceServerLike]) -> list[RTCIceServer]:
    found = []
    for server in ice_servers:
        urls = []
        for url in server.urls:
            try:
                parse_stun_turn_uri(url)
            except ValueError:
                continue
            urls.append(url)
        if urls:
            row = RTCIceServer(urls=urls, username=server.username, credential=server.credential)
            found.append(row)
    return found


async def _bound(agent: Any, loopback: bool) -> None:
    # The agent is one connection's own, and what is replaced is a public method of it; an aioice
    # without that method gathers as it likes.
    gather = getattr(agent, "get_component_candidates", None)
    if gather is None or hasattr(agent, "decart_bounded") or agent.local_candidates:
        return
    agent.decart_bounded = True
    limit_s = GATHER_S if agent.turn_server is None else RELAY_GATHER_S
    loop = asyncio.get_running_loop()
    until = loop.time() + limit_s

    async def within(component: int, addresses: list[str], timeout: float = limit_s) -> Any:  # noqa: ARG001
        own = ["127.0.0.1"] if loopback and "127.0.0.1" not in addresses else []
        left_s = max(0.05, until - loop.time())
        return await gather(component, [*addresses, *own], timeout=left_s)

    agent.get_component_candidates = within
    # Names are looked up in threads that nobody waits for: aioice would do so in the loop's
    # executor, whose threads hold up the interpreter's exit for as long as a dead resolver likes.
    agent.stun_server = await _resolved(agent.stun_server, limit_s)
    relay = await _resolved(agent.turn_server, limit_s)
    agent.turn_server = (
        agent.turn_server if relay and agent.turn_ssl else relay
    )  # TLS needs the name


async def _resolved(server: tuple[str, int] | None, limit_s: float) -> tuple[str, int] | None:
    if server is None:
        return None
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str | None] = loop.create_future()

    def look_up() -> None:
        try:
            address = socket.gethostbyname(server[0])
        except (OSError, UnicodeError):
            address = None
        with contextlib.suppress(RuntimeError):  # the loop may have gone meanwhile
            loop.call_soon_threadsafe(tell, address)

    def tell(address: str | None) -> None:
        if not answer.done():
            answer.set_result(address)

    threading.Thread(target=look_up, name="decart-lookup", daemon=True).start()
    done, _ = await asyncio.wait({answer}, timeout=limit_s)
    address = answer.result() if done else None
    return None if address is None else (address, server[1])
