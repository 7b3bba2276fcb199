"""Runs inside the venv of PyPI decart 0.0.40, unmodified: a realtime session; prints what it saw.

Usage: python sdk40.py HTTP_URL WS_URL CLIP PICTURE
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from aiortc import MediaStreamTrack
from aiortc.contrib.media import MediaPlayer
from aiortc.mediastreams import MediaStreamError
from decart import DecartClient, models
from decart.errors import DecartSDKError, WebRTCError
from decart.realtime.client import RealtimeClient, SetInput
from decart.realtime.subscribe import SubscribeOptions
from decart.realtime.types import RealtimeConnectOptions
from decart.types import ModelState, Prompt


class Film(MediaStreamTrack):
    """A clip over and over, at a size that old encoders keep up with.

    The player's own loop ends with the clip where PyAV is newer than aiortc expects.
    """

    kind = "video"

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._reel = MediaPlayer(path).video
        self._before = self._last = 0

    async def recv(self):
        try:
            frame = await self._reel.recv()
        except MediaStreamError:
            self._reel = MediaPlayer(self._path).video
            self._before = self._last
            frame = await self._reel.recv()
        small = frame.reformat(width=640, height=352, format="yuv420p")
        small.time_base = frame.time_base
        small.pts = self._last = self._before + frame.pts + 1
        return small


class Screen:
    """Counts the frames of a remote track, and remembers how they look."""

    def __init__(self) -> None:
        self.frames = []

    def __call__(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self.task = asyncio.ensure_future(self.pull(track))

    async def pull(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.frames.append((frame.width, frame.height, frame.pts, frame.to_ndarray().mean()))

    async def more(self, count: int = 8) -> int:
        wanted = len(self.frames) + count
        until = time.monotonic() + 20
        while len(self.frames) < wanted and time.monotonic() < until:
            await asyncio.sleep(0.02)
        return len(self.frames)


async def refused(url: str, track: MediaStreamTrack, **options) -> dict:
    """Say how a connection fails."""
    begun = time.monotonic()
    try:
        await RealtimeClient.connect(
            base_url=url,
            api_key=options.pop("key", "any"),
            local_track=track,
            options=RealtimeConnectOptions(
                model=models.realtime("lucy-2.1"), on_remote_stream=Screen(), **options
            ),
        )
    except WebRTCError as error:
        return {"error": str(error), "seconds": time.monotonic() - begun}
    return {"error": None, "seconds": time.monotonic() - begun}


async def main(http: str, ws: str, clip: str, picture: str) -> dict:
    client = DecartClient(api_key="any", base_url=http, realtime_base_url=ws)
    track = Film(clip)
    screen, gallery = Screen(), Screen()
    seen: dict = {"states": [], "ticks": [], "errors": []}
    begun = time.monotonic()
    session = await RealtimeClient.connect(
        base_url=client.realtime_base_url,
        api_key="any",
        local_track=track,
        options=RealtimeConnectOptions(
            model=models.realtime("lucy-2.1"),
            on_remote_stream=screen,
            initial_state=ModelState(prompt=Prompt(text="anime", enhance=True)),
        ),
    )
    seen["connect_s"] = time.monotonic() - begun
    session.on("connection_change", seen["states"].append)
    session.on("generation_tick", lambda tick: seen["ticks"].append(tick.seconds))
    session.on("error", lambda error: seen["errors"].append(str(error)))
    seen["session_id"] = session.session_id
    seen["before"] = await screen.more()
    await session.set_prompt("black and white ink drawing", enhance=False)
    seen["prompted"] = await screen.more()
    image = Path(picture).read_bytes()
    await session.set(SetInput(prompt="this character", image=image))
    await session.set_image(None)
    seen["imaged"] = await screen.more()
    viewer = await RealtimeClient.subscribe(
        base_url=client.realtime_base_url,
        api_key="any",
        options=SubscribeOptions(token=session.subscribe_token, on_remote_stream=gallery),
    )
    seen["watched"] = await gallery.more()
    await viewer.disconnect()
    try:
        await session.set_prompt("something [[blocked]]")
    except DecartSDKError as error:
        seen["moderated"] = str(error)
    seen["after"] = await screen.more()
    while not seen["ticks"]:
        await asyncio.sleep(0.05)
    seen["connected"] = session.is_connected()
    await session.disconnect()
    seen["disconnected"] = session.get_connection_state()
    seen["sizes"] = sorted({frame[:2] for frame in screen.frames})
    stamps = [frame[2] for frame in screen.frames]
    seen["in_order"] = stamps == sorted(stamps)
    seen["key"] = await refused(ws, track, key="invalid-key")
    await client.close()
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
