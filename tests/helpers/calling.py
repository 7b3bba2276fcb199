"""A client of realtime sessions made of aiortc and httpx alone, for tests of the emulator."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

from tests.helpers.rest import KEY

PATH = "/v1/realtime/sessions"
SIZE = (160, 96)
FPS = 25


class Moving(MediaStreamTrack):
    """A small picture whose brightness changes with every frame, in real time."""

    kind = "video"

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        super().__init__()
        self._size = size
        self._count = 0
        self._begun = time.monotonic()

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._count += 1
        await asyncio.sleep(max(0.0, self._begun + self._count / FPS - time.monotonic()))
        width, height = self._size
        picture = np.full((height, width, 3), 40 + self._count % 150, np.uint8)
        picture[:, : width // 2] = 200
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = self._count * (90_000 // FPS), Fraction(1, 90_000)
        return frame


@dataclass(eq=False)
class Call:
    """A connection, and what came over it."""

    pc: RTCPeerConnection
    frames: list[Any] = field(default_factory=list)
    sounds: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def offer(self) -> str:
        """Return an offer with all candidates in it."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        """Take the answer."""
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def pull(self, track: MediaStreamTrack) -> None:
        """Count what a track brings."""
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if track.kind == "video":
                self.frames.append(frame)
            else:
                self.sounds += 1


@asynccontextmanager
async def calling(
    *, video: bool = True, audio: bool = True, receive_only: bool = False
) -> AsyncIterator[Call]:
    """Make a connection that sends a small moving picture and silence."""
    pc = RTCPeerConnection()
    call = Call(pc)
    if receive_only:
        pc.addTransceiver("video", direction="recvonly")
        pc.addTransceiver("audio", direction="recvonly")
    else:
        if video:
            pc.addTrack(Moving())
        if audio:
            pc.addTrack(AudioStreamTrack())

    @pc.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        call.tasks.append(asyncio.ensure_future(call.pull(track)))

    try:
        yield call
    finally:
        await pc.close()
        for task in call.tasks:
            task.cancel()
        await asyncio.gather(*call.tasks, return_exceptions=True)


async def an_offer() -> str:
    """Return an offer whose maker has gone; good for everything but media."""
    async with calling() as call:
        return await call.offer()


def asked(offer: str, **fields: Any) -> dict[str, Any]:
    """Return the body that creates a session."""
    return {"model": "lucy_2_rt", "sdp": {"type": "offer", "sdp": offer}} | fields


@dataclass
class Live:
    """One session over HTTP."""

    http: httpx.AsyncClient
    id: str
    etag: str
    token: str
    created: httpx.Response

    @property
    def path(self) -> str:
        """Where it is."""
        return f"{PATH}/{self.id}"

    async def events(
        self, *, last_id: int | None = None, until: str = "generation_ended"
    ) -> list[tuple[int, str, dict[str, Any]]]:
        """Read events until one of that name, or the end of the stream."""
        found = []
        async with asyncio.timeout(20):
            async for event in self.listen(last_id=last_id):
                found.append(event)
                if event[1] == until:
                    break
        return found

    async def listen(
        self, *, last_id: int | None = None
    ) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        """Yield id, name and data of each event; the last word has neither id nor name."""
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        url, query = f"{self.path}/events", {"event_token": self.token}
        async with self.http.stream("GET", url, params=query, headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            number, name = 0, ""
            async for line in answer.aiter_lines():
                key, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if key == "id":
                    number = int(value)
                elif key == "event":
                    name = value
                elif key == "data":
                    yield number, name, json.loads(value) if value else {}
                    number, name = 0, ""


@asynccontextmanager
async def browsing(url: str, key: str = KEY["x-api-key"]) -> AsyncIterator[httpx.AsyncClient]:
    """Return an HTTP client that has that key."""
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=20) as http:
        yield http


async def create(http: httpx.AsyncClient, offer: str, **fields: Any) -> Live:
    """Create a session, which must succeed."""
    answer = await http.post(PATH, json=asked(offer, **fields))
    assert answer.status_code == 201, answer.text
    body = answer.json()
    token = body["events"]["event_token"]
    return Live(http, body["session_id"], answer.headers["etag"], token, answer)


async def connect(http: httpx.AsyncClient, call: Call, **fields: Any) -> Live:
    """Create a session for a connection, and connect it."""
    live = await create(http, await call.offer(), **fields)
    await call.accept(live.created.json()["sdp"]["sdp"])
    return live


async def until(holds: Callable[[], object], *, limit_s: float = 10.0) -> None:
    """Wait on the loop until it holds."""
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, "it never held"
        await asyncio.sleep(0.01)
