"""What a JPEG of a live frame costs: from the planes as ours, or the usual way by RGB and Pillow.

Frames are decoded from a real clip and scaled to the size under test beforehand. Both ways make
pictures of the same fidelity: Pillow's quality is the one whose error (PSNR against the frame as
RGB) is nearest to ours. Counted is this process' processor time, medians of frames encoded in
turn. From 720 lines up ours also changes the matrix, from BT.709 to the BT.601 that JPEG means;
only the size at which notebooks show a preview has a target.
``--clip`` names another clip than the bundled one.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import av
import numpy as np
from _report import RESULTS, Row, report
from PIL import Image

from decart_lab.media import samples
from decart_lab.media.jpeg import JpegEncoder
from decart_lab.media.sources.fit import Fit
from decart_lab.media.video import read_frames, to_rgb

SIZES = ((480, 270), (1280, 720))
FRAMES = 60
WARM_UP = 5
MOST_OF_PILLOW = {(480, 270): 1.0}

Way = Callable[[av.VideoFrame], bytes]


def by_pillow(frame: av.VideoFrame, quality: int) -> bytes:
    """Encode by way of RGB."""
    out = io.BytesIO()
    frame.to_image().save(out, "JPEG", quality=quality)
    return out.getvalue()


def fidelity(data: bytes, frame: av.VideoFrame) -> float:
    """Return the PSNR against the frame as RGB, in dB."""
    seen = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64)
    error = float(np.mean((seen - to_rgb(frame)) ** 2))
    return 10 * float(np.log10(255**2 / error))


def costs(ways: list[Way], frames: list[av.VideoFrame]) -> list[tuple[float, float]]:
    """Return each way's processor time in ms and size in KiB, medians per frame, taken in turn."""
    times: list[list[float]] = [[] for _ in ways]
    sizes: list[list[float]] = [[] for _ in ways]
    for number, frame in enumerate([*frames[:WARM_UP], *frames]):
        for way, took, size in zip(ways, times, sizes, strict=True):
            began = time.process_time()
            data = way(frame)
            spent = time.process_time() - began
            if number >= WARM_UP:
                took.append(spent * 1e3)
                size.append(len(data) / 1024)
    return [
        (statistics.median(took), statistics.median(size))
        for took, size in zip(times, sizes, strict=True)
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="preview_jpeg")
    parser.add_argument("--out", type=Path, default=RESULTS / "preview_jpeg.json")
    parser.add_argument("--clip", type=Path, default=None)
    given = parser.parse_args()
    clip = given.clip or samples.path("clip.mp4")
    rows = []
    for size in SIZES:
        fit, ours = Fit(size), JpegEncoder()
        frames = [fit(frame) for frame in islice(read_frames(clip), FRAMES)]
        probe = frames[len(frames) // 2]
        wanted = fidelity(ours.encode(probe), probe)
        quality = min(
            range(30, 98), key=lambda q, p=probe, w=wanted: abs(fidelity(by_pillow(p, q), p) - w)
        )
        (mine, mine_kib), (usual, usual_kib) = costs(
            [ours.encode, partial(by_pillow, quality=quality)], frames
        )
        name = f"{size[0]}x{size[1]}"
        rows += [
            Row(f"{name}: ours", mine, "ms CPU"),
            Row(f"{name}: RGB and Pillow at quality {quality}", usual, "ms CPU"),
            Row(f"{name}: ours of Pillow's", mine / usual, "x", MOST_OF_PILLOW.get(size)),
            Row(f"{name}: PSNR of ours", wanted, "dB"),
            Row(f"{name}: size of ours", mine_kib, "KiB"),
            Row(f"{name}: size of Pillow's", usual_kib, "KiB"),
        ]
    return report("preview_jpeg", rows, given.out)


if __name__ == "__main__":
    sys.exit(main())
