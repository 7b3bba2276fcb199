"""One connection of a session, against aiortc as a service would use it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import time

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import VideoStreamTrack
from hypothesis import given, settings
from hypothesis import strategies as st

from decart_lab.contract.realtime import Candidate, IceServer
from decart_lab.errors import ResponseError, WebRTCError
from decart_lab.media.rtc.outgoing import VideoOut
from decart_lab.media.rtc.outgoing_audio import AudioOut
from decart_lab.realtime.peer import Peer
from tests.helpers.peers import picture, until

pytestmark = pytest.mark.anyio


class Service:
    """The other side: stock aiortc, sending back the video it receives."""

    def __init__(self, *, video=True):
        self.connection = RTCPeerConnection()
        self.relay = MediaRelay()
        self.sends = video

    async def answer(self, offer):
        received = []
        self.connection.on("track", received.append)
        await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for track in received:
            if track.kind == "video":
                self.connection.addTrack(self.relay.subscribe(track, buffered=False))
        if self.sends and not any(track.kind == "video" for track in received):
            self.connection.addTrack(VideoStreamTrack())
        await self.connection.setLocalDescription()
        return self.connection.localDescription.sdp

    async def close(self):
        await self.connection.close()


@pytest.fixture
async def service():
    made = Service()
    yield made
    await made.close()


@pytest.fixture
async def out():
    made = VideoOut()
    yield made
    made.close()


async def connected(service, **kwargs):
    states = []
    peer = Peer(on_state=states.append, **kwargs)
    await peer.accept(await service.answer(await peer.offer()))
    await until(lambda: peer.state == "connected")
    return peer, states


async def play(out, count, start=0):
    for number in range(start, start + count):
        out.put(picture(number))
        await asyncio.sleep(0.02)


async def test_video_goes_out_and_comes_back(service, out):
    peer, states = await connected(service, video_out=out)
    got = []
    peer.video_in.add_sink(got.append)
    await play(out, 60)
    await until(lambda: len(got) > 20)
    assert peer.codec == "h264"
    await peer.close()
    assert states == ["connecting", "connected", "closed"]
    assert peer.diagnostics == []


async def test_the_offer_always_has_a_line_for_sound_and_no_public_server():
    peer = Peer(receive_audio=False, on_state=lambda _: None)
    offer = await peer.offer()
    assert "m=audio" in offer
    assert "m=video" in offer
    assert "a=recvonly" in offer
    assert "srflx" not in offer
    assert "127.0.0.1" in offer
    await peer.close()


async def test_receive_only_needs_nothing_to_send(service):
    peer, _ = await connected(service, preferred_codec="vp8")
    got = []
    peer.video_in.add_sink(got.append)
    await until(lambda: len(got) > 3)
    assert peer.codec == "vp8"
    await peer.close()


async def test_a_dead_stun_server_does_not_hold_up_the_offer():
    servers = (IceServer(("stun:192.0.2.77:3478",)), IceServer(("turn:x:y:z", "nonsense")))
    peer = Peer(ice_servers=servers, on_state=lambda _: None)
    began_s = time.monotonic()
    offer = await peer.offer()
    assert time.monotonic() - began_s < 3 * 0.3
    assert "127.0.0.1" in offer
    await peer.close()


async def test_what_is_sent_outlives_a_peer(out):
    for _ in range(2):
        service = Service()
        peer, _ = await connected(service, video_out=out)
        got = []
        peer.video_in.add_sink(got.append)
        await until(lambda: out.connected)
        playing = asyncio.ensure_future(play(out, 200))
        await until(lambda got=got: len(got) > 5)
        playing.cancel()
        await peer.close()
        await service.close()


async def test_statistics_tell_what_is_known_and_nan_where_nothing_is(service, out):
    peer = Peer(video_out=out, on_state=lambda _: None)
    before = await peer.stats()
    assert math.isnan(before.rtt_s)
    assert math.isnan(before.loss)
    assert before.last_packet_s is None
    await peer.accept(await service.answer(await peer.offer()))
    await until(lambda: out.connected)
    playing = asyncio.ensure_future(play(out, 1000))

    async def known():
        stats = await peer.stats()
        return stats if not math.isnan(stats.rtt_s) else None

    async with asyncio.timeout(20):
        while (stats := await known()) is None:
            await asyncio.sleep(0.2)
    playing.cancel()
    assert 0 <= stats.rtt_s < 1
    assert stats.frames_in > 0
    assert stats.frames_out > 0
    assert stats.packets_in > 0
    assert stats.bytes_out > 0
    assert abs(stats.last_packet_s - time.monotonic()) < 2
    assert stats.loss >= 0
    await peer.close()


@pytest.mark.parametrize(
    "answer", ["", "v=0", "garbage\x00", "m=video 9 X 1", "v=0\r\n" * 50_000, None, 7]
)
async def test_an_answer_that_makes_no_sense_is_a_named_error(answer):
    peer = Peer(on_state=lambda _: None)
    await peer.offer()
    with pytest.raises(WebRTCError) as caught:
        await peer.accept(answer)
    assert isinstance(caught.value, ResponseError)
    await peer.close()


async def test_an_answer_to_other_media_is_a_named_error(service):
    peer, other = (Peer(on_state=lambda _: None) for _ in range(2))
    await peer.offer()
    answer = await service.answer(await other.offer())
    with pytest.raises(WebRTCError):
        await peer.accept(answer.replace("m=audio", "m=video"))
    await peer.close()
    await other.close()


async def test_candidates_may_come_early_and_make_no_sense(service):
    peer = Peer(on_state=lambda _: None)
    offer = await peer.offer()
    good = Candidate("candidate:1 1 udp 2130706431 127.0.0.1 9 typ host", "0", 0)
    bad = Candidate("candidate:nonsense", "0", 0)
    for candidate in (good, bad):
        await peer.add_candidate(candidate)
    await peer.accept(await service.answer(offer))
    for candidate in (bad, good, None, None, good):
        await peer.add_candidate(candidate)
    await until(lambda: peer.state == "connected")
    assert len(peer.diagnostics) == 2
    await peer.close()


changes = st.tuples(
    st.sampled_from(["drop", "double", "cut", "swap", "letter"]),
    st.integers(0, 9_999),
    st.integers(0, 80),
    st.characters(codec="utf-8"),
)


def damaged(text, plan):
    """Change lines of a description; which, depends on the plan alone."""
    lines = text.splitlines()
    for change, line, where, letter in plan:
        at = line % len(lines)
        if change == "drop" and len(lines) > 1:
            del lines[at]
        elif change == "double":
            lines.insert(at, lines[at])
        elif change == "cut":
            lines[at] = lines[at][:where]
        elif change == "swap":
            lines[at], lines[where % len(lines)] = lines[where % len(lines)], lines[at]
        elif change == "letter":
            lines[at] = lines[at][:where] + letter + lines[at][where + 1 :]
    return "\r\n".join(lines) + "\r\n"


@settings(max_examples=200, deadline=None)
@given(st.lists(changes, min_size=1, max_size=4))
def test_damage_to_an_answer_raises_nothing_but_webrtc_errors(plan):
    async def run():
        peer = Peer(on_state=lambda _: None)
        service = Service()
        answer = await service.answer(await peer.offer())
        try:
            with contextlib.suppress(WebRTCError):
                await peer.accept(damaged(answer, plan))
                await asyncio.sleep(0.05)
        finally:
            await asyncio.gather(peer.close(), service.close())

    asyncio.run(run())


async def test_closing_is_quick_and_leaves_no_thread(out, threads):
    service = Service()
    peer, _ = await connected(service, video_out=out, audio_out=AudioOut())
    peer.video_in.add_frame_sink(lambda _: None)
    peer.audio_in.add_frame_sink(lambda _: None)
    await play(out, 20)
    began_s = time.monotonic()
    await asyncio.gather(peer.close(), peer.close())
    assert time.monotonic() - began_s < 3 * 3.0
    out.close()
    await service.close()

    def left() -> list[str]:  # but for the pool of the stock service
        return [name for name in threads.new("") if not name.startswith("asyncio")]

    await until(lambda: not left())


async def test_a_peer_can_be_closed_before_it_was_answered_and_is_collected():
    peer = Peer(on_state=lambda _: None)
    await peer.offer()
    await peer.close()
    with pytest.raises(WebRTCError):
        await peer.accept("v=0")
    with pytest.raises(WebRTCError):
        await peer.offer()
    assert peer.state == "closed"
    gc.collect()


async def test_the_other_side_going_away_is_told(service, out):
    peer, states = await connected(service, video_out=out)
    await until(lambda: service.connection.connectionState == "connected")
    await service.close()
    await until(lambda: states[-1] == "closed")
    await peer.close()
