"""What receiving video costs, ours and stock aiortc side by side: added latency, and CPU.

Two processes on loopback: one plays the same encoded H.264 again and again, in real time; in the
other, per row, one connection receives it. Added latency is the time from a frame's last RTP
packet, as aiortc hands it to the receiver, to the callback with the frame. CPU is the receiving
process's own, as a share of one core, in real time. Rounds alternate, and each row is the median
of its rounds.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import av
from _report import Row, out_argument, report

from decart_lab.media import samples
from decart_lab.media.rtc.connection import (
    close,
    make_connection,
    negotiated_codec,
    prefer_codec,
    set_remote,
)
from decart_lab.media.rtc.encoder import VideoEncoder
from decart_lab.media.rtc.incoming import VideoIn
from decart_lab.media.rtc.outgoing import VideoOut

SIZES = ((640, 352), (1280, 720))
FPS = 25
KEY_EVERY = 50  # frames; what is passed through cannot answer requests
SECONDS = 8.0
SETTLE_S = 2.0
ROUNDS = 3
WAYS = ("stock", "pixels", "encoded")


class Round(NamedTuple):
    """What one connection showed."""

    latency_ms: float
    latency_p95_ms: float
    cpu_share: float
    frames: int


def encoded(width: int, height: int) -> list[tuple[bytes, bool]]:
    """Four seconds of the sample clip, as the client would send it."""
    with av.open(str(samples.path("clip.mp4"))) as file:
        frames = [frame.reformat(width, height, "yuv420p") for frame in file.decode(video=0)][:100]
    encoder = VideoEncoder("h264", bitrate=2_500_000, fps=FPS)
    made = [
        encoder.encode(frame, 3600 * n, key=n % KEY_EVERY == 0) for n, frame in enumerate(frames)
    ]
    return [(one.data, one.key) for one in made if one]


def send(pipe: Any, width: int, height: int) -> None:
    """Answer one offer after another, and play to each."""
    frames = encoded(width, height)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        while (offer := await loop.run_in_executor(None, pipe.recv)) is not None:
            connection, out = make_connection(), VideoOut(fps=FPS)
            await set_remote(connection, offer, "offer")
            out.bind(connection.getTransceivers()[0])
            await connection.setLocalDescription()
            pipe.send(connection.localDescription.sdp)
            done = loop.run_in_executor(None, pipe.recv)
            begun, number = loop.time(), 0
            while not done.done():
                data, key = frames[number % len(frames)]
                packet = av.Packet(data)
                packet.pts, packet.time_base, packet.is_keyframe = number, Fraction(1, FPS), key
                out.put(packet)
                number += 1
                await asyncio.sleep(max(0.0, begun + number / FPS - loop.time()))
            pipe.send(repr(out.counters()))
            out.close()
            await close(connection)

    asyncio.run(serve())


async def receive(pipe: Any, way: str) -> Round:
    """Receive for a while in one of three ways."""
    connection = make_connection()
    transceiver = connection.addTransceiver("video", direction="recvonly")
    prefer_codec(transceiver, "h264")
    last_packet_s: dict[int, float] = {}
    first: list[int] = []
    latencies: list[float] = []

    def called(ticks: int) -> None:
        at_s = last_packet_s.pop(ticks & 0xFFFFFFFF, None)
        if at_s is not None:
            latencies.append((time.perf_counter() - at_s) * 1e3)

    receiver: Any = transceiver.receiver
    handle: Callable[..., Any] = receiver._handle_rtp_packet

    async def noted(packet: Any, arrival_time_ms: int) -> None:
        if not first:
            first.append(packet.timestamp)  # stock aiortc counts from its first frame
        if packet.marker:
            last_packet_s[packet.timestamp] = time.perf_counter()
        await handle(packet, arrival_time_ms=arrival_time_ms)

    receiver._handle_rtp_packet = noted
    video = VideoIn(transceiver) if way != "stock" else None
    if video is not None and way == "pixels":
        video.add_frame_sink(lambda frame: called(frame.pts))
    elif video is not None:
        video.add_sink(lambda frame: called(frame.timestamp))

    await connection.setLocalDescription()
    pipe.send(connection.localDescription.sdp)
    loop = asyncio.get_running_loop()
    answer = await loop.run_in_executor(None, pipe.recv)
    await set_remote(connection, answer, "answer")

    async def read() -> None:
        track = transceiver.receiver.track
        while True:
            frame = await track.recv()
            called(frame.pts + first[0])

    reader = asyncio.ensure_future(read()) if video is None else None
    while connection.connectionState != "connected":
        await asyncio.sleep(0.01)
    while not first:
        await asyncio.sleep(0.01)
    await asyncio.sleep(SETTLE_S)
    latencies.clear()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await asyncio.sleep(SECONDS)
    share = (time.process_time() - cpu_s) / (time.perf_counter() - wall_s)
    measured = sorted(latencies)
    if reader is not None:
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
    if video is not None:
        video.close()
    pipe.send("next")
    sent = await loop.run_in_executor(None, pipe.recv)
    assert negotiated_codec(transceiver) == "h264"
    await close(connection)
    if len(measured) < 0.9 * SECONDS * FPS:
        got = video.counters() if video else ""
        raise SystemExit(f"{way}: only {len(measured)} frames came. Sent: {sent}; got: {got}")
    p95 = measured[round(0.95 * (len(measured) - 1))]
    return Round(statistics.median(measured), p95, share, len(measured))


def measure(width: int, height: int) -> dict[str, list[Round]]:
    """Alternate between the ways, against one sending process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    sender = context.Process(target=send, args=(theirs, width, height), daemon=True)
    sender.start()
    found: dict[str, list[Round]] = {way: [] for way in WAYS}
    for turn in range(ROUNDS):
        for way in WAYS if turn % 2 else WAYS[::-1]:
            found[way].append(asyncio.run(receive(ours, way)))
    ours.send(None)
    sender.join(5)
    return found


def main() -> int:
    """Run and report."""
    out = out_argument("receive_path")
    rows = []
    for width, height in SIZES:
        found = measure(width, height)

        def of(way: str, field: str, found: dict[str, list[Round]] = found) -> float:
            return statistics.median(getattr(one, field) for one in found[way])

        size = f"{width}x{height}"
        for way in WAYS:
            rows += [
                Row(f"{size} {way}: last packet to callback, p50", of(way, "latency_ms"), "ms"),
                Row(f"{size} {way}: the same, p95", of(way, "latency_p95_ms"), "ms"),
                Row(f"{size} {way}: CPU", 100 * of(way, "cpu_share"), "% of a core"),
            ]
        stock_ms, stock_cpu = of("stock", "latency_ms"), of("stock", "cpu_share")
        latency, cpu = of("pixels", "latency_ms") / stock_ms, of("encoded", "cpu_share") / stock_cpu
        rows += [
            Row(f"{size} added latency of pixels against stock", latency, "x", 0.5),
            Row(f"{size} CPU without pixels against stock", cpu, "x", 0.6),
        ]
    return report("receive_path", rows, out)


if __name__ == "__main__":
    sys.exit(main())
