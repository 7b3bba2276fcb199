"""Memory of the kernel while a sweep goes through it: with many points, and with large media.

Each case has a kernel of its own, whose peak resident size is the system's own word (``VmHWM``,
begun anew after the imports), and a server in another process. The first buys 10,000 small clips
from the emulator, thumbnails and the frame included; the second has few points, whose input and
results are larger than what is allowed altogether, from a server that makes clips long with a box
that players skip. Promised: never more than 150 MB over the size after imports.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from _report import Row, out_argument, report

POINTS = int(os.environ.get("SWEEP_MEMORY_POINTS", "10000"))
"""Fewer for a quick look."""

LARGE_POINTS, LARGE_MB = 24, 160
ALLOWED_MB = 150.0
CONCURRENCY = 32


def _size_mb(word: str) -> float:
    """Resident size of this process (``VmRSS``) or its peak (``VmHWM``), in MB of 10**6 bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{word}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"this system tells no {word}")


def _imports() -> None:
    """Everything the sweep needs, so that what follows is its own."""
    import av  # noqa: F401
    import numpy as np  # noqa: F401
    import pandas as pd
    import PIL.Image
    import PIL.WebPImagePlugin  # noqa: F401
    import tqdm.auto  # noqa: F401

    import decart_lab.api.client
    import decart_lab.display.progress
    import decart_lab.lab.connect
    import decart_lab.lab.run
    import decart_lab.media.video  # noqa: F401

    pd.DataFrame({"text": ["a"]}, dtype="string")


def _kernel(pipe: Connection, url: str, clip: str, points: int, folder: str) -> None:
    """Run a sweep, and tell what it took."""
    os.environ["DECART_LAB_RUNS"] = folder
    _imports()
    from decart_lab.lab.connect import connect

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    base, began = _size_mb("VmRSS"), time.monotonic()
    with connect(url) as lab:
        sweep = lab.sweep(model="lucy-2.1", prompt="ink", data=clip, seed=range(points))
        run = sweep.run(concurrency=CONCURRENCY)
        frame = run.df
        completed = int((frame["status"] == "completed").sum())
        media_mb = float(frame["media_bytes"].sum() / 1e6)
    seconds = time.monotonic() - began
    pipe.send((completed, base, _size_mb("VmHWM") - base, media_mb, seconds))


def _emulator(pipe: Connection, _: str) -> None:
    from decart_lab.emulator import emulator

    with emulator(render="canned", capacity=512, service_times="lognormal:0.1:0.3") as emu:
        pipe.send(emu.url)
        pipe.recv()


def _large_server(pipe: Connection, clip: str) -> None:
    """Answer every job with a large clip of its own, streamed."""
    import socket

    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    jobs = 0

    async def health(_: Request) -> Response:
        return JSONResponse({"service": "emulator"})

    async def submit(request: Request) -> Response:
        nonlocal jobs
        async for _ in request.stream():
            pass
        jobs += 1
        return JSONResponse({"job_id": f"job-{jobs:04}", "status": "pending"})

    async def status(request: Request) -> Response:
        return JSONResponse({"job_id": request.path_params["job"], "status": "completed"})

    async def content(request: Request) -> Response:
        pieces = _long_clip(clip, request.path_params["job"].encode())
        length = Path(clip).stat().st_size + LARGE_MB * 1_000_000

        async def body() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece
                await asyncio.sleep(0)

        headers = {"content-length": str(length)}
        return StreamingResponse(body(), headers=headers, media_type="video/mp4")

    routes = [
        Route("/health", health),
        Route("/v1/jobs/{model}", submit, methods=["POST"]),
        Route("/v1/jobs/{job}", status),
        Route("/v1/jobs/{job}/content", content),
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        pipe.send(f"http://127.0.0.1:{listening.getsockname()[1]}")
        config = uvicorn.Config(Starlette(routes=routes), lifespan="off", log_level="error")
        uvicorn.Server(config).run(sockets=[listening])


def _long_clip(clip: str, name: bytes) -> Iterator[bytes]:
    """Produce a clip, and after it a box of ``LARGE_MB`` that holds a name and nothing to play."""
    yield Path(clip).read_bytes()
    piece = bytes(1_000_000)
    head = struct.pack(">I4s", LARGE_MB * len(piece), b"free") + name
    yield head + piece[len(head) :]
    for _ in range(LARGE_MB - 1):
        yield piece


@contextmanager
def _process(target: Callable[..., None], *args: Any) -> Iterator[Connection]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(there, *args))
    process.start()
    try:
        there.close()
        yield here
    finally:
        process.terminate()
        process.join()


def _case(name: str, server: Callable[..., None], clip: str, points: int, source: str) -> list[Row]:
    with (
        tempfile.TemporaryDirectory() as folder,
        _process(server, source) as serving,
        _process(_kernel, serving.recv(), clip, points, folder) as kernel,
    ):
        completed, base, over, media_mb, seconds = kernel.recv()
    return [
        Row(f"{name}: points completed", completed, "points", points, at_least=True),
        Row(f"{name}: peak over the size after imports", over, "MB", ALLOWED_MB),
        Row(f"{name}: size after imports", base, "MB"),
        Row(f"{name}: media received", media_mb, "MB"),
        Row(f"{name}: points per second", completed / seconds, "1/s"),
    ]


def main() -> int:
    """Run and report."""
    out = out_argument("sweep_memory")
    from decart_lab.media import samples

    clip = str(samples.path("clip.mp4"))
    with tempfile.TemporaryDirectory() as folder:
        large = str(Path(folder) / "large.mp4")
        with Path(large).open("wb") as file:
            file.writelines(_long_clip(clip, b"input"))
        rows = _case("large media", _large_server, large, LARGE_POINTS, clip)
    rows += _case("many points", _emulator, clip, POINTS, "")
    return report("sweep_memory", rows, out)


if __name__ == "__main__":
    sys.exit(main())
