"""Received frames as a track of aiortc, for code that is written for the official SDK.

Always the newest frame: a slow reader skips frames and is never behind.
"""

from __future__ import annotations

import asyncio

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError


class RemoteVideo(MediaStreamTrack):
    """A track that outlives the peers it is fed from; made on the loop that reads it."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._home = asyncio.get_running_loop()
        self._newest: av.VideoFrame | None = None
        self._arrived = asyncio.Event()

    def put(self, frame: av.VideoFrame) -> None:
        """Offer a frame, from any thread; it replaces one that nobody has taken."""
        self._home.call_soon_threadsafe(self._take, frame)

    def _take(self, frame: av.VideoFrame) -> None:
        self._newest = frame
        self._arrived.set()

    def stop(self) -> None:
        """End the track; whoever waits for a frame is told."""
        super().stop()
        self._arrived.set()

    async def recv(self) -> av.VideoFrame:
        """Return the next frame that has not been taken yet.

        Raises
        ------
        aiortc.mediastreams.MediaStreamError
            The track has ended.
        """
        while self._newest is None:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        frame, self._newest = self._newest, None
        return frame
