"""What the emulator's end of a live session costs: received, decoded, painted, encoded, sent.

A client in a process of its own sends a real clip at 25 frames per second, every frame with a
number in its corner, and counts what comes back. Counted for the emulator is the processor
time of its whole process, so everything is in it: ICE, SRTP, codecs, painting, Python. What is not
painting is also told for a million pixels, which is what ``CODECS_MS`` of the emulator reckons.
``--clip`` names another clip than the bundled one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from _report import RESULTS, Row, report

from decart_lab.emulator.live import LivePainter
from decart_lab.emulator.peer import LivePeer
from decart_lab.media import marker, samples
from decart_lab.media.rtc import connection as rtc
from decart_lab.media.rtc.incoming import AudioIn, VideoIn
from decart_lab.media.rtc.outgoing import VideoOut
from decart_lab.media.rtc.outgoing_audio import AudioOut
from decart_lab.media.video import read_frames

SIZE, LARGE = (640, 352), (1280, 720)
FPS = 25
SECONDS = 20.0
SETTLE_S = 2.0
PROMPTS = ("", "sepia", "ink", "oil painting", "watercolour, anime, oil painting")


async def client(codec: rtc.VideoCodec, clip: Path, size: tuple[int, int]) -> None:
    """Send and count; descriptions go over the pipes."""
    connection = rtc.make_connection()
    picture = connection.addTransceiver("video", direction="sendrecv")
    rtc.prefer_codec(picture, codec)
    sound = connection.addTransceiver("audio", direction="sendrecv")
    video, audio, video_in = VideoOut(fps=FPS), AudioOut(), VideoIn(picture)
    audio_in = AudioIn(sound)
    video.bind(picture)
    audio.bind(sound)
    sent_s: dict[int, float] = {}
    back: list[tuple[int | None, float]] = []
    video_in.add_frame_sink(lambda seen: back.append((marker.read(seen), time.monotonic())))
    await connection.setLocalDescription()
    say({"offer": connection.localDescription.sdp})
    answer = json.loads(await asyncio.to_thread(sys.stdin.readline))["answer"]
    await rtc.set_remote(connection, answer, "answer")
    while connection.connectionState != "connected":
        await asyncio.sleep(0.01)
    arrays = [
        frame.reformat(*size, format="yuv420p").to_ndarray()
        for frame in read_frames(clip, end_s=4.0, fps=FPS)
    ]
    begun = time.monotonic()
    for number in range(round((SECONDS + SETTLE_S) * FPS)):
        frame = av.VideoFrame.from_ndarray(arrays[number % len(arrays)], format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        marker.stamp(frame, number)
        await asyncio.sleep(max(0.0, begun + number / FPS - time.monotonic()))
        sent_s[number] = time.monotonic()
        video.put(frame)
        if number == round(SETTLE_S * FPS):
            say({"settled": True})
    await asyncio.sleep(0.5)
    await rtc.close(connection)
    for part in (video, audio, video_in, audio_in):
        part.close()
    first = round(SETTLE_S * FPS)
    known = [(n, at) for n, at in back if n is not None]
    numbers = [n for n, _ in known if n >= first]
    trips = [at - sent_s[n] for n, at in known if n in sent_s and n >= first]
    say(
        {
            "share": len(set(numbers)) / (SECONDS * FPS),
            "in_order": all(a < b for a, b in pairwise(numbers)),
            "read": len(known) / max(1, len(back)),
            "trip_p50_ms": float(np.median(trips)) * 1000,
            "trip_p95_ms": float(np.percentile(trips, 95)) * 1000,
        }
    )


def say(row: dict[str, object]) -> None:
    print(json.dumps(row), flush=True)


async def session(prompt: str, codec: str, clip: Path, size: tuple[int, int]) -> dict[str, float]:
    """Serve one client; return what it counted and what it cost here."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--client", codec, "--clip", str(clip), "--size", *map(str, size),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    painter = LivePainter("lucy-2.1", prompt=prompt, enhance=False)
    peer = LivePeer(painter=painter, on_state=lambda _: None)
    try:
        offer = json.loads(await child.stdout.readline())["offer"]
        answer = await peer.answer(offer)
        child.stdin.write(json.dumps({"answer": answer}).encode() + b"\n")
        await child.stdout.readline()  # settled
        cpu_s, frames = time.process_time(), peer.frames_out
        told = json.loads(await child.stdout.readline())
        cpu_s, frames = time.process_time() - cpu_s, peer.frames_out - frames
    finally:
        await peer.close()
        painter.close()
        await child.wait()
    return {**told, "cpu_ms": cpu_s / max(1, frames) * 1000, "paint_ms": painter.paint_ms}


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="live_peer")
    parser.add_argument("--out", type=Path, default=RESULTS / "live_peer.json")
    parser.add_argument("--clip", type=Path, default=samples.path("clip.mp4"))
    parser.add_argument("--client", choices=["h264", "vp8"])
    parser.add_argument("--size", type=int, nargs=2, default=SIZE)
    given = parser.parse_args()
    if given.client:
        asyncio.run(client(given.client, given.clip, tuple(given.size)))
        return 0
    rows = []
    runs = [*(("h264", prompt, SIZE) for prompt in PROMPTS), ("vp8", "ink", SIZE)]
    for codec, prompt, size in [*runs, ("h264", "", LARGE)]:
        seen = asyncio.run(session(prompt, codec, given.clip, size))
        what = f"{codec}, {prompt or 'passed through'}{', 1280x720' if size == LARGE else ''}"
        beside_ms = (seen["cpu_ms"] - seen["paint_ms"]) / (size[0] * size[1] / 1e6)
        rows += [
            Row(f"{what}: frames that came back", seen["share"] * 100, "%", 95, at_least=True),
            Row(f"{what}: in order", float(seen["in_order"]), "", 1, at_least=True),
            Row(f"{what}: markers read", seen["read"] * 100, "%"),
            Row(f"{what}: emulator's CPU per frame", seen["cpu_ms"], "ms", 1000 / FPS),
            Row(f"{what}: of that, painting", seen["paint_ms"], "ms"),
            Row(f"{what}: the rest, per million pixels", beside_ms, "ms"),
            Row(f"{what}: there and back, median", seen["trip_p50_ms"], "ms"),
            Row(f"{what}: there and back, p95", seen["trip_p95_ms"], "ms"),
        ]
    return report("live_peer", rows, given.out)


if __name__ == "__main__":
    sys.exit(main())
