"""The emulator's end of a session's media, with real connections on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from aiortc import RTCRtpTransceiver

from decart_lab.emulator.live import LivePainter
from decart_lab.emulator.peer import LivePeer
from decart_lab.emulator.peer_faults import Loss, is_rtcp
from decart_lab.media import marker, samples
from decart_lab.media.image import open_image
from decart_lab.media.rtc import connection as rtc
from decart_lab.media.rtc.incoming import AudioIn, VideoIn
from decart_lab.media.rtc.outgoing import VideoOut
from decart_lab.media.rtc.outgoing_audio import AudioOut
from decart_lab.media.rtc.sdp import InvalidSDP
from tests.helpers.peers import until

SIZE = (640, 352)
FPS = 25
CAT = np.asarray(open_image(samples.path("cat.jpg")).resize(SIZE))
PLANES = av.VideoFrame.from_ndarray(CAT, format="rgb24").reformat(format="yuv420p").to_ndarray()


def frame(number: int, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(PLANES, format="yuv420p")
    if size != SIZE:
        made = made.reformat(*size)
    made.pts, made.time_base = number, Fraction(1, FPS)
    marker.stamp(made, number)
    return made


def tone(number: int, level: float = 0.6) -> av.AudioFrame:
    at = (number * 960 + np.arange(960)) * 2 * np.pi * 440 / 48_000
    wave = (level * 32_000 * np.sin(at)).astype(np.int16)
    made = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
    made.sample_rate = 48_000
    return made


class Client:
    """Whoever talks to the peer: sends stamped frames and a tone, and keeps what comes back."""

    def __init__(
        self,
        *,
        sends_video: bool = True,
        codec: rtc.VideoCodec | None = "h264",
        size: tuple[int, int] = SIZE,
    ) -> None:
        self.size = size
        self.connection = rtc.make_connection()
        self.seen: list[av.VideoFrame] = []
        self.numbers: list[int | None] = []
        self.heard: list[float] = []
        self._video, self._audio = VideoOut(fps=FPS), AudioOut()
        picture = self._line("video", "sendrecv" if sends_video else "recvonly")
        rtc.prefer_codec(picture, codec)
        if sends_video:
            self._video.bind(picture)
        sound = self._line("audio", "sendrecv")
        self._audio.bind(sound)
        self.video_in, self.audio_in = VideoIn(picture), AudioIn(sound)
        self.video_in.add_frame_sink(self._see)
        self.audio_in.add_frame_sink(self._hear)
        self._sending: asyncio.Task[None] | None = None
        self.loud = True
        self.sends_video = sends_video

    def _line(self, kind: str, direction: str) -> RTCRtpTransceiver:
        return self.connection.addTransceiver(kind, direction=direction)

    def _see(self, seen: av.VideoFrame) -> None:
        self.numbers.append(marker.read(seen))
        self.seen.append(seen)

    def _hear(self, heard: av.AudioFrame) -> None:
        self.heard.append(float(np.abs(heard.to_ndarray()).max()) / 32768)

    async def offer(self) -> str:
        await self.connection.setLocalDescription()
        return str(self.connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        await rtc.set_remote(self.connection, answer, "answer")
        await until(lambda: self.connection.connectionState == "connected")
        self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        begun = time.monotonic()
        pictures = pieces = 0
        while True:
            now = time.monotonic() - begun
            while self.sends_video and pictures / FPS <= now:
                self._video.put(frame(pictures, self.size))
                pictures += 1
            while pieces / 50 <= now:
                self._audio.put(tone(pieces, 0.6 if self.loud else 0.0))
                pieces += 1
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        await rtc.close(self.connection)
        self.video_in.close()
        self.audio_in.close()
        self._audio.close()
        await asyncio.to_thread(self._video.close)


@contextlib.asynccontextmanager
async def meeting(
    painter: LivePainter | None = None, *, hold: bool = False, **client
) -> AsyncIterator[SimpleNamespace]:
    """A client and a peer, connected."""
    states: list[str] = []
    firsts: list[float] = []
    painter = painter or LivePainter("lucy-2.1")
    peer = LivePeer(
        painter=painter,
        on_state=states.append,
        on_first_frame=lambda: firsts.append(time.monotonic()),
    )
    peer.hold(hold)
    me = Client(**client)
    try:
        await me.accept(await peer.answer(await me.offer()))
        yield SimpleNamespace(me=me, peer=peer, painter=painter, states=states, firsts=firsts)
    finally:
        await asyncio.gather(me.close(), peer.close())


def luma(seen: av.VideoFrame) -> np.ndarray:
    return seen.to_ndarray()[60:300].astype(int)


def far(first: av.VideoFrame, second: av.VideoFrame) -> float:
    return float(np.abs(luma(first) - luma(second)).mean())


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_pictures_and_sound_come_back_in_order(codec):
    async with meeting(codec=codec) as they:
        await until(lambda: len(they.me.seen) >= 50)
        numbers = [number for number in they.me.numbers if number is not None]
        assert numbers == sorted(set(numbers))
        assert len(numbers) >= 0.9 * len(they.me.numbers)
        assert (they.me.seen[-1].width, they.me.seen[-1].height) == SIZE
        assert far(they.me.seen[-1], frame(0)) < 4
        await until(lambda: they.me.heard[-1:] and max(they.me.heard[-10:]) > 0.4)
        assert they.states[-1] == "connected"
        assert len(they.firsts) == 1
        assert they.peer.frames_out >= 50
        assert time.monotonic() - they.peer.last_media_s < 1


async def test_the_time_between_frames_comes_back_as_it_was_sent():
    async with meeting() as they:
        await until(lambda: len(they.me.seen) >= 40)
        times = [seen.pts for seen in they.me.seen]
        numbers = list(they.me.numbers)
    pairs = [
        (b - a, round((y - x) * 90_000 / FPS))
        for a, b, x, y in zip(times, times[1:], numbers, numbers[1:], strict=False)
        if x is not None and y is not None
    ]
    assert len(pairs) > 30
    assert all(abs(ticks - sent) <= 1 for ticks, sent in pairs)


async def test_the_answer_has_the_size_of_the_input_and_large_pictures_are_answered_too():
    async with meeting(LivePainter("lucy-2.1", prompt="oil painting"), size=(1280, 720)) as they:
        await until(lambda: len(they.me.seen) >= 5)
        assert (they.me.seen[-1].width, they.me.seen[-1].height) == (1280, 720)
        they.me.size = (320, 176)  # a browser that is short of bandwidth does that
        await until(lambda: they.me.seen[-1].width == 320)
        assert they.me.seen[-1].height == 176
        they.me.size = SIZE
        await until(lambda: they.me.seen[-1].width == SIZE[0])


async def test_a_changed_prompt_is_in_the_next_frames():
    async with meeting() as they:
        await until(lambda: len(they.me.seen) >= 10)
        plain = they.me.seen[-1]
        await asyncio.wrap_future(they.painter.change(prompt="x-ray"))
        asked, out = time.monotonic(), they.peer.frames_out
        await until(lambda: far(they.me.seen[-1], plain) > 20)
        assert time.monotonic() - asked < 3 * 0.25
        assert they.peer.frames_out - out < 20
        await asyncio.wrap_future(they.painter.change(prompt=None))
        await until(lambda: far(they.me.seen[-1], plain) < 4)


async def test_viewers_see_and_hear_what_the_client_gets_and_come_and_go():
    painter = LivePainter("lucy-2.1", prompt="x-ray")
    async with meeting(painter) as they:
        watching = [Client(sends_video=False, codec=codec) for codec in ("h264", "vp8")]
        for one in watching:
            one.loud = False
        try:
            names = []
            for one in watching:
                name, answer = await they.peer.add_viewer(await one.offer())
                names.append(name)
                await one.accept(answer)
            assert len(set(names)) == 2
            for one in watching:
                await until(lambda: len(one.seen) >= 10)  # noqa: B023
                assert far(one.seen[-1], they.me.seen[-1]) < 6
                await until(lambda: max(one.heard[-10:], default=0) > 0.4)  # noqa: B023
            await they.peer.remove_viewer(names[0])
            await they.peer.remove_viewer(names[0])
            await until(lambda: watching[0].connection.connectionState == "closed")
            before = len(watching[1].seen)
            await until(lambda: len(watching[1].seen) >= before + 10)
            before = len(they.me.seen)
            await watching[1].close()
            await until(lambda: not they.peer._viewers)  # who leaves is forgotten
            await until(lambda: len(they.me.seen) >= before + 10)
        finally:
            await asyncio.gather(*(one.close() for one in watching))


async def test_a_viewer_with_nonsense_is_not_let_in():
    async with meeting() as they:
        with pytest.raises(InvalidSDP):
            await they.peer.add_viewer("v=0")
        assert not they.peer._viewers
        before = len(they.me.seen)
        await until(lambda: len(they.me.seen) >= before + 5)


async def test_a_frozen_peer_keeps_the_connection_and_goes_on():
    async with meeting() as they:
        await until(lambda: len(they.me.seen) >= 10)
        they.peer.freeze(True)
        await asyncio.sleep(0.3)
        count = len(they.me.seen)
        await asyncio.sleep(0.4)
        assert len(they.me.seen) == count
        assert max(they.me.heard[-10:]) < 0.05
        assert they.me.connection.connectionState == "connected"
        they.peer.freeze(False)
        await until(lambda: len(they.me.seen) >= count + 10)


async def test_a_held_peer_begins_when_it_is_let_go():
    async with meeting(hold=True) as they:
        await until(lambda: they.peer.last_media_s is not None)
        await asyncio.sleep(0.3)
        assert (they.me.seen, they.firsts, they.peer.frames_out) == ([], [], 0)
        they.peer.hold(False)
        await until(lambda: len(they.me.seen) >= 5)
        assert len(they.firsts) == 1


async def test_a_cut_line_is_silent_both_ways():
    async with meeting() as they:
        await until(lambda: len(they.me.seen) >= 10)
        they.peer.drop()
        await asyncio.sleep(0.2)
        packets, media_s = they.me.video_in.counters().packets, they.peer.last_media_s
        await asyncio.sleep(0.5)
        assert they.me.video_in.counters().packets == packets
        assert they.peer.last_media_s == media_s
        begun = time.monotonic()
        await they.peer.close()
        assert time.monotonic() - begun < 9
        assert they.me.connection.connectionState == "connected"  # nobody told it


async def test_lost_packets_are_lost_and_the_picture_recovers():
    async with meeting() as they:
        await until(lambda: len(they.me.seen) >= 10)
        they.peer.lose(0.2)
        await until(lambda: they.peer.lost >= 40)
        they.peer.lose(0.0)
        lost, count = they.peer.lost, len(they.me.seen)
        await until(lambda: len(they.me.seen) >= count + 25)
        assert they.peer.lost == lost
        assert far(they.me.seen[-1], frame(0)) < 6


async def test_the_same_packets_are_lost_in_every_run():
    class Transport:
        def __init__(self) -> None:
            self.sent: list[bytes] = []

        async def _send_rtp(self, data: bytes) -> None:
            self.sent.append(data)

    def connection(transport: Transport) -> SimpleNamespace:
        senders = [SimpleNamespace(transport=transport)] * 2  # picture and sound share one line
        return SimpleNamespace(getSenders=lambda: senders)

    packets = [
        bytes([0x80, 96 + number % 2 * 128, number >> 8, number & 255]) for number in range(2000)
    ]
    reports = [bytes([0x80, 200 + number % 8]) for number in range(400)]
    runs = []
    for _ in range(2):
        transport, loss = Transport(), Loss()
        loss.apply(connection(transport))
        loss.share = 0.1
        for packet in [*packets, *reports]:
            await transport._send_rtp(packet)
        assert [data for data in transport.sent if is_rtcp(data)] == reports
        assert loss.lost + len(transport.sent) == len(packets) + len(reports)
        assert 0.07 < loss.lost / len(packets) < 0.13
        runs.append(transport.sent)
    assert runs[0] == runs[1]


async def test_an_avatar_answers_sound_with_a_picture_that_moves():
    async with meeting(LivePainter("live_avatar", SIZE), sends_video=False) as they:
        they.me.loud = False
        await until(lambda: len(they.me.seen) >= 10)
        quiet = they.me.seen[-1]
        they.me.loud = True
        await until(lambda: far(they.me.seen[-1], quiet) > 1)
        await until(lambda: max(they.me.heard[-10:], default=0) > 0.4)
        they.me.loud = False
        await until(lambda: far(they.me.seen[-1], quiet) < 0.5)
        assert they.peer.last_media_s is not None


async def test_another_peer_may_follow_over_the_same_painter():
    painter = LivePainter("lucy-2.1", prompt="x-ray")
    async with meeting(painter) as first:
        await until(lambda: len(first.me.seen) >= 5)
        async with meeting(painter) as second:
            await until(lambda: len(second.me.seen) >= 5)
            await first.peer.close()
            assert first.states[-1] == "closed"
            count = len(second.me.seen)
            await until(lambda: len(second.me.seen) >= count + 10)
            assert far(second.me.seen[-1], first.me.seen[-1]) < 6


@pytest.mark.parametrize("offer", ["", "v=0", "v=0\r\nm=video 9 RTP 1\r\n", "\0", "x" * 200_000, 7])
async def test_a_malformed_offer_is_refused_and_leaves_nothing(offer, threads):
    peer = LivePeer(painter=LivePainter("lucy-2.1"), on_state=lambda _: None)
    with pytest.raises(InvalidSDP):
        await peer.answer(offer)
    with pytest.raises(InvalidSDP):
        await peer.add_candidate(None)
    assert peer.candidates() == []
    await peer.close()
    assert not threads.new()


async def test_closing_ends_every_thread_and_may_be_done_twice(threads):
    async with meeting() as they:
        await until(lambda: len(they.me.seen) >= 5)
        begun = time.monotonic()
        await asyncio.gather(they.peer.close(), they.peer.close())
        assert time.monotonic() - begun < 9
    assert not threads.new()
    assert they.states.count("closed") == 1


async def test_a_closed_peer_and_painter_hold_on_to_nothing_large():
    """Python's collector does not know how large the memory of codecs and graphs is."""

    painter = LivePainter("lucy-2.1", prompt="ink", image=open_image(samples.path("coffee.jpg")))
    async with meeting(painter) as they:
        await until(lambda: len(they.me.seen) >= 5)
        holder = they.peer
    painter.close()
    kept = [holder._video._encoders, holder._inputs, painter._chain, painter._last, painter._sample]
    assert not any(kept)


async def test_all_candidates_stand_in_the_answer():
    async with meeting() as they:
        rows = they.peer.candidates()
        assert rows
        assert any(" 127.0.0.1 " in row.candidate for row in rows)
        answer = they.me.connection.remoteDescription.sdp
        assert all(row.candidate.removeprefix("candidate:") in answer for row in rows)
        await they.peer.add_candidate(None)
