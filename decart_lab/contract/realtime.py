"""Realtime sessions on the wire: states, events, candidates and limits, the same in both dialects.

What belongs here: what client and emulator must agree on, read from JSON with bounds. Pure: no
sockets, no clock. How the messages travel is each side's own business. Sources: wire contract,
section 7 (7.1 the HTTP dialect, 7.2 the WebSocket dialect), which cites the vendor's signaling
document and the official SDKs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

Dialect = Literal["http", "websocket"]
DIALECTS: Final[tuple[Dialect, ...]] = ("http", "websocket")

MAX_IMAGE_CHARS: Final = 10_000_000
"""Longest base64 text of a reference image; more is refused with 413 (7.1)."""
MAX_EVENT_BYTES: Final = 1_000_000
"""Longest event or message that a client reads; more is a broken server."""
MAX_CANDIDATE_CHARS: Final = 1_000
MAX_TEXT: Final = 1_000
PROBLEM: Final = "https://api.decart.ai/errors/"
"""What the ``type`` of a problem starts with (7.1)."""


class SessionState(StrEnum):
    """Where a session stands, in the official SDKs' words (7.2)."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    GENERATING = "generating"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"


class EndReason(StrEnum):
    """Why the service ended a session; other words may come and are kept verbatim (7.1)."""

    DISCONNECT = "disconnect"
    TIMEOUT = "timeout"
    MODERATION_VIOLATION = "moderation_violation"
    ERROR = "error"
    INSUFFICIENT_CREDITS = "insufficient_credits"
    ICE_FAILURE = "ice_failure"


RECOVERABLE: Final = frozenset({EndReason.ICE_FAILURE, EndReason.ERROR})
"""Reasons after which a new session may be tried; all others, unknown ones too, are final."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """One STUN or TURN server; the credential is in no repr."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One ICE candidate, as ``RTCIceCandidate.toJSON()`` spells it."""

    candidate: str
    sdp_mid: str | None
    sdp_m_line_index: int | None

    def as_json(self) -> dict[str, Any]:
        """Return the wire form."""
        return {
            "candidate": self.candidate,
            "sdpMid": self.sdp_mid,
            "sdpMLineIndex": self.sdp_m_line_index,
        }


@dataclass(frozen=True, slots=True)
class Started:
    """The model is producing frames."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Seconds of generation so far; cumulative."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over. ``seconds`` is NaN when the service did not say."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class RemoteCandidate:
    """A candidate of the server; None means that there are no more."""

    candidate: Candidate | None


@dataclass(frozen=True, slots=True)
class RestartWanted:
    """The server asks for a new offer, to be made with these servers."""

    ice_servers: tuple[IceServer, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """The server reports an error; the session may go on."""

    title: str
    detail: str = ""
    type: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting for a machine."""

    position: int
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a name we do not know; counted and otherwise ignored."""

    name: str


ServerEvent = Started | Tick | Ended | RemoteCandidate | RestartWanted | Problem | Queued | Unknown


class Malformed(ValueError):  # noqa: N818 - a condition that is reported as a Problem, never raised to users
    """JSON of the other side that does not have the shape it should."""


def parse_candidate(value: object) -> Candidate | None:
    """Read a candidate; None, an empty one and ``{"candidate": null}`` all end the list (10, 8).

    Raises
    ------
    Malformed
        It is neither.

    Examples
    --------
    >>> parse_candidate({"candidate": None}) is None
    True
    >>> parse_candidate({"candidate": "candidate:1 1 udp 1 ::1 9 typ host"}).sdp_mid is None
    True
    """
    if isinstance(value, Mapping):
        text, mid, index = (value.get(k) for k in ("candidate", "sdpMid", "sdpMLineIndex"))
        if isinstance(text, Mapping):  # the WebSocket dialect wraps it once more
            return parse_candidate(text)
    else:
        text, mid, index = value, None, None
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > MAX_CANDIDATE_CHARS or not text.isprintable():
        raise Malformed("a candidate is not a short line of text")
    if mid is not None and (not isinstance(mid, str) or len(mid) > MAX_TEXT):
        raise Malformed("sdpMid is not text")
    if index is not None and (type(index) is not int or not 0 <= index < 100):
        raise Malformed("sdpMLineIndex is not a small number")
    return Candidate(text, mid, index)


def parse_ice_servers(value: object) -> tuple[IceServer, ...]:
    """Read a list of STUN and TURN servers; what is none is left out.

    Examples
    --------
    >>> parse_ice_servers([{"urls": "turn:t.example", "username": "u", "credential": "secret"}, 7])
    (IceServer(urls=('turn:t.example',), username='u'),)
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    rows = [row for row in value[:20] if isinstance(row, Mapping)]
    return tuple(server for row in rows if (server := _ice_server(row)).urls)


def _ice_server(row: Mapping[str, Any]) -> IceServer:
    urls = row.get("urls", row.get("server_url"))
    listed = [urls] if isinstance(urls, str) else urls if isinstance(urls, Sequence) else []
    named = tuple(
        url
        for url in listed[:10]
        if isinstance(url, str) and url.startswith(("stun:", "stuns:", "turn:", "turns:"))
    )
    user, credential = row.get("username"), row.get("credential")
    return IceServer(
        named,
        user if isinstance(user, str) else None,
        credential if isinstance(credential, str) else None,
    )


def parse_event(name: str, data: Mapping[str, Any]) -> ServerEvent:
    """Read an event of either dialect; underscores and hyphens in its name are the same.

    Raises
    ------
    Malformed
        A known event without what it must say.

    Examples
    --------
    >>> parse_event("generation_tick", {"seconds": 30})
    Tick(seconds=30.0)
    >>> parse_event("generation_ended", {"reason": "timeout"})
    Ended(seconds=nan, reason='timeout')
    """
    match name.replace("-", "_"):
        case "generation_started":
            return Started()
        case "generation_tick":
            seconds = _seconds(data)
            if math.isnan(seconds):
                raise Malformed("a tick without seconds")
            return Tick(seconds)
        case "generation_ended":
            return Ended(_seconds(data), _line(data.get("reason")) or EndReason.ERROR)
        case "ice_candidate":
            return RemoteCandidate(parse_candidate(data))
        case "ice_restart":
            servers = data.get("ice_servers", [data.get("turn_config")])
            return RestartWanted(parse_ice_servers(servers))
        case "error":
            title = _line(data.get("title")) or _line(data.get("error"))
            status = data.get("status")
            return Problem(
                title or _line(data.get("message")) or "an error without a name",
                _line(data.get("detail")),
                _line(data.get("type")),
                status if type(status) is int else None,
            )
        case "queue_position":
            position = data.get("position", data.get("queue_position"))
            if type(position) is not int:
                raise Malformed("a queue position that is no number")
            size = data.get("queue_size")
            return Queued(position, size if type(size) is int else None)
    return Unknown(_line(name)[:100])


def _seconds(data: Mapping[str, Any]) -> float:
    value = data.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if 0 <= value < 1e9 else math.nan


def _line(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:MAX_TEXT]
