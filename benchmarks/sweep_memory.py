"""Memory of the client while 200 pictures go through it.

The emulator renders in a process of its own at speed 100; this process runs the sweep, and its
resident size is sampled all the while. Promised: never more than 150 MB over its size after
imports.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from _report import Row, out_argument, report

POINTS = 200
ALLOWED_MB = 150.0
SAMPLE_S = 0.01


def resident_mb() -> float:
    """Resident size of this process, in MB of 10**6 bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("this system tells no VmRSS")


class Sampler(threading.Thread):
    """Remembers the largest resident size until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.largest = resident_mb()
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(SAMPLE_S):
            self.largest = max(self.largest, resident_mb())


def imports() -> None:
    """Everything the sweep needs, so that what follows is its own."""
    import av  # noqa: F401
    import numpy as np  # noqa: F401
    import pandas as pd  # noqa: F401
    import PIL.Image
    import PIL.WebPImagePlugin  # noqa: F401
    import tqdm.auto  # noqa: F401

    import decart_lab.api.client
    import decart_lab.display.progress
    import decart_lab.lab.connect
    import decart_lab.lab.run
    import decart_lab.media.video  # noqa: F401


def main() -> int:
    out = out_argument("sweep_memory")
    imports()
    from decart_lab.lab.connect import connect
    from decart_lab.media import samples

    base = resident_mb()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DECART_LAB_RUNS"] = folder
        sampler = Sampler()
        sampler.start()
        started = time.monotonic()
        with connect("emulator", speed=100) as lab:
            sweep = lab.sweep(
                model="lucy-image-2",
                prompt=["ink drawing", "watercolour", "neon city", "clay figure"],
                data=[samples.path(name) for name in samples.names() if name.endswith(".jpg")],
                seed=range(17),
            )
            run = sweep.sample(POINTS).run()
            completed = int((run.df["status"] == "completed").sum())
            media_mb = run.df["media_bytes"].sum() / 1e6
        seconds = time.monotonic() - started
        sampler.stopped.set()
        sampler.join()
    return report(
        "sweep_memory",
        [
            Row("points completed", completed, "points", POINTS, at_least=True),
            Row("size over imports, at the most", sampler.largest - base, "MB", ALLOWED_MB),
            Row("size after imports", base, "MB"),
            Row("media received", float(media_mb), "MB"),
            Row("points per second", completed / seconds, "1/s"),
        ],
        out,
    )


if __name__ == "__main__":
    sys.exit(main())
