"""CPU per job of buying a sweep, beside a plain httpx loop that submits, polls and downloads.

What is measured is this process's CPU time over a whole run: intents and ids on the disk, polls,
downloads, their verification. Hashing of inputs, thumbnails and the server are left out.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import sys
import time

from _report import Row, out_argument, report
from polling import _ours, _serve

JOBS, WARM, PLACES = 400, 40, 32


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


def _cpu() -> float:
    return time.process_time() * 1000


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
        asyncio.run(_ours(url, WARM, PLACES, first=1_000_000))  # imports, caches
        began = _cpu()
        asyncio.run(_ours(url, JOBS, PLACES))
        ours = (_cpu() - began) / JOBS
        asyncio.run(_plain(url, WARM, 2_000_000))
        began = _cpu()
        asyncio.run(_plain(url, JOBS, 3_000_000))
        plain = (_cpu() - began) / JOBS
    finally:
        server.terminate()
        server.join()
    rows = [
        Row("decart_lab, CPU per job end to end, planning included", ours, "ms", 8.0),
        Row("a plain httpx loop, the same", plain, "ms"),
        Row("peak memory of both", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB"),
    ]
    return report("engine_cpu", rows, out)


if __name__ == "__main__":
    sys.exit(main())
