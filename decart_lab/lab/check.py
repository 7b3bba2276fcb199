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

from ..display.html import card, el
from .live import views

Verdict = Literal["good", "slow", "missing", "unknown"]

ENCODE_S: Final = 0.6
SIZE: Final = (640, 352)
WANTED_FPS: Final = 30.0
PICTURES: Final = 15
BITRATE: Final = 2_500_000
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
    open_views = [(caps, past) for view in views() for caps, past in view.findings()]
    return Check((_cells(open_views), *_page(open_views), _encoder(), _udp()))


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
    secure, decoder = "A secure page", "Decoding in the page"
    if not open_views:
        return [
            Finding(what, "unknown", "No live view is open.", "Open one, then check again.")
            for what in (secure, decoder)
        ]
    caps = open_views[-1][0]
    if caps.get("secure") is not True:
        why = "The page is no secure context: it has no camera, and pictures go to it as JPEG."
        fix = "Open Jupyter by https, or as localhost, for example through an SSH tunnel."
        return [Finding(secure, "missing", why, fix), Finding(decoder, "missing", why, fix)]
    found = [Finding(secure, "good", "The camera may be used, if the browser's user allows it.")]
    if caps.get("h264") is True or caps.get("vp8") is True:
        found.append(Finding(decoder, "good", "Frames go to the page as they were received."))
    else:
        found.append(
            Finding(
                decoder,
                "slow",
                "This browser decodes neither H.264 nor VP8 by WebCodecs: frames go as JPEG.",
                "Use a browser that has both, such as a current Chrome, Edge, Firefox or Safari.",
            )
        )
    return found


def _encoder() -> Finding:
    """Encode a moving picture for a moment and tell how fast that is."""
    from ..media.rtc.encoder import VideoEncoder
    from ..media.sources import open_source

    source = open_source("synthetic", size=SIZE, fps=WANTED_FPS)
    pictures = [frame for _, frame in itertools.islice(source.frames(), PICTURES)]
    encoder = VideoEncoder("h264", bitrate=BITRATE)
    began, count = time.monotonic(), 0
    while time.monotonic() - began < ENCODE_S:
        encoder.encode(pictures[count % PICTURES], round(count * 90_000 / WANTED_FPS))
        count += 1
    fps = count / (time.monotonic() - began)
    said = f"H.264 at {SIZE[0]}x{SIZE[1]}: {fps:.0f} frames a second, by an encoder on its own."
    if fps >= WANTED_FPS:
        return Finding("Encoding", "good", said)
    return Finding("Encoding", "slow", said, "Use a smaller size= or fps=.")


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
