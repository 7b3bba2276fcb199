"""Two WebRTC connections in one loop, joined without signaling."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from fractions import Fraction

import av
import numpy as np

from decart_lab.media.rtc.connection import Connection, close, make_connection, set_remote


async def join(offerer: Connection, answerer: Connection) -> None:
    """Exchange descriptions and wait until media may flow."""
    await offerer.setLocalDescription()
    await set_remote(answerer, offerer.localDescription.sdp, "offer")
    await answerer.setLocalDescription()
    await set_remote(offerer, answerer.localDescription.sdp, "answer")
    await until(lambda: "connected" == offerer.connectionState == answerer.connectionState)


@contextlib.asynccontextmanager
async def two_connections() -> AsyncIterator[tuple[Connection, Connection]]:
    a, b = make_connection(), make_connection()
    try:
        yield a, b
    finally:
        await asyncio.gather(close(a), close(b))


async def until(condition: Callable[[], object], *, within_s: float = 15.0) -> None:
    """Wait for something that happens by itself; fail loudly where it does not."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def picture(
    number: int, *, width: int = 320, height: int = 176, fps: int = 25, level: int | None = None
) -> av.VideoFrame:
    """A picture that differs from its neighbours, with its time."""
    planes = np.zeros((height * 3 // 2, width), np.uint8)
    planes[height:] = 128
    planes[:height] = np.add.outer(np.arange(height), np.arange(width) + 5 * number) % 200
    if level is not None:
        planes[:height] = level
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, fps)
    return frame
