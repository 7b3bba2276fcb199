"""The encoded preview beside JPEGs: bytes, the kernel's processor time, order and delay.

One session of a real clip, whose frames carry their number, is shown in JupyterLab in headless
Chromium: as it was received, and as JPEGs in a page whose ``VideoDecoder`` was taken away. Both
take turns, and in between nobody looks; what the session itself costs then is subtracted, and the
figures without subtracting are told as well. Bytes are those of all messages on the page's
websockets, both streams (input and output) and answers included. The emulator is a process of its
own. At 1280x720 the page has so many pixels to show the output that JPEGs are of full size.

Promised at 1280x720, for each frame that is sent: a quarter of the bytes and half of the processor
time; and every frame in order. The figures per second are told as well: they say the same where the
machine keeps up with both, and flatter the JPEGs where it does not, since of those fewer are sent.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _marks import (
    EPOCH_MS,
    NOTE,
    RUN,
    SHOW,
    TAP,
    WITHOUT_DECODER,
    cpu_s,
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

from tests.helpers.jupyter import JupyterLab, chromium, jupyterlab
from tests.helpers.livenotebook import LiveNotebook

FPS = 20
SIZES = ((1280, 720), (480, 270))
PROMISED = SIZES[0]
BYTES, CPU = 0.25, 0.5
SETTLE_S, SPAN_S = 4.0, 10.0
# Wide enough for 960 pixels of output without the file browser, and 1280 of the screen for them.
SCREEN = {"viewport": {"width": 1200, "height": 800}, "device_scale_factor": 1.35}
BEGIN = """
import os
import decart_lab as dl
if "live" not in globals():
    lab = dl.connect({url!r})
    live = lab.live("lucy-2.1", source={path!r}, size={size}, fps={fps}, detach=True)
print(os.getpid())
"""


@dataclass(frozen=True)
class Span:
    """What was seen while the preview was of one kind."""

    cpu_ms: float  # per second
    kib: float = 0.0  # per second
    sent: float = 0.0  # frames of both streams per second
    fps: float = 0.0
    preview_ms: float = 0.0
    whole_ms: float = 0.0
    whole: float = 0.0
    disorder: int = 0
    unread: float = 0.0


def alone(page: Any, pid: int) -> Span:
    """Measure the session when nobody looks."""
    page.wait_for_timeout(SETTLE_S * 1000)
    began_s = cpu_s(pid)
    page.wait_for_timeout(SPAN_S * 1000)
    return Span((cpu_s(pid) - began_s) * 1000 / SPAN_S)


def watched(shown: LiveNotebook, pid: int, folder: Path) -> Span:
    """Measure it while a page shows it."""
    page = shown.page
    page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    page.get_by_role("button", name="Output", exact=True).click()
    page.evaluate(SHOW, ".dl-output")
    page.evaluate(RUN, f"{TAP}\ntap = Tap(live.session)")
    shown.wait_for_draws(timeout_s=60.0)
    shown.idle(SETTLE_S)
    epoch_ms = page.evaluate(EPOCH_MS)
    before, began, began_s = page.evaluate("({...wire})"), shown.now(), cpu_s(pid)
    shown.idle(SPAN_S)
    spent_s, after, ended = cpu_s(pid) - began_s, page.evaluate("({...wire})"), shown.now()
    seconds = (ended - began) / 1000
    drawn = read_drawn(page.evaluate(f"drawn({began}, {ended})"), epoch_ms)
    page.evaluate(RUN, "tap.end('tap.json')")
    noted = read_tap(folder / "tap.json")
    return Span(
        spent_s * 1000 / seconds,
        sum(after[way] - before[way] for way in after) / 1024 / seconds,
        len(shown.between("unanswered", began, ended)) / seconds,
        len(drawn) / seconds,
        quantile(delays_ms(drawn, noted["came"]), 0.5),
        quantile(delays_ms(drawn, noted["left"]), 0.5),
        sum(frame.whole for frame in drawn) / max(1, len(drawn)),
        out_of_order(drawn, FPS),
        unread(drawn),
    )


def compare(browser: Any, lab: JupyterLab, url: str, size: tuple[int, int], rounds: int) -> Any:
    """Return the spans of each kind, taken in turn."""
    name = f"{size[0]}x{size[1]}"
    path = lab.folder / f"{name}.mp4"
    write_clip(path, clip(), size, FPS)
    begin = BEGIN.format(url=url, path=str(path), size=size, fps=FPS)
    found: dict[str, list[Span]] = {"alone": [], "encoded": [], "jpeg": []}
    for number in range(rounds):
        kinds = ["encoded", "jpeg"][:: -1 if number % 2 else 1]
        for kind in kinds:
            context = browser.new_context(**SCREEN)
            page = context.new_page()
            page.add_init_script(NOTE)
            if kind == "jpeg":
                page.add_init_script(WITHOUT_DECODER)
            shown = LiveNotebook(page, lab, f"{name}.ipynb", begin, "live")
            pid = int(shown.outputs[0]["outputs"][-1]["text"].split()[-1])
            found[kind].append(watched(shown, pid, lab.folder))
            context.close()
        context = browser.new_context()
        found["alone"].append(alone(context.new_page(), pid))
        context.close()
    return found


def rows(size: tuple[int, int], found: dict[str, list[Span]]) -> list[Row]:
    """Return the figures, medians over all rounds."""

    def of(kind: str, name: str) -> float:
        return statistics.median(getattr(span, name) for span in found[kind])

    text = f"{size[0]}x{size[1]}"
    promised = size == PROMISED
    base = of("alone", "cpu_ms")
    made = [Row(f"{text}: kernel CPU when nobody looks", base, "ms/s")]
    for kind in ("encoded", "jpeg"):
        made += [
            Row(f"{text}, {kind}: drawn", of(kind, "fps"), "fps"),
            Row(f"{text}, {kind}: sent, input and output", of(kind, "sent"), "fps"),
            Row(f"{text}, {kind}: drawn as received", of(kind, "whole") * 100, "%"),
            Row(f"{text}, {kind}: on the wire", of(kind, "kib"), "KiB/s"),
            Row(f"{text}, {kind}: kernel CPU", of(kind, "cpu_ms"), "ms/s"),
            Row(f"{text}, {kind}: kernel CPU of the preview", of(kind, "cpu_ms") - base, "ms/s"),
            Row(f"{text}, {kind}: arrival to draw, median", of(kind, "preview_ms"), "ms"),
            Row(f"{text}, {kind}: sending to draw, median", of(kind, "whole_ms"), "ms"),
            Row(
                f"{text}, {kind}: drawn out of order",
                sum(span.disorder for span in found[kind]),
                "frames",
                0,
            ),
            Row(f"{text}, {kind}: markers not read", of(kind, "unread") * 100, "%", 1.0),
        ]
    sent = of("encoded", "sent") / of("jpeg", "sent")
    wire = of("encoded", "kib") / of("jpeg", "kib")
    cpu = (of("encoded", "cpu_ms") - base) / (of("jpeg", "cpu_ms") - base)
    whole = of("encoded", "cpu_ms") / of("jpeg", "cpu_ms")
    what = f"{text}, encoded of JPEG"
    return [
        *made,
        Row(f"{what}: bytes of a frame", wire / sent, "x", BYTES if promised else None),
        Row(f"{what}: kernel CPU of a frame", cpu / sent, "x", CPU if promised else None),
        Row(f"{what}: bytes per second", wire, "x"),
        Row(f"{what}: kernel CPU of the preview per second", cpu, "x"),
        Row(f"{what}: kernel CPU in all per second", whole, "x"),
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "preview_modes.json")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    made: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        files, home = Path(folder, "files"), Path(folder, "home")
        files.mkdir()
        home.mkdir()
        with jupyterlab(files, home) as lab:
            for size in SIZES:
                with emulator("--session-s", "3600") as url:
                    made += rows(size, compare(browser, lab, url, size, options.rounds))
    return report("preview_modes", made, options.out)


if __name__ == "__main__":
    sys.exit(main())
