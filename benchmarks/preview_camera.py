"""The browser's own camera to the emulator and back, the kernel busy in the middle.

JupyterLab, headless Chromium with a camera that is none, the kernel and the emulator (a process of
its own) share this machine. Frames are counted in the page by the video elements themselves, as
they hand each one to the screen: those of the camera, and those that came back. In the middle a
cell runs a pure-Python loop for five seconds, and later holds Python's lock for five, as some C
extensions do, so that no thread of the kernel runs at all.

Promised: as many pictures come back as the camera makes (98 % of them, to the resolution of a five
seconds' count), and no second is frozen.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from _report import RESULTS, Row, report
from live_session import emulator

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.jupyter import CAMERA, chromium, jupyterlab
from tests.helpers.livenotebook import LiveNotebook

SPAN_S, GAP_S, SHARE = 5.0, 1.0, 0.98
CONNECT = "import decart_lab as dl, time\nlab = dl.connect({url!r})"
OPEN = "live = lab.live('lucy-2.1', 'anime', source='camera', size=(480, 270), fps=20)\nlive"
BUSY = {
    "a Python loop": f"t = time.time()\nwhile time.time() < t + {SPAN_S}: pass",
    "Python's lock held": f"import ctypes\nctypes.PyDLL(None).sleep({SPAN_S:.0f})",
}
# Hung on to each video as it comes, and again when another one takes its place.
COUNT = """
window.input = [];
window.output = [];
setInterval(() => {
  for (const of of ['input', 'output']) {
    const video = document.querySelector(`.dl-${of} video`);
    if (!video || video.counted) continue;
    video.counted = true;
    const each = (now) => {
      window[of].push(now);
      video.requestVideoFrameCallback(each);
    };
    video.requestVideoFrameCallback(each);
  }
}, 50);
window.rates = [];
const open = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (open) navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await open(wanted);
  window.rates.push(...stream.getVideoTracks().map((track) => track.getSettings().frameRate));
  return stream;
};
"""


def fps(shown: LiveNotebook, of: str, began: float, ended: float) -> float:
    """Return the frames a second that one of the videos showed."""
    return len(shown.between(of, began, ended)) / (ended - began) * 1000


def gap_s(shown: LiveNotebook, began: float, ended: float) -> float:
    """Return the longest time without a picture that came back."""
    times = [began, *shown.between("output", began, ended), ended]
    return max(b - a for a, b in pairwise(times)) / 1000


def measure(browser: Any, lab: Any, url: str, rounds: int) -> list[Row]:
    """Count what comes while the kernel is idle and while it is busy, in turn."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(COUNT)
    shown = LiveNotebook(page, lab, "camera.ipynb", CONNECT.format(url=url), OPEN)
    page.wait_for_function("window.output.length > 60", timeout=60_000)
    shares: dict[str, list[float]] = {"idle": [], **{kind: [] for kind in BUSY}}
    gaps: dict[str, list[float]] = {kind: [] for kind in shares}
    came: dict[str, list[float]] = {kind: [] for kind in shares}

    def take(kind: str, began: float, ended: float) -> None:
        came[kind].append(fps(shown, "output", began, ended))
        shares[kind].append(came[kind][-1] / fps(shown, "input", began, ended))
        gaps[kind].append(gap_s(shown, began, ended))

    shown.idle(3.0)
    began = shown.now()
    for _ in range(rounds):
        for kind, source in BUSY.items():
            idle = shown.idle(SPAN_S)
            take("idle", idle.began, idle.ended)
            span = shown.run(source)
            take(kind, span.began, span.ended)
    ended = shown.now()
    rows = [
        Row("camera: frames a second it says it makes", page.evaluate("window.rates[0]"), "fps"),
        Row("camera: shown beside the output", fps(shown, "input", began, ended), "fps"),
    ]
    for kind in shares:
        share = statistics.median(shares[kind])
        rows += [
            Row(f"{kind}: came back", statistics.median(came[kind]), "fps"),
            Row(f"{kind}: of what the camera made", share, "x", SHARE, at_least=True),
            Row(f"{kind}: longest time without a picture", max(gaps[kind]), "s", GAP_S),
        ]
    shown.run("live.close()")
    context.close()
    return rows


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "preview_camera.json")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        emulator() as url,
        chromium(CAMERA) as browser,
    ):
        files, home = Path(folder, "files"), Path(folder, "home")
        files.mkdir()
        home.mkdir()
        with jupyterlab(files, home) as lab:
            rows = measure(browser, lab, url, options.rounds)
    return report("preview_camera", rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
