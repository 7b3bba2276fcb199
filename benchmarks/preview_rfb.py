"""Our preview beside jupyter_rfb: the same frames of one session, in one notebook.

jupyter_rfb shows what a program draws: here the session's frames as its callback gives them
(``live.on_frame``), the newest whenever it asks, with its own defaults. It is no dependency of
ours; without it (``pip install jupyter_rfb``) its rows are left out.

Both are shown 960 pixels wide in JupyterLab in headless Chromium, one above the other, and in turn
only one is in sight; the other sends nothing then, and the callback is taken away. Frames of
1280x720 at 30 a second carry their number; the emulator is a process of its own. A frame of ours is
drawn when the canvas is painted; one of jupyter_rfb's counts from its image's ``load`` already,
before it is decoded. Delays are from a frame's arrival in the kernel.

Promised: 1.2 times its rate and half its delay when the kernel is idle, and pictures without a gap
of a second while a cell runs, where it stands still.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from _marks import (
    EPOCH_MS,
    NOTE,
    RUN,
    SHOW,
    TAP,
    delays_ms,
    out_of_order,
    quantile,
    read_drawn,
    read_tap,
    unread,
    write_clip,
)
from _report import RESULTS, Row, report
from live_session import clip, emulator

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.jupyter import chromium, jupyterlab
from tests.helpers.livenotebook import CELLS, LiveNotebook, Span

FPS, SIZE = 30, (1280, 720)
SETTLE_S, SPAN_S, BUSY_S = 3.0, 8.0, 5.0
BUSY = ("time.sleep", "a Python loop")
FASTER, DELAY, GAP_S = 1.2, 0.5, 1.0
SCREEN = {"width": 1400, "height": 800}
CONNECT = "import decart_lab as dl\nlab = dl.connect({url!r})"
OPEN = 'live = lab.live("lucy-2.1", source={path!r}, size={size}, fps={fps})\nlive'
OTHER = """
import asyncio
from jupyter_rfb import RemoteFrameBuffer

class Mirror(RemoteFrameBuffer):
    newest = None

    def get_frame(self):
        return self.newest

mirror = Mirror(css_width="960px", css_height="540px")
loop = asyncio.get_running_loop()

def mirrored(picture):
    mirror.newest = picture
    loop.call_soon_threadsafe(mirror.request_draw)

mirror
"""
FEED = "live.on_frame(mirrored)\n"
BOX = {"ours": ".dl-output canvas", "jupyter_rfb": ".renderview-wrapper img"}
# Far enough below that only one of the two is in sight.
APART = """() => {
  const output = document.querySelector('.renderview-wrapper').closest('.jp-Cell');
  output.style.marginTop = output.style.marginBottom = '1500px';
}"""


@dataclass
class Found:
    """What was seen of one of the two."""

    fps: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    disorder: int = 0
    unread: list[float] = field(default_factory=list)
    busy: dict[str, list[Span]] = field(default_factory=lambda: {kind: [] for kind in BUSY})


def drawn(shown: LiveNotebook, which: str, span: Span) -> Span:
    """Return the span with what this one drew in it."""
    if which == "ours":
        return span
    blobs = shown.page.evaluate(
        "([from, to]) => blobs.map(([at]) => at).filter((at) => at >= from && at < to)",
        [span.began, span.ended],
    )
    return Span(span.began, span.ended, blobs)


def look(shown: LiveNotebook, which: str, folder: Path, found: Found) -> None:
    """Show one of the two, idle and busy, and add what is seen."""
    page = shown.page
    page.evaluate(SHOW, BOX[which])
    page.evaluate(RUN, f"{'' if which == 'ours' else FEED}tap = Tap(live.session)")
    shown.idle(SETTLE_S)
    span = drawn(shown, which, shown.idle(SPAN_S))
    epoch_ms = page.evaluate(EPOCH_MS)
    read = "drawn" if which == "ours" else "loaded"
    frames = read_drawn(page.evaluate(f"{read}({span.began}, {span.ended})"), epoch_ms)
    page.evaluate(RUN, "tap.end('tap.json')")
    found.fps.append(span.fps)
    found.delays += delays_ms(frames, read_tap(folder / "tap.json")["came"])
    found.disorder += out_of_order(frames, FPS)
    found.unread.append(unread(frames))
    for kind in BUSY:
        shown.idle(SETTLE_S / 2)
        began = shown.now()
        page.evaluate(RUN, CELLS[kind].format(s=BUSY_S))
        found.busy[kind].append(drawn(shown, which, shown.span(began, shown.now())))
    if which != "ours":
        page.evaluate(RUN, "live.off_frame(mirrored)")
    page.evaluate("() => { corners.length = blobs.length = 0; }")


def measure(url: str, rounds: int, both: list[str]) -> dict[str, Found]:
    """Show both in turn."""
    found = {which: Found() for which in both}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        files, home = Path(folder, "files"), Path(folder, "home")
        files.mkdir()
        home.mkdir()
        path = files / "clip.mp4"
        write_clip(path, clip(), SIZE, FPS)
        with jupyterlab(files, home) as lab:
            context = browser.new_context(viewport=SCREEN)
            page = context.new_page()
            page.add_init_script(NOTE)
            cells = [
                CONNECT.format(url=url),
                OPEN.format(path=str(path), size=SIZE, fps=FPS),
                TAP,
                *([OTHER] if len(both) > 1 else []),
            ]
            shown = LiveNotebook(page, lab, "both.ipynb", *cells)
            if len(both) > 1:
                page.evaluate(APART)
            page.evaluate(SHOW, BOX["ours"])
            page.get_by_role("button", name="Output", exact=True).click()
            shown.wait_for_draws(timeout_s=60.0)
            for number in range(rounds):
                for which in both[:: -1 if number % 2 else 1]:
                    look(shown, which, files, found[which])
            context.close()
    return found


def rows(found: dict[str, Found]) -> list[Row]:
    """Return the figures, medians over all rounds."""
    made = []
    for which, one in found.items():
        own = which == "ours"
        made += [
            Row(f"{which}: drawn", statistics.median(one.fps), "fps"),
            Row(f"{which}: arrival to draw, median", quantile(one.delays, 0.5), "ms"),
            Row(f"{which}: arrival to draw, p95", quantile(one.delays, 0.95), "ms"),
            Row(f"{which}: drawn out of order", one.disorder, "frames", 0 if own else None),
            Row(f"{which}: markers not read", statistics.fmean(one.unread) * 100, "%"),
        ]
        for kind, spans in one.busy.items():
            gap_s = max(span.longest_gap_s for span in spans)
            fps = statistics.median(span.fps for span in spans)
            made += [
                Row(f"{which}: drawn during {kind}", fps, "fps"),
                Row(f"{which}: longest gap during {kind}", gap_s, "s", GAP_S if own else None),
            ]
    if len(found) > 1:
        ours, other = found["ours"], found["jupyter_rfb"]
        faster = statistics.median(ours.fps) / statistics.median(other.fps)
        delay = quantile(ours.delays, 0.5) / quantile(other.delays, 0.5)
        made += [
            Row("drawn when idle, ours of jupyter_rfb's", faster, "x", FASTER, at_least=True),
            Row("arrival to draw, ours of jupyter_rfb's", delay, "x", DELAY),
        ]
    return made


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "preview_rfb.json")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    both = ["ours", "jupyter_rfb"]
    if importlib.util.find_spec("jupyter_rfb") is None:
        print("jupyter_rfb is not installed (pip install jupyter_rfb): its rows are left out.")
        both.remove("jupyter_rfb")
    with emulator("--session-s", "3600") as url:
        return report("preview_rfb", rows(measure(url, options.rounds, both)), options.out)


if __name__ == "__main__":
    sys.exit(main())
