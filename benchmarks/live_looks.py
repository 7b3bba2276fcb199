"""What painting a live frame costs, look by look, and how long a change of look takes.

One frame of a real clip after the other, at 640x352 and 1280x720, one core: processor time of the
painting thread, without decoding and encoding. A change is asked for while frames run at 25 per
second; counted is how many more of them still show the old look.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from itertools import combinations

import av
import numpy as np
from _report import Row, out_argument, report

from decart_lab.emulator.live import LivePainter
from decart_lab.emulator.looks import LOOKS
from decart_lab.media import marker, samples
from decart_lab.media.image import open_image
from decart_lab.media.video import read_frames

LIVE, LARGE = (640, 352), (1280, 720)
FPS = 25
FRAMES = 40
CHANGES = 3
MODEL = "lucy-2.1"


def clip(size: tuple[int, int]) -> list[np.ndarray]:
    """Frames of the sample clip, as planes."""
    frames = read_frames(samples.path("clip.mp4"), end_s=1.5)
    return [
        frame.reformat(*size, format="yuv420p", interpolation="BILINEAR").to_ndarray()
        for frame in frames
    ]


def frame(array: np.ndarray, number: int) -> av.VideoFrame:
    """A frame as it comes from the network, stamped."""
    made = av.VideoFrame.from_ndarray(array, format="yuv420p")
    made.pts, made.time_base = number * 3600, Fraction(1, 90_000)
    marker.stamp(made, number)
    return made


def cost_ms(arrays: list[np.ndarray], prompt: str, **picture) -> float:
    """Median processor time of one frame, in milliseconds."""
    painter = LivePainter(MODEL, prompt=prompt, enhance=False, **picture)
    costs = []
    for number in range(FRAMES):
        given = frame(arrays[number % len(arrays)], number)
        begun = time.thread_time()
        painted = painter.paint(given)
        costs.append(time.thread_time() - begun)
        assert marker.read(painted) == number, prompt
    return float(np.median(costs[5:])) * 1000


def change(painter: LivePainter, arrays: list[np.ndarray], prompt: str) -> tuple[float, int]:
    """Seconds until a change is ready, and frames at 25 per second that do not show it yet."""
    asked = time.monotonic()
    done = painter.change(prompt=prompt)
    shown, old = 0, 0
    while not done.done():
        due = asked + (shown + 1) / FPS
        while not done.done() and time.monotonic() < due:
            time.sleep(0.001)
        if time.monotonic() >= due:
            ready = done.done()
            painter.paint(frame(arrays[shown % len(arrays)], shown))
            shown += 1
            old += not ready
    ready_s = time.monotonic() - asked
    done.result()
    painter.paint(frame(arrays[0], shown))
    return ready_s, old


def main() -> int:
    """Run and report."""
    out = out_argument("live_looks")
    arrays = {size: clip(size) for size in (LIVE, LARGE)}
    coffee = open_image(samples.path("coffee.jpg"))
    rows = [Row("passed through at 640x352, CPU per frame", cost_ms(arrays[LIVE], ""), "ms")]
    names = [look.name for look in LOOKS]
    costs = {name: cost_ms(arrays[LIVE], name) for name in names}
    rows += [Row(f"{name} at 640x352, CPU per frame", costs[name], "ms") for name in names]
    rows.append(
        Row(
            "a reference picture at 640x352, CPU per frame",
            cost_ms(arrays[LIVE], "", image=coffee),
            "ms",
        )
    )
    dear = sorted(names, key=lambda name: costs[name])[-5:]
    trios = {", ".join(trio): 0.0 for trio in combinations(dear, 3)}
    for trio in trios:
        trios[trio] = cost_ms(arrays[LIVE], trio, image=coffee)
    worst = max(trios, key=lambda trio: trios[trio])
    rows.append(
        Row(
            f"frames per second on one core, worst of all ({worst}, and a picture)",
            1000 / trios[worst],
            "fps",
            24,
            at_least=True,
        )
    )
    large = {name: cost_ms(arrays[LARGE], name) for name in names}
    slowest = max(large, key=lambda name: large[name])
    rows += [
        Row("looks at 1280x720, median CPU per frame", float(np.median([*large.values()])), "ms"),
        Row(f"slowest look at 1280x720 ({slowest}), CPU per frame", large[slowest], "ms"),
    ]
    painter = LivePainter(MODEL, enhance=False)
    painter.paint(frame(arrays[LIVE][0], 0))
    waits, olds = [], []
    for _ in range(CHANGES):
        for name in names:
            wait_s, old = change(painter, arrays[LIVE], name)
            waits.append(wait_s * 1000)
            olds.append(old)
    rows += [
        Row("a change is ready, median", float(np.median(waits)), "ms"),
        Row("a change is ready, p95", float(np.percentile(waits, 95)), "ms", 250),
        Row("frames at 25 fps that still show the old look, median", float(np.median(olds)), ""),
        Row(
            "frames at 25 fps that still show the old look, p95",
            float(np.percentile(olds, 95)),
            "",
            2,
        ),
    ]
    return report("live_looks", rows, out)


if __name__ == "__main__":
    sys.exit(main())
