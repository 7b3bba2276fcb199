"""What the emulator's media work costs: looks per frame, whole clips, canned answers."""

from __future__ import annotations

import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from _report import Row, out_argument, report

from decart_lab.contract.models import find
from decart_lab.emulator.looks import LOOKS
from decart_lab.emulator.render import RenderRequest, render
from decart_lab.emulator.style import Style
from decart_lab.media import samples
from decart_lab.media.image import open_image

LIVE = (640, 352)
FRAMES = 25


def per_frame_ms(prompt: str) -> float:
    """CPU time of a style on one frame, in milliseconds, without decoding and encoding."""
    picture = open_image(samples.path("cat.jpg")).resize(LIVE)
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24").reformat(
        format="yuv420p"
    )
    style = Style.of(prompt, 1, "lucy-2.1")
    begun = time.process_time()
    count = sum(1 for _ in style.apply([frame] * FRAMES, LIVE, Fraction(25)))
    return (time.process_time() - begun) / count * 1000


def main() -> int:
    """Run and report."""
    out = out_argument("emulator_render")
    costs = {look.name: per_frame_ms(look.name) for look in LOOKS}
    slowest = max(costs, key=lambda name: costs[name])
    rows = [
        Row("looks at 640x352, median CPU per frame", float(np.median(list(costs.values()))), "ms"),
        Row(f"slowest look at 640x352 ({slowest}), CPU per frame", costs[slowest], "ms"),
    ]
    model = find("lucy-2.1", "video")
    picture = find("lucy-image-2", "image")
    assert model is not None
    assert picture is not None
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        for name in ("sepia", slowest):
            request = RenderRequest(model, name, 1, data=samples.path("clip.mp4"))
            begun = time.perf_counter()
            frames = render(request, made).frames
            rows.append(
                Row(
                    f"clip 1280x720, {name}, 100 frames, decoded and encoded",
                    (time.perf_counter() - begun) / frames * 100,
                    "s",
                )
            )
        for spec, data in ((model, "clip.mp4"), (picture, "cat.jpg")):
            request = RenderRequest(
                spec, data=samples.path(data), mode="canned", input_s=2.5, job_id="job"
            )
            render(request, made)
            times = []
            for _ in range(200):
                begun = time.perf_counter()
                render(request, made)
                times.append(time.perf_counter() - begun)
            rows.append(Row(f"canned {spec.kind}, median", float(np.median(times)) * 1000, "ms", 1))
    return report("emulator_render", rows, out)


if __name__ == "__main__":
    sys.exit(main())
