"""Video that is sent, received by aiortc as it comes."""

from __future__ import annotations

import asyncio
import itertools

import av
import pytest

from decart_lab.media.rtc.connection import negotiated_codec, prefer_codec
from decart_lab.media.rtc.encoder import VideoEncoder
from decart_lab.media.rtc.outgoing import MAX_WAITING, VideoOut
from tests.helpers.peers import join, picture, two_connections, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def out():
    made = VideoOut()
    yield made
    made.close()


async def joined(a, b, out, codec="h264"):
    transceiver = a.addTransceiver("video")
    prefer_codec(transceiver, codec)
    out.bind(transceiver)
    tracks = []
    b.on("track", tracks.append)
    await join(a, b)
    await until(lambda: out.connected)
    assert negotiated_codec(transceiver) == codec
    return tracks[0]


async def play(out, *, start=0, count=25, every_s=0.02, **kwargs):
    for number in range(start, start + count):
        out.put(picture(number, **kwargs))
        await asyncio.sleep(every_s)


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_pictures_arrive_in_order_at_their_own_times(out, codec):
    async with two_connections() as (a, b):
        track = await joined(a, b, out, codec)
        playing = asyncio.ensure_future(play(out, count=30))
        frames = [await asyncio.wait_for(track.recv(), 10) for _ in range(20)]
        await playing
    steps = [after.pts - before.pts for before, after in itertools.pairwise(frames)]
    assert set(steps) <= {3600, 7200, 10800}
    assert (frames[0].width, frames[0].height) == (320, 176)
    counters = out.counters()
    assert counters.frames_in == 30
    assert counters.frames_sent + counters.dropped == 30
    assert counters.key_frames == 1
    assert counters.encode_ms > 0


async def test_nothing_is_kept_before_a_connection_is_up(out):
    for number in range(100):
        out.put(picture(number))
    assert out.counters().frames_in == 0


async def test_a_picture_that_waits_is_replaced_by_a_newer_one(out):
    async with two_connections() as (a, b):
        await joined(a, b, out)
        frame = picture(0, width=1280, height=720)
        for _ in range(200):  # far faster than they can be encoded
            out.put(frame)
            frame.pts += 1
            assert len(out._waiting) <= 1
        await until(lambda: (c := out.counters()).frames_sent + c.dropped == 200)
        assert out.counters().dropped > 150


async def test_a_key_frame_is_sent_when_the_receiver_asks(out):
    async with two_connections() as (a, b):
        track = await joined(a, b, out)
        await play(out, count=20)
        await asyncio.wait_for(track.recv(), 10)
        receiver = b.getReceivers()[0]
        assert out.counters().key_frames == 1
        await receiver._send_rtcp_pli(a.getSenders()[0]._ssrc)
        await asyncio.sleep(0.3)
        await play(out, start=20, count=10)
        await until(lambda: out.counters().key_frames == 2)


async def test_a_source_that_starts_again_keeps_its_time_growing(out):
    async with two_connections() as (a, b):
        track = await joined(a, b, out)
        await play(out, start=500, count=15)
        await play(out, start=0, count=15)
        frames = [await asyncio.wait_for(track.recv(), 10) for _ in range(24)]
    steps = [after.pts - before.pts for before, after in itertools.pairwise(frames)]
    assert all(0 < step < 30_000 for step in steps)


async def test_the_size_may_change_while_it_plays(out):
    async with two_connections() as (a, b):
        track = await joined(a, b, out)
        await play(out, count=10)
        await play(out, start=10, count=10, width=640, height=352)
        sizes = {(await asyncio.wait_for(track.recv(), 10)).width for _ in range(17)}
    assert sizes == {320, 640}


async def test_encoded_packets_pass_through_as_they_are(out):
    encoder = VideoEncoder("h264", bitrate=500_000, key_every_s=0.4)
    packets = []
    for number in range(30):
        made = encoder.encode(picture(number), number * 3600)
        packet = av.Packet(made.data)
        packet.pts, packet.time_base = number, picture(0).time_base
        packet.is_keyframe = made.key
        packets.append((packet, made.data))
    sent = []
    out.add_sink(lambda frame: sent.append(frame.data))
    async with two_connections() as (a, b):
        track = await joined(a, b, out)
        for packet, _ in packets:
            out.put(packet)
            await asyncio.sleep(0.02)
        frames = [await asyncio.wait_for(track.recv(), 10) for _ in range(25)]
    assert sent == [data for _, data in packets]
    assert frames[10].pts - frames[9].pts == 3600


async def test_packets_are_decoded_for_a_connection_of_another_codec(out):
    encoder = VideoEncoder("h264", bitrate=500_000)
    async with two_connections() as (a, b):
        track = await joined(a, b, out, "vp8")
        for number in range(20):
            packet = av.Packet(encoder.encode(picture(number), number * 3600).data)
            packet.pts, packet.time_base = number, picture(0).time_base
            out.put(packet)
            await asyncio.sleep(0.02)
        frame = await asyncio.wait_for(track.recv(), 10)
    assert frame.width == 320


async def test_too_many_waiting_packets_are_dropped_up_to_a_key_frame(out):
    encoder = VideoEncoder("h264", bitrate=500_000)
    async with two_connections() as (a, b):
        await joined(a, b, out)
        with out._wake:  # the encoding thread is held up
            for number in range(MAX_WAITING + 20):
                packet = av.Packet(encoder.encode(picture(number), number * 3600).data)
                packet.pts, packet.time_base = number, picture(0).time_base
                packet.is_keyframe = number == 0
                out.put(packet)
            assert len(out._waiting) == 0
            packet.is_keyframe = True
            out.put(packet)
            assert len(out._waiting) == 1


def test_a_packet_that_is_not_annex_b_is_refused(out):
    with pytest.raises(ValueError, match="Annex B"):
        out.put(av.Packet(b"\x00\x00\x02\x00abc"))


async def test_it_outlives_its_connections(out):
    for _ in range(2):
        async with two_connections() as (a, b):
            track = await joined(a, b, out)
            await play(out, count=10)
            assert await asyncio.wait_for(track.recv(), 10)
        await until(lambda: not out.connected)


async def test_a_second_connection_shares_the_encoding_and_begins_with_a_key_frame(out):
    async with two_connections() as (a, b), two_connections() as (c, d):
        first = await joined(a, b, out)
        await play(out, count=10)
        second = await joined(c, d, out)
        await play(out, start=10, count=20)
        assert await asyncio.wait_for(first.recv(), 10)
        assert await asyncio.wait_for(second.recv(), 10)
        assert out.counters().frames_sent <= 30
        assert out.counters().key_frames == 2


async def test_closing_leaves_no_thread(threads):
    out = VideoOut()
    async with two_connections() as (a, b):
        await joined(a, b, out)
        await play(out, count=3)
        out.close()
        out.put(picture(99))
    await until(lambda: not threads.new("decart-video-out"))


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_the_bit_rate_follows_its_setting_while_it_plays(codec, clip):
    with av.open(str(clip)) as file:
        frames = [f.reformat(640, 352, "yuv420p") for f in file.decode(video=0)][:60]
    encoder = VideoEncoder(codec, bitrate=1_000_000)
    numbers = itertools.count()

    def encoded(bitrate):
        encoder.bitrate = bitrate
        return [encoder.encode(frames[n % 60], n * 3600) for n in itertools.islice(numbers, 75)]

    def size(made):
        return sum(len(m.data) for m in made[25:])

    fast, slow = encoded(1_000_000), encoded(250_000)
    assert size(slow) < 0.5 * size(fast)
    if codec == "h264":
        assert not any(m.key for m in slow), "x264 need not be opened anew to go slower"


def test_a_forced_key_frame_can_be_begun_with():
    encoder = VideoEncoder("h264", bitrate=500_000)
    made = [encoder.encode(picture(n), n * 3600, key=n == 7) for n in range(12)]
    assert [m.key for m in made] == [n in (0, 7) for n in range(12)]
    decoder = av.CodecContext.create("h264", "r")
    decoded = [f for m in made[7:] for f in decoder.decode(av.Packet(m.data))]
    assert len(decoded) == 5


def test_a_frame_keeps_its_own_time_and_type():
    frame = picture(7)
    VideoEncoder("h264", bitrate=500_000).encode(frame, 12345, key=True)
    assert (frame.pts, frame.time_base) == (7, picture(0).time_base)
