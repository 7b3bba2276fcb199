"""Session descriptions and candidates of the other side, checked before aiortc reads them.

What belongs here: telling a description that can be used from one that cannot, so that nothing
malformed raises anything but :class:`InvalidSDP`, and taking out what would stall or break a
connection. Pure text; no connection is made here.

Why aiortc's own checks are not enough (1.16, read and tried): its parser raises AssertionError,
StopIteration, KeyError or IndexError on garbage; a description without a fingerprint, or with a
media line of an unknown kind, is accepted and then fails in a background task, where nobody hears
of it; a candidate of a second component makes every later check on its address fail.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, Literal

from aiortc.rtcicetransport import RTCIceCandidate
from aiortc.sdp import DIRECTIONS, MediaDescription, SessionDescription, candidate_from_sdp

Kind = Literal["offer", "answer"]

MAX_CHARS: Final = 100_000
"""Longest description that is read; a browser's, with every codec and candidate, has 10,000."""
MAX_SECTIONS: Final = 20
MAX_CANDIDATES: Final = 200
_KINDS: Final = {"audio", "video", "application"}
_DIGESTS: Final = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
_UFRAG: Final = re.compile(r"[!-~]{4,256}")
_PASSWORD: Final = re.compile(r"[!-~]{22,256}")
_DIRECTIONS: Final = frozenset(f"a={word}" for word in DIRECTIONS)
_MID: Final = re.compile(r"[!-~]{1,16}")  # what fits a one-byte RTP header extension


class InvalidSDP(ValueError):  # noqa: N818 - named for the thing, as the wire's "invalid-sdp" is
    """A session description or a candidate that cannot be used; its text says why."""


def check_sdp(text: object, kind: Kind) -> str:
    """Check a description, and return it without the candidates that cannot be used.

    Parameters
    ----------
    text : str
        The description as it came over the wire.
    kind : {"offer", "answer"}
        What it is to be used as.

    Returns
    -------
    str
        The same description with line ends as the standard wants them, without candidates that
        are TCP, of a second component, or named ``….local`` (looking those up can take seconds;
        whoever hides behind such a name reaches us and is then known). A list of candidates that
        became empty by that is left open.

    Raises
    ------
    InvalidSDP
        For everything that is not a description which a connection can be made with.

    Examples
    --------
    >>> check_sdp("v=0", "offer")
    Traceback (most recent call last):
    decart_lab.media.rtc.sdp.InvalidSDP: The offer has no media line.
    """
    if not isinstance(text, str):
        raise InvalidSDP(f"The {kind} is not text.")
    if len(text) > MAX_CHARS:
        raise InvalidSDP(f"The {kind} has {len(text)} characters; {MAX_CHARS} are read at most.")
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line]
    if not all(line.isprintable() for line in lines):
        raise InvalidSDP(f"The {kind} contains characters that no description has.")
    lines = _with_directions(_without_dead_candidates(lines))
    cleaned = "\r\n".join(lines) + "\r\n"
    try:
        description = SessionDescription.parse(cleaned)
    except Exception as exc:  # noqa: BLE001 - whatever the parser trips over is malformed
        raise InvalidSDP(f"The {kind} cannot be read ({type(exc).__name__}).") from None
    _check(description, kind)
    return cleaned


def read_candidate(text: str, mid: str | None, index: int | None) -> RTCIceCandidate | None:
    """Read one candidate's line; None for one that is well formed but of no use here.

    Raises
    ------
    InvalidSDP
        It is not a candidate.

    Examples
    --------
    >>> read_candidate("candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host", "0", 0).port
    5000
    >>> read_candidate("candidate:1 1 tcp 2 10.0.0.1 9 typ host tcptype active", "0", 0) is None
    True
    """
    if len(text) > 1000 or not text.isprintable():
        raise InvalidSDP("A candidate is not a short line of text.")
    line = text.removeprefix("a=").removeprefix("candidate:")
    try:
        candidate = candidate_from_sdp(line)
    except Exception as exc:  # noqa: BLE001 - as above
        raise InvalidSDP(f"A candidate cannot be read ({type(exc).__name__}).") from None
    if not 0 <= candidate.port < 65536 or not 0 <= candidate.priority < 2**32:
        raise InvalidSDP("A candidate's port or priority is out of range.")
    if candidate.component != 1 or candidate.protocol.lower() != "udp" or candidate.port == 0:
        return None
    if candidate.type not in ("host", "srflx", "prflx", "relay"):
        raise InvalidSDP("A candidate is of no known type.")
    if candidate.ip.lower().endswith(".local"):
        return None
    try:
        ipaddress.ip_address(candidate.ip)
    except ValueError:
        raise InvalidSDP("A candidate's address is not an IP address.") from None
    if candidate.type == "prflx":  # aioice refuses the word; as an address it is as good
        candidate.type = "srflx"
    candidate.protocol = "udp"
    candidate.sdpMid, candidate.sdpMLineIndex = mid, index
    return candidate


def _without_dead_candidates(lines: list[str]) -> list[str]:
    kept: list[str] = []
    used = dropped = 0
    for line in lines:
        if line.startswith("a=candidate:"):
            if used + dropped >= MAX_CANDIDATES:
                raise InvalidSDP(f"More than {MAX_CANDIDATES} candidates.")
            if read_candidate(line, None, None) is None:
                dropped += 1
                continue
            used += 1
        kept.append(line)
    if dropped and not used:
        # To end an empty list of candidates is to give up. Checks from behind a hidden name are
        # still to come, and they bring the address along.
        kept = [line for line in kept if line != "a=end-of-candidates"]
    return kept


def _with_directions(lines: list[str]) -> list[str]:
    """Say "both ways" where nothing is said, which is what that means; aiortc stumbles over it."""
    starts = [at for at, line in enumerate(lines) if line.startswith("m=")]
    said = [line for line in lines[: starts[0]] if line in _DIRECTIONS] if starts else []
    for start, end in reversed(list(zip(starts, [*starts[1:], len(lines)], strict=False))):
        sends = lines[start].startswith(("m=audio", "m=video"))
        if sends and not _DIRECTIONS & set(lines[start:end]):
            lines = [*lines[: start + 1], *(said or ["a=sendrecv"]), *lines[start + 1 :]]
    return lines


def _check(description: SessionDescription, kind: Kind) -> None:
    if not description.media:
        raise InvalidSDP(f"The {kind} has no media line.")
    if len(description.media) > MAX_SECTIONS:
        raise InvalidSDP(f"The {kind} has more than {MAX_SECTIONS} media lines.")
    mids = [media.rtp.muxId for media in description.media]
    if len(set(mids)) != len(mids) or not all(mid and _MID.fullmatch(mid) for mid in mids):
        raise InvalidSDP(f"The media lines of the {kind} lack names of their own (a=mid).")
    bundled = [group.items for group in description.group if group.semantic == "BUNDLE"]
    if any(not set(items) <= set(mids) for items in bundled):
        raise InvalidSDP(f"The {kind} bundles lines that it does not have (a=group).")
    for media in description.media:
        _check_media(media, f"The {kind}'s {media.kind[:20]} line", kind)


def _check_media(media: MediaDescription, name: str, kind: Kind) -> None:
    if media.kind not in _KINDS:
        raise InvalidSDP(f"{name} is of a kind we do not know.")
    ice = media.ice
    if ice is None or not _UFRAG.fullmatch(ice.usernameFragment or ""):
        raise InvalidSDP(f"{name} has no usable ice-ufrag.")
    if not _PASSWORD.fullmatch(ice.password or ""):
        raise InvalidSDP(f"{name} has no usable ice-pwd.")
    if media.dtls is None:
        raise InvalidSDP(f"{name} does not say who begins the encryption (a=setup).")
    known = [f for f in media.dtls.fingerprints if f.algorithm.lower() in _DIGESTS]
    if not known:
        raise InvalidSDP(f"{name} has no fingerprint that we could check.")
    for print_ in known:
        size = _DIGESTS[print_.algorithm.lower()]
        if not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*", print_.value):
            raise InvalidSDP(f"{name} has a malformed fingerprint.")
        if len(print_.value) != 3 * size - 1:
            raise InvalidSDP(f"{name} has a fingerprint of the wrong length.")
    if kind == "answer" and media.dtls.role not in ("client", "server"):
        raise InvalidSDP(f"{name} must choose active or passive (a=setup).")
    if media.kind == "application":
        return
    if not media.rtcp_mux:
        raise InvalidSDP(f"{name} lacks a=rtcp-mux.")
    if not all(1 <= extension.id <= 255 for extension in media.rtp.headerExtensions):
        raise InvalidSDP(f"{name} numbers a header extension out of range.")
    if not all(0 <= source.ssrc < 2**32 for source in media.ssrc):
        raise InvalidSDP(f"{name} has an ssrc out of range.")
