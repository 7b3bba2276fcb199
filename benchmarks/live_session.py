"""A live session of one minute, client and emulator both on this machine, over real WebRTC.

The clip is sent at 640x352 and 25 frames a second; every frame carries a mark that says which one
it is, and comes back painted. Promised: at least 95 % of the frames return, in order; a change of
the prompt is seen within 250 ms (95th percentile, from the call to the first changed frame); from
connect() to the first generated frame 500 ms (median), without a network and with a STUN server
that is dead. The emulator's own service time is none. Frames are read by a plain sink of pixels,
not by the session's own figures.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _report import RESULTS, Row, report

SIZE, FPS = (640, 352), 25.0
PROMPTS = ("black and white", "golden hour sunset")
CONNECTIONS = 15


@contextlib.contextmanager
def emulator(*options: str) -> Iterator[str]:
    """Serve the emulator in a process of its own; yield its address."""
    command = [sys.executable, "-m", "decart_lab", "emulator", "--port", "0", "--parent-pipe"]
    command += options
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            words = [word for word in line.split() if word.startswith("http://")]
            if words:
                yield words[0].rstrip(".")
                break
        run.terminate()


class Frames:
    """Every frame that came back: when, which, and how it looked on average."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int | None, float, float]] = []

    def __call__(self, frame: Any) -> None:
        import numpy as np

        from decart_lab.media.marker import read

        planes = [np.frombuffer(plane, np.uint8)[::37].mean() for plane in frame.planes[1:3]]
        self.seen.append((time.monotonic(), read(frame), float(planes[0]), float(planes[1])))

    def between(self, start: float, end: float) -> tuple[float, float]:
        """Average colour of the frames of a span."""
        found = [row for row in self.seen if start <= row[0] < end]
        return (
            statistics.fmean(row[2] for row in found),
            statistics.fmean(row[3] for row in found),
        )


def clip() -> Path:
    """The real clip where there is one, else the bundled sample."""
    folder = os.environ.get("DECART_LAB_TEST_DATA")
    if folder:
        return Path(folder) / "video.mp4"
    from decart_lab.media import samples

    return samples.path("clip.mp4")


async def connections(client: Any, count: int) -> list[float]:
    """Seconds from connect() to the first generated frame, each in a session of its own."""
    found = []
    for _ in range(count):
        arrived = asyncio.Event()
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        session = await client.realtime.connect(
            clip(), model="lucy-2.1", prompt=PROMPTS[0], size=SIZE, fps=FPS
        )
        session.hub.add_pixels(lambda _: loop.call_soon_threadsafe(arrived.set))  # noqa: B023 - awaited here
        async with asyncio.timeout(30):
            await arrived.wait()
        found.append(time.monotonic() - began)
        await session.end()
    return found


async def minute(client: Any, seconds: float) -> dict[str, Any]:
    """Run one session, change its prompt now and then, and return what was seen."""
    frames = Frames()
    changes = []
    session = await client.realtime.connect(
        clip(), model="lucy-2.1", prompt=PROMPTS[0], size=SIZE, fps=FPS, measure=True
    )
    session.hub.add_pixels(frames)
    await asyncio.sleep(2)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        await asyncio.sleep(3)
        prompt = PROMPTS[(len(changes) + 1) % 2]
        called = time.monotonic()
        await session.set_prompt(prompt)
        changes.append(called)
    await asyncio.sleep(2.5)
    stats, diagnostics = session.stats(), session.diagnostics
    await session.end()
    return {"frames": frames, "changes": changes, "stats": stats, "diagnostics": diagnostics}


def seen_after(frames: Frames, changes: list[float]) -> list[float]:
    """Seconds from each change to the first frame that looks more like after than like before."""
    found = []
    for number, called in enumerate(changes):
        end = changes[number + 1] if number + 1 < len(changes) else called + 2.5
        before = frames.between(called - 0.5, called)
        after = frames.between(end - 1.0, end)
        for when, _, u, v in frames.seen:
            if when <= called:
                continue
            to_before = (u - before[0]) ** 2 + (v - before[1]) ** 2
            to_after = (u - after[0]) ** 2 + (v - after[1]) ** 2
            if to_after < to_before:
                found.append(when - called)
                break
    return found


async def run(url: str, seconds: float) -> list[Row]:
    from decart_lab import DecartClient

    async with DecartClient(
        api_key="emulator", base_url=url, realtime_base_url=url.replace("http", "ws")
    ) as client:
        starts = await connections(client, CONNECTIONS)
        found = await minute(client, seconds)
    frames, changes = found["frames"], found["changes"]
    marks = [mark for _, mark, _, _ in frames.seen if mark is not None]
    steps = [(b - a) % 65_536 for a, b in itertools.pairwise(marks)]
    sent = (marks[-1] - marks[0]) % 65_536 + 1
    waits = sorted(seen_after(frames, changes))
    stats = found["stats"].iloc[3:]
    for line in found["diagnostics"]:
        print(line)
    return [
        Row("frames that came back", len(set(marks)) / sent * 100, "%", 95, at_least=True),
        Row("frames out of order", sum(step > 32_768 for step in steps), "frames", 0),
        Row("frames whose mark could be read", len(marks) / len(frames.seen) * 100, "%"),
        Row("prompt to first changed frame, p95", waits[int(len(waits) * 0.95)] * 1e3, "ms", 250),
        Row("changes that were seen", len(waits) / len(changes) * 100, "%", 100, at_least=True),
        Row("connect to first generated frame, p50", statistics.median(starts) * 1e3, "ms", 500),
        Row("glass to glass, p50", float(stats["g2g_p50_ms"].median()), "ms"),
        Row("frames received a second", float(stats["fps_in"].median()), "fps"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "live_session.json")
    options = parser.parse_args()
    with emulator() as url:
        return report("live_session", asyncio.run(run(url, options.seconds)), options.out)


if __name__ == "__main__":
    sys.exit(main())
