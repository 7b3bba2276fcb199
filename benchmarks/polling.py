"""Wall time, lateness and status calls of a sweep, beside the official SDK at the same emulator.

Service times are drawn from a lognormal distribution and known exactly; the ideal is list
scheduling of those times at the same concurrency, which no client can beat. Ours runs a whole
sweep, journal, downloads and verification included; the SDK runs ``submit_and_poll`` under
``gather`` and a semaphore, the results kept in memory. The two short cases begin without any
history; the long one comes after a smaller sweep of such jobs, as a second sweep does. One job
comes before either client's, so that neither waits for the emulator to encode its only clip.
"""

from __future__ import annotations

import asyncio
import heapq
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean
from typing import Any

from _report import Row, out_argument, report

SCALE = float(os.environ.get("POLLING_SCALE", "1"))
"""Below 1 for a quick look: fewer jobs."""

CASES = (("2 s", 300, 2.0, 32), ("0.5 s", 600, 0.5, 32), ("10 s", 480, 10.0, 96))
"""Name, jobs, mean seconds, jobs in flight."""

SIGMA = 0.6

FIRST = 10**9
"""Seed of a job that comes before either client's: the emulator encodes its clip for it, once."""


@dataclass
class Outcome:
    """One client's run.

    Parameters
    ----------
    wall_s, ideal_s : float
        What it took, and what it might have taken.
    lag_s : float
        Mean time from a job's end to its being seen.
    polls : float
        Status calls per job.
    """

    wall_s: float
    ideal_s: float
    lag_s: float
    polls: float


def _serve(pipe: Connection, service_times: str) -> None:
    from decart_lab.emulator import emulator

    with emulator(render="canned", capacity=512, service_times=service_times) as emu:
        pipe.send(emu.url)
        pipe.recv()
        jobs = emu.world.jobs.values()
        pipe.send({j.id: (j.submitted_at, j.work_s, j.finished_at) for j in jobs})


def _ideal(times: list[float], places: int) -> float:
    busy = [0.0] * places
    for seconds in times:
        heapq.heappush(busy, heapq.heappop(busy) + seconds)
    return max(busy)


async def _informed(url: str, jobs: int, places: int) -> tuple[float, dict[str, datetime], int]:
    """Ours, after a smaller sweep of the same kind of jobs, whose durations are remembered."""
    from decart_lab.sweep.durations import Durations

    durations = Durations()
    await _ours(url, 2 * places, places, durations, first=jobs)
    return await _ours(url, jobs, places, durations)


async def _ours(
    url: str, jobs: int, places: int, durations: Any = None, first: int = 0
) -> tuple[float, dict[str, datetime], int]:
    from decart_lab.api.client import DecartClient
    from decart_lab.media import samples
    from decart_lab.sweep.engine import Runner, Settings
    from decart_lab.sweep.grid import Grid
    from decart_lab.sweep.journal import Journal
    from decart_lab.sweep.plan import build_plan
    from decart_lab.sweep.store import Store

    seeds = range(first, first + jobs)
    grid = Grid.of(model="lucy-2.1", prompt="ink", data=samples.path("clip.mp4"), seed=seeds)
    plan = build_plan(grid, service="emulator")
    with tempfile.TemporaryDirectory() as root:
        store = Store(Path(root) / "run", Path(root))
        store.create()
        rows = (point.row() for point in plan.runnable)
        with Journal.create(store.folder, {"run_id": "run"}, rows, plan.columns) as journal:
            lease = journal.acquire()
            assert lease is not None
            settings = Settings(concurrency=places, thumbs=False)
            async with DecartClient("dct_benchmark", base_url=url) as client:
                runner = Runner(
                    client,
                    journal,
                    lease,
                    store,
                    plan.runnable,
                    settings=settings,
                    durations=durations,
                )
                began = time.monotonic()
                await runner.run()
                wall = time.monotonic() - began
            found = journal.rows()
    assert {row["status"] for row in found} == {"completed"}, Counter(r["status"] for r in found)
    seen = {row["job_id"]: row["completed_at"] for row in found}
    return wall, seen, sum(row["polls"] for row in found)


async def _sdk(url: str, jobs: int, places: int) -> tuple[float, dict[str, datetime], int]:
    from decart import DecartClient, models

    from decart_lab.media import samples

    content = samples.path("clip.mp4").read_bytes()
    seen: dict[str, datetime] = {}
    calls = 0
    gate = asyncio.Semaphore(places)

    def note(job: Any) -> None:
        nonlocal calls
        calls += 1
        if job.status == "completed":
            seen[job.job_id] = datetime.now(UTC)

    async def one(client: Any, seed: int) -> None:
        async with gate:
            await client.queue.submit_and_poll(
                {
                    "model": models.video("lucy-2.1"),
                    "prompt": "ink",
                    "data": content,
                    "seed": seed,
                    "on_status_change": note,
                }
            )

    async with DecartClient(api_key="dct_benchmark", base_url=url) as client:
        began = time.monotonic()
        await asyncio.gather(*(one(client, seed) for seed in range(jobs)))
        wall = time.monotonic() - began
    return wall, seen, calls - jobs  # one call of the callback is the submission's


Client = Callable[[str, int, int], Coroutine[Any, Any, tuple[float, dict[str, datetime], int]]]


def _measure(client: Client, jobs: int, mean_s: float, places: int) -> Outcome:
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(there, f"lognormal:{mean_s}:{SIGMA}"), daemon=True
    )
    server.start()
    try:
        url = here.recv()
        asyncio.run(_ours(url, 1, 1, first=FIRST))
        wall, seen, polls = asyncio.run(client(url, jobs, places))
        here.send("")
        truth = here.recv()
    finally:
        server.terminate()
        server.join()
    ordered = sorted((truth[job] for job in seen), key=lambda job: job[0])
    ideal = _ideal([work_s for _, work_s, _ in ordered], places)
    lag = mean((seen[job] - truth[job][2]).total_seconds() for job in seen)
    return Outcome(wall, ideal, lag, polls / jobs)


def main() -> int:
    """Run and report."""
    out = out_argument("polling")
    rows: list[Row] = []
    for name, jobs, mean_s, places in CASES:
        count = max(places, int(jobs * SCALE))
        ours = _measure(_informed if name == "10 s" else _ours, count, mean_s, places)
        theirs = _measure(_sdk, count, mean_s, places)
        print(name, ours, theirs, sep="\n  ", flush=True)
        limit = {"2 s": 1.10, "0.5 s": 1.35}.get(name)
        rows += [
            Row(f"{name} jobs: decart_lab / ideal", ours.wall_s / ours.ideal_s, "x", limit),
            Row(f"{name} jobs: official SDK / ideal", theirs.wall_s / theirs.ideal_s, "x"),
            Row(f"{name} jobs: decart_lab, status calls per job", ours.polls, ""),
            Row(f"{name} jobs: official SDK, status calls per job", theirs.polls, ""),
            Row(f"{name} jobs: decart_lab, seen late by", ours.lag_s, "s"),
            Row(f"{name} jobs: official SDK, seen late by", theirs.lag_s, "s"),
        ]
        if name == "10 s":
            rows += [
                Row("10 s jobs: lateness / official SDK's", ours.lag_s / theirs.lag_s, "x", 1.0),
                Row("10 s jobs: calls / official SDK's", ours.polls / theirs.polls, "x", 0.8),
            ]
    return report("polling", rows, out)


if __name__ == "__main__":
    sys.exit(main())
