"""CPU per job of buying a sweep, beside a plain httpx loop that submits, polls and downloads.

What is measured is this process's CPU time over a whole run: intents and ids on the disk, polls,
downloads, their verification. Hashing of inputs, thumbnails and the server are left out.

The same work takes half as much again when another program uses the core's caches or its other
half. Both are therefore measured in turns, and the round that was disturbed least counts; the
middle one is shown beside it.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Coroutine
from typing import Any

from _report import Row, out_argument, report
from polling import _ours, _serve

JOBS, WARM, PLACES, ROUNDS = 400, 40, 32, 5


async def _plain(url: str, jobs: int, first: int) -> None:
    import httpx

    from decart_lab.media import samples

    content = samples.path("clip.mp4").read_bytes()
    gate = asyncio.Semaphore(PLACES)
    limits = httpx.Limits(max_connections=PLACES, max_keepalive_connections=PLACES)
    headers = {"x-api-key": "dct_benchmark"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False
    ) as client:

        async def one(seed: int) -> None:
            async with gate:
                data, files = {"prompt": "ink", "seed": str(seed)}, {"data": ("c.mp4", content)}
                answer = await client.post("/v1/jobs/lucy-2.1", data=data, files=files)
                job = answer.json()["job_id"]
                while True:
                    await asyncio.sleep(0.2)
                    if (await client.get(f"/v1/jobs/{job}")).json()["status"] == "completed":
                        break
                await client.get(f"/v1/jobs/{job}/content")

        await asyncio.gather(*(one(seed) for seed in range(first, first + jobs)))


def _cpu_ms(work: Coroutine[Any, Any, object]) -> float:
    began = time.process_time()
    asyncio.run(work)
    return (time.process_time() - began) * 1000 / JOBS


def main() -> int:
    """Run and report."""
    out = out_argument("engine_cpu")
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(there, "lognormal:0.5:0.6"), daemon=True
    )
    server.start()
    try:
        url = here.recv()
        seeds = itertools.count(0, JOBS)
        asyncio.run(_ours(url, WARM, PLACES, first=next(seeds)))  # imports, caches
        asyncio.run(_plain(url, WARM, next(seeds)))
        ours, plain = [], []
        for _ in range(ROUNDS):
            ours.append(_cpu_ms(_ours(url, JOBS, PLACES, first=next(seeds))))
            plain.append(_cpu_ms(_plain(url, JOBS, next(seeds))))
    finally:
        server.terminate()
        server.join()
    rows = [
        Row("decart_lab, CPU per job end to end, planning included", min(ours), "ms", 8.0),
        Row("decart_lab, middle round", statistics.median(ours), "ms"),
        Row("a plain httpx loop, least disturbed round", min(plain), "ms"),
        Row("a plain httpx loop, middle round", statistics.median(plain), "ms"),
        Row("peak memory of both", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB"),
    ]
    return report("engine_cpu", rows, out)


if __name__ == "__main__":
    sys.exit(main())
