"""``dl.check()``: what stands in the way of a live preview here, and what to do about it.

What belongs here: looking, in a second or two and without asking the service. What only a page
knows is told by the live views that are open; what cannot be known is said to be unknown.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ..contract.models import resolve_model
from ..display.html import card, el
from ..widgets.budget import BYTES_PER_S, KERNEL
from ..widgets.printing import LESS, PRINTING
from .reopening import running_lives

Verdict = Literal["good", "slow", "missing", "unknown"]

MODEL: Final = "lucy-2.1"
ENCODE_S: Final = 0.6
ROOM: Final = 1.5
"""How much faster than the stream an encoder on its own must be: it is not the only one at work."""
LATELY_S: Final = 600.0
"""How long a flood of print is remembered, in seconds."""
PICTURES: Final = 15
BITRATE: Final = 2_500_000
_BY_HTTPS: Final = "Open Jupyter by https, or as localhost, for example through an SSH tunnel."
_MARKS: Final = {
    "good": ("●", "good"),
    "slow": ("◔", "warn"),
    "missing": ("✕", "bad"),
    "unknown": ("○", "quiet"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what : str
        What was looked at.
    verdict : {"good", "slow", "missing", "unknown"}
        How it stands.
    found : str
        What was found, as a sentence.
    fix : str
        What to do; "" when there is nothing to do.
    """

    what: str
    verdict: Verdict
    found: str
    fix: str = ""


class Check(tuple[Finding, ...]):
    """Findings; shows itself as a list, in a notebook and as text."""

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is known to stand in the way."""
        return all(finding.verdict in ("good", "unknown") for finding in self)

    def __repr__(self) -> str:
        return "\n".join(
            f"{_MARKS[one.verdict][0]} {one.what}: {one.verdict}. {one.found} {one.fix}".rstrip()
            for one in self
        )

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        rows = []
        for one in self:
            shape, tone = _MARKS[one.verdict]
            mark = el("span", shape, class_=f"dl-mark dl-{tone}", aria_hidden="true")
            said = f" {one.what}: {one.verdict}. {one.found} {one.fix}".rstrip()
            rows.append(el("div", mark, said))
        html = card(*rows, label="What a live preview finds here")
        return {"text/html": html, "text/plain": repr(self)}


def check() -> Check:
    """Look at what a live preview needs; nothing is asked of the service and nothing is billed.

    Returns
    -------
    Check
        Findings with ``what``, ``verdict``, ``found`` and ``fix``; ``.ok`` sums them up.
    """
    lives = running_lives()
    pages = [(caps, past) for live in lives for caps, past in live.view.findings()]
    here = [live for live in lives if live.path == "kernel" and not live.watching]
    sending = [(live.size, live.fps) for live in here]
    spec = resolve_model(MODEL, "realtime")
    size, fps = sending[-1] if sending else ((spec.width, spec.height), float(spec.fps))
    found = _cells(pages), *_page(pages), _printing(bool(pages)), _budget(), _encoder(size, fps)
    return Check((*found, _udp()))


def _cells(open_views: Sequence[tuple[Mapping[str, Any], bool]]) -> Finding:
    what = "Messages while a cell runs"
    if not open_views:
        return Finding(what, "unknown", "No live view is open.", "Open one, then check again.")
    if any(past for _, past in open_views):
        return Finding(what, "good", "The page is heard on a thread of its own.")
    return Finding(
        what,
        "slow",
        "The page waits behind running cells, so that the preview slows down meanwhile.",
        "Use JupyterLab 4.4 and ipykernel 7 or newer, with commsOverSubshells not disabled.",
    )


def _page(open_views: Sequence[tuple[Mapping[str, Any], bool]]) -> list[Finding]:
    if not open_views:
        return [
            Finding(what, "unknown", "No live view is open.", "Open one, then check again.")
            for what in ("A secure page", "A camera in the page", "Decoding in the page")
        ]
    caps = open_views[-1][0]
    return [_secure(caps), _camera(caps), _decoder(caps)]


def _secure(caps: Mapping[str, Any]) -> Finding:
    what = "A secure page"
    if caps.get("secure") is True:
        return Finding(what, "good", "The browser lets it decode video and ask for a camera.")
    why = "The page is no secure context: it has no camera, and pictures go to it as JPEG."
    return Finding(what, "missing", why, _BY_HTTPS)


def _camera(caps: Mapping[str, Any]) -> Finding:
    what, allowed = "A camera in the page", caps.get("camera")
    if caps.get("secure") is not True:
        return Finding(what, "missing", "A page that is not secure has none.", _BY_HTTPS)
    if allowed is False:
        return Finding(
            what,
            "missing",
            "The page that holds the notebook does not pass on the right to use a camera.",
            'Allow it where the notebook is embedded (<iframe allow="camera; microphone">, or the '
            'server\'s Permissions-Policy), or send a source of the kernel, such as "camera:0". '
            "Visual Studio Code never allows it.",
        )
    if allowed is True:
        return Finding(what, "good", "It may be used, if the browser's user allows it.")
    return Finding(what, "unknown", "The browser does not say; it will when it is asked for one.")


def _decoder(caps: Mapping[str, Any]) -> Finding:
    what = "Decoding in the page"
    if caps.get("h264") is True or caps.get("vp8") is True:
        return Finding(what, "good", "Frames go to the page as they were received.")
    if caps.get("secure") is not True:
        return Finding(what, "slow", "A page that is not secure gets JPEG.", _BY_HTTPS)
    return Finding(
        what,
        "slow",
        "This browser decodes neither H.264 nor VP8 by WebCodecs: frames go as JPEG.",
        "Use a browser that has both, such as a current Chrome, Edge, Firefox or Safari.",
    )


def _printing(watched: bool) -> Finding:
    what = "Printing"
    if PRINTING.flooded(time.monotonic(), LATELY_S):
        return Finding(what, "slow", PRINTING.flood, LESS)
    if not watched:
        return Finding(
            what, "unknown", "It is counted while a live view is open.", "Open one, and run a cell."
        )
    return Finding(what, "good", "No cell printed so much that pictures are dropped.")


def _budget() -> Finding:
    what, limit = "Room for pictures", f"{BYTES_PER_S / 1e6:.0f} MB a second"
    if not KERNEL.tight(time.monotonic()):
        waited = f"so far pictures had to wait {KERNEL.refused:,} times"
        return Finding(what, "good", f"The previews of this kernel share {limit}; {waited}.")
    return Finding(
        what,
        "slow",
        f"The previews of this kernel have reached the {limit} that they share.",
        "Close some, or give a smaller size= or fps=.",
    )


def _encoder(size: tuple[int, int], wanted_fps: float) -> Finding:
    """Encode a moving picture for a moment and tell how fast that is."""
    from ..media.rtc.encoder import VideoEncoder
    from ..media.sources import open_source

    source = open_source("synthetic", size=size, fps=wanted_fps)
    pictures = [frame for _, frame in itertools.islice(source.frames(), PICTURES)]
    encoder = VideoEncoder("h264", bitrate=BITRATE)
    began, count = time.monotonic(), 0
    while time.monotonic() - began < ENCODE_S:
        encoder.encode(pictures[count % PICTURES], round(count * 90_000 / wanted_fps))
        count += 1
    fps = count / (time.monotonic() - began)
    said = (
        f"H.264 at {size[0]}x{size[1]}: {fps:.0f} frames a second by an encoder on its own; "
        f"{wanted_fps:g} are to be sent."
    )
    if fps >= ROOM * wanted_fps:
        return Finding("Encoding", "good", said)
    return Finding("Encoding", "slow", said, "Give a smaller size= or fps=.")


def _udp() -> Finding:
    """Send a packet to ourselves: without UDP no media connection can begin in the kernel."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            one.settimeout(0.5)
            one.sendto(b"here", one.getsockname())
            heard = one.recv(16) == b"here"
    except OSError:
        heard = False
    if heard:
        return Finding("UDP", "good", "The kernel may send UDP; whether it gets out is not known.")
    return Finding(
        "UDP",
        "missing",
        "The kernel may not send UDP, which media is carried by.",
        'Let the browser carry it: lab.live(source="camera").',
    )
