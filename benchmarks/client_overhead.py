"""CPU per status GET with 64 in flight: our client, raw aiohttp, and httpx on its own transport.

Side by side in one run against a tiny server in another process; what is measured is this
process's CPU time, so the server costs nothing here. The best of several rounds counts: the
machine's other work can only add.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from _report import Row, out_argument, report

IN_FLIGHT = 64
ROUNDS = 5
BODY = json.dumps({"job_id": "job_0123456789abcdef", "status": "processing"}).encode()
PATH = "/v1/jobs/job_0123456789abcdef"
Get = Callable[[], Awaitable[object]]


class _Server(asyncio.Protocol):
    """Answers every request head alike."""

    ANSWER = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT"
        b"\r\nx-request-id: req_1\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while b"\r\n\r\n" in self._seen:
            _, _, self._seen = self._seen.partition(b"\r\n\r\n")
            self._transport.write(self.ANSWER)  # type: ignore[attr-defined]  # a write transport


def _serve(pipe: Connection) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Server, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def _cpu_ms(get: Get, count: int) -> float:
    """CPU milliseconds of this process per GET."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await get()

    await asyncio.gather(*(get() for _ in range(IN_FLIGHT)))  # connections open, caches warm
    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (time.process_time() - began) * 1000 / count


async def _measure(url: str) -> tuple[float, float, float]:
    import aiohttp
    import httpx

    from decart_lab import DecartClient

    address = url + PATH
    headers = {"x-api-key": "dct_benchmark"}
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with (
        DecartClient("dct_benchmark", base_url=url) as ours,
        aiohttp.ClientSession(headers=headers) as raw,
        httpx.AsyncClient(headers=headers, limits=limits, timeout=60, trust_env=False) as plain,
    ):

        async def get_ours() -> object:
            return await ours.queue.status("job_0123456789abcdef")

        async def get_raw() -> object:
            async with raw.get(address) as response:
                return await response.json()

        async def get_plain() -> object:
            return (await plain.get(address)).json()

        figures: list[list[float]] = [[], [], []]
        for _ in range(ROUNDS):
            figures[0].append(await _cpu_ms(get_ours, 2000))
            figures[1].append(await _cpu_ms(get_raw, 2000))
            figures[2].append(await _cpu_ms(get_plain, 300))
        return min(figures[0]), min(figures[1]), min(figures[2])


def main() -> int:
    """Run and report."""
    out = out_argument("client_overhead")
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    server.start()
    try:
        ours, raw, plain = asyncio.run(_measure(f"http://127.0.0.1:{here.recv()}"))
    finally:
        server.terminate()
        server.join()
    rows = [
        Row("decart_lab, CPU per status GET at 64 in flight", ours, "ms"),
        Row("raw aiohttp, the same", raw, "ms"),
        Row("httpx on its own transport, the same", plain, "ms"),
        Row("decart_lab / raw aiohttp", ours / raw, "x", 4.0),
        Row("decart_lab / httpx on its own transport", ours / plain, "x", 0.125),
    ]
    return report("client_overhead", rows, out)


if __name__ == "__main__":
    sys.exit(main())
