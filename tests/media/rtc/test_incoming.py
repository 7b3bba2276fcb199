"""Media that is received from our own sender, over real connections."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

import av
import numpy as np
import pytest

from decart_lab.media.rtc import incoming
from decart_lab.media.rtc.connection import prefer_codec
from decart_lab.media.rtc.incoming import AudioIn, VideoIn
from decart_lab.media.rtc.outgoing import VideoOut
from decart_lab.media.rtc.outgoing_audio import AudioOut
from tests.helpers.peers import join, picture, two_connections, until

from .test_outgoing_audio import play

pytestmark = pytest.mark.anyio


def units(frame):
    """The frame without the lengths of its start codes, which packets do not carry."""
    return frame.data.replace(b"\0\0\0\1", b"\0\0\1") if frame.codec == "h264" else frame.data


class Line:
    """A sender and a receiver of video, joined."""

    def __init__(self, a, b, codec="h264", tap=True):
        self.a, self.b, self.codec, self.tap = a, b, codec, tap
        self.out = VideoOut()
        self.number = 0
        self.marked = 0

    async def __aenter__(self):
        transceiver = self.a.addTransceiver("video")
        prefer_codec(transceiver, self.codec)
        self.out.bind(transceiver)
        made = []
        self.b.on(
            "track", lambda _: made.append(VideoIn(self.b.getTransceivers()[0], tap=self.tap))
        )
        await join(self.a, self.b)
        self.video = made[0]
        await until(lambda: self.out.connected)
        return self

    async def __aexit__(self, *exc):
        self.video.close()
        self.out.close()

    async def play(self, count, every_s=0.02, **kwargs):
        for _ in range(count):
            self.out.put(picture(self.number, **kwargs))
            self.number += 1
            await asyncio.sleep(every_s)

    def lose(self, which):
        """Lose packets of video on their way, by number, repeats included."""
        transport = self.a.getSenders()[0].transport
        send, numbers = transport._send_rtp, itertools.count()

        async def lossy(data):
            if data[1] & 0x7F not in range(64, 96) and which(next(numbers)):
                return
            await send(data)

        transport._send_rtp = lossy


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_encoded_frames_are_tapped_and_can_be_decoded(codec):
    async with two_connections() as (a, b), Line(a, b, codec) as line:
        got, sent = [], []
        line.out.add_sink(sent.append)
        line.video.add_sink(got.append)
        await line.play(20)
        await until(lambda: len(got) >= 18)
        assert line.video.tapped
        assert line.video.diagnostics == []
        assert got[0].key
        assert [units(f) for f in got] == [units(f) for f in sent[-len(got) :]]
        assert {f.codec for f in got} == {codec}
        steps = {y.timestamp - x.timestamp for x, y in itertools.pairwise(got)}
        assert steps <= {3600, 7200}
        decoder = av.CodecContext.create({"h264": "h264", "vp8": "libvpx"}[codec], "r")
        assert len([f for e in got for f in decoder.decode(av.Packet(e.data))]) == len(got)


async def test_a_frame_is_handed_over_before_the_next_one_is_sent():
    async with two_connections() as (a, b), Line(a, b) as line:
        got = []
        line.video.add_sink(got.append)
        await line.play(5, every_s=0.1)
        await until(lambda: got)
        have = len(got)
        await line.play(1, every_s=0)
        await until(lambda: len(got) == have + 1, within_s=3)


async def test_nothing_is_decoded_until_somebody_wants_pixels(threads):
    async with two_connections() as (a, b), Line(a, b) as line:
        line.video.add_sink(lambda _: None)
        await line.play(10)
        assert not threads.new("decart-video-in")
        pictures = []
        line.video.add_frame_sink(pictures.append)
        await line.play(30)
        await until(lambda: len(pictures) > 15)
        assert line.out.counters().key_frames >= 2, "a late consumer begins at a new key frame"
        assert (pictures[0].width, pictures[0].height) == (320, 176)
        assert pictures[-1].time_base.denominator == 90_000
        line.video.remove_frame_sink(pictures.append)
        await until(lambda: not threads.new("decart-video-in"))


async def test_pixels_are_what_was_sent():
    async with two_connections() as (a, b), Line(a, b) as line:
        pictures = []
        line.video.add_frame_sink(pictures.append)
        await line.play(30, level=77)
        await until(lambda: len(pictures) > 15)
        luma = pictures[-1].to_ndarray()[:176]
        assert abs(float(luma.mean()) - 77) < 3


async def test_lost_packets_are_repaired_without_a_new_key_frame():
    async with two_connections() as (a, b), Line(a, b) as line:
        got = []
        line.video.add_sink(got.append)
        await line.play(10)
        line.lose(lambda number: number % 5 == 0)
        keys = line.out.counters().key_frames
        await line.play(60, width=640, height=352)
        await until(lambda: line.video.counters().frames >= 60)
        assert line.out.counters().key_frames <= keys + 2
        assert line.video.counters().lost < 15


async def test_a_packet_that_is_lost_twice_is_asked_for_again_and_again():
    async with two_connections() as (a, b), Line(a, b) as line:
        line.video.add_sink(lambda _: None)
        await line.play(30)  # the key frame that the sink asked for is among them
        await until(lambda: line.video.counters().frames >= 28)
        keys = line.out.counters().key_frames
        again = {row.payloadType for row in a.getTransceivers()[0]._codecs if row.name == "rtx"}
        to_lose = {"media": 1, "repeated": 1}
        transport = a.getSenders()[0].transport
        send = transport._send_rtp

        async def lossy(data):
            kind = "repeated" if data[1] & 0x7F in again else "media"
            if data[1] & 0x7F not in range(64, 96) and to_lose[kind]:
                to_lose[kind] -= 1
                return
            await send(data)

        transport._send_rtp = lossy
        await line.play(12)
        await until(lambda: line.video.counters().missed == 1)
        await asyncio.sleep(0.2)
        assert to_lose == {"media": 0, "repeated": 0}
        assert line.video.counters().lost == 0
        assert line.out.counters().key_frames == keys


async def test_what_cannot_be_repaired_is_skipped_up_to_a_key_frame_within_the_deadline():
    async with two_connections() as (a, b), Line(a, b) as line:
        got = []
        line.video.add_sink(got.append)
        await line.play(20)
        cut = {"on": True}
        line.lose(lambda _: cut["on"])
        await line.play(3)
        cut["on"] = False
        before = len(got)
        began_s = time.monotonic()
        playing = asyncio.ensure_future(line.play(100))
        line.out._control.target = 500_000
        # The lost ones are in the sender's history, so forget them: nothing can be repaired.
        a.getSenders()[0]._retransmit = nothing
        await until(lambda: len(got) > before)
        took_s = time.monotonic() - began_s
        playing.cancel()
        assert got[before].key
        assert took_s < 3 * (incoming.SKIP_S + 0.25)
        assert line.video.counters().lost > 0


async def nothing(*args):
    return


async def test_a_sink_that_fails_harms_no_other():
    async with two_connections() as (a, b), Line(a, b) as line:
        got = []

        def bad(frame):
            raise RuntimeError("mine")

        line.video.add_sink(bad)
        line.video.add_sink(got.append)
        line.video.add_frame_sink(bad)
        await line.play(20)
        await until(lambda: len(got) > 10)


async def test_a_decoder_that_cannot_follow_drops_to_a_key_frame_and_stays_bounded():
    async with two_connections() as (a, b), Line(a, b) as line:
        seen, hold = [], threading.Event()

        def slow(frame):
            seen.append(frame.pts)
            hold.wait(5)

        line.video.add_frame_sink(slow)
        await line.play(80)
        assert len(line.video._decoder._waiting) <= 30
        hold.set()
        await line.play(40)
        await until(lambda: len(seen) > 10)
        assert seen == sorted(seen)
        assert line.video.counters().decode_dropped > 20


async def test_damaged_frames_make_the_decoder_ask_for_a_key_frame():
    async with two_connections() as (a, b), Line(a, b) as line:
        pictures = []
        line.video.add_frame_sink(pictures.append)
        await line.play(20)
        await until(lambda: pictures)
        keys = line.out.counters().key_frames
        decoder = line.video._decoder
        from decart_lab.media.rtc.frames import EncodedFrame

        decoder.push(EncodedFrame("h264", b"\0\0\1\x65garbage", 0, 90_000, True, 0.0))
        await until(lambda: decoder.failures == 1)
        await line.play(30)
        await until(lambda: line.out.counters().key_frames > keys)
        assert line.video.counters().decode_dropped >= 1


async def test_an_aiortc_without_a_jitter_buffer_is_used_as_it_is_and_that_is_said(monkeypatch):
    monkeypatch.setattr(incoming, "_BUFFER", "not_there")
    async with two_connections() as (a, b), Line(a, b) as line:
        assert not line.video.tapped
        assert "as aiortc does it" in line.video.diagnostics[0]
        pictures = []
        line.video.add_frame_sink(pictures.append)
        await line.play(30)
        await until(lambda: len(pictures) > 20)
        assert line.video.counters().frames > 20


async def test_counters_tell_what_came():
    async with two_connections() as (a, b), Line(a, b) as line:
        assert line.video.counters().last_packet_s is None
        await line.play(25)
        await asyncio.sleep(0.6)
        await line.play(10)
        await until(lambda: line.video.counters().frames >= 30)
        counters = line.video.counters()
        assert counters.packets >= counters.frames
        assert counters.bytes > 1000
        assert counters.lost == 0
        assert counters.freezes >= 1
        assert 0 <= counters.jitter_s < 1
        assert np.isnan(counters.decode_ms)
        assert counters.last_frame_s is not None


async def test_sound_is_tapped_and_decoded():
    async with two_connections() as (a, b):
        out = AudioOut()
        out.bind(a.addTransceiver("audio"))
        made = []
        b.on("track", lambda _: made.append(AudioIn(b.getTransceivers()[0])))
        await join(a, b)
        encoded, frames = [], []
        made[0].add_sink(encoded.append)
        made[0].add_frame_sink(frames.append)
        await until(lambda: out.connected)
        await play(out, 1.2)
        await until(lambda: len(frames) > 40)
        assert {f.codec for f in encoded} == {"opus"}
        assert {y.timestamp - x.timestamp for x, y in itertools.pairwise(encoded)} <= {960, 1920}
        loud = [float(np.abs(frame.to_ndarray()).mean()) for frame in frames]
        assert max(loud) > 5_000
        assert sum(one > 5_000 for one in loud) > 15
        made[0].close()
