"""Ten minutes of live sessions: memory, threads and open files must not grow.

One session runs all the time with its prompt changing, a recorder and a frame callback; beside it,
short ones come and go. Both processes, ours and the emulator's, are looked at every ten seconds;
memory goes by the slope over the second half, when everything has been used once, and counts of
threads and files by quarters of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from _report import RESULTS, Row, report
from live_session import SIZE, clip, emulator

LOOK_S = 10.0


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def files_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def slope(values: list[float]) -> float:
    """Growth per minute over the second half, by least squares."""
    half = values[len(values) // 2 :]
    times = [number * LOOK_S / 60 for number in range(len(half))]
    return statistics.linear_regression(times, half).slope


def growth(counts: list[float]) -> float:
    """Usual count in the last quarter over that in the second: sessions come and go meanwhile."""
    quarter = len(counts) // 4
    return statistics.median(counts[-quarter:]) - statistics.median(counts[quarter : 2 * quarter])


async def short_ones(client: Any, stop: asyncio.Event) -> int:
    """Open and end sessions in both dialects until told to stop; return how many."""
    for number in itertools.count():
        if stop.is_set():
            return number
        session = await client.realtime.connect(
            "synthetic",
            model="lucy-2.1",
            prompt="snow",
            size=(320, 176),
            dialect=("http", "websocket")[number % 2],
        )
        await session.snapshot()
        await session.end()
        await asyncio.sleep(3)
    raise AssertionError


async def run(url: str, seconds: float) -> list[Row]:
    from decart_lab import DecartClient

    children = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "emulator"], capture_output=True, text=True
    )
    server = int(children.stdout.split()[0])
    looks: list[tuple[float, float, int, int]] = []
    async with DecartClient(
        api_key="emulator", base_url=url, realtime_base_url=url.replace("http", "ws")
    ) as client:
        stop = asyncio.Event()
        beside = asyncio.create_task(short_ones(client, stop))
        with tempfile.TemporaryDirectory() as folder:
            session = await client.realtime.connect(
                clip(), model="lucy-2.1", prompt="ink", size=SIZE, fps=15, measure=True
            )
            session.record(Path(folder) / "soak.mp4")
            session.on_frame(lambda _: None, max_fps=5)
            began = time.monotonic()
            prompts = itertools.cycle(["black and white", "snow", "golden hour sunset", None])
            while time.monotonic() - began < seconds:
                await session.set(prompt=next(prompts))
                await asyncio.sleep(LOOK_S)
                gc.collect()
                looks.append(
                    (
                        memory_mb(os.getpid()),
                        memory_mb(server),
                        threading.active_count(),
                        files_of(os.getpid()),
                    )
                )
            stop.set()
            count = await beside
            summary = await session.end()
    ours, theirs, threads, files = (list(map(float, column)) for column in zip(*looks, strict=True))
    return [
        Row("the session ran for", summary.seconds, "s", seconds * 0.9, at_least=True),
        Row("sessions that came and went beside it", count, "sessions"),
        Row("growth of our memory", slope(ours), "MB/min", 1.5),
        Row("growth of the emulator's memory", slope(theirs), "MB/min", 1.5),
        Row("growth of threads", growth(threads), "threads", 1),
        Row("growth of open files", growth(files), "files", 1),
        Row("our memory in the end", ours[-1], "MB"),
        Row("the emulator's memory in the end", theirs[-1], "MB"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "session_soak.json")
    options = parser.parse_args()
    with emulator("--session-s", "100000") as url:
        rows = asyncio.run(run(url, options.seconds))
    return report("session_soak", rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
