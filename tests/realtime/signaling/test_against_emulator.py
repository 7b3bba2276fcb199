"""Both dialects against the emulator, with real media descriptions."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

import pytest
from aiortc import VideoStreamTrack

from decart_lab._http import Http
from decart_lab.config import Secret
from decart_lab.contract.models import resolve_model
from decart_lab.contract.realtime import Ended, RestartWanted
from decart_lab.errors import (
    ModerationError,
    NotFoundError,
    ServerError,
    SessionClosedError,
    WebRTCError,
)
from decart_lab.media.rtc.connection import close, make_connection, set_remote
from decart_lab.realtime.signaling import DIALECTS, open_signaling, open_viewer
from decart_lab.realtime.signaling.base import Change
from decart_lab.realtime.signaling.patience import Patience
from tests.helpers.signaling import KEY

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_faults_are_left(emu):
    yield
    emu.faults.clear()


BOTH = pytest.mark.parametrize("dialect", DIALECTS)


@contextlib.asynccontextmanager
async def reaching(emu, dialect, *, base_url=None):
    key = Secret(KEY)
    http = Http(base_url or emu.url, key=key, user_agent="test")
    made = open_signaling(
        dialect,
        http=http,
        realtime_base_url=emu.ws_url,
        key=key,
        user_agent="test",
        model=resolve_model("lucy-2.1", "realtime"),
        patience=Patience(retry_s=0.05, end_s=5),
    )
    try:
        yield made
    finally:
        with contextlib.suppress(WebRTCError):
            await made.end()
        await made.aclose()
        await http.aclose()


@contextlib.asynccontextmanager
async def offering():
    peer = make_connection()
    try:
        peer.addTransceiver("audio")
        peer.addTransceiver("video")
        await peer.setLocalDescription()
        yield peer
    finally:
        await close(peer)


@contextlib.asynccontextmanager
async def live(session):
    """Open with a picture that moves, which is what faults of running sessions wait for."""
    peer = make_connection()
    try:
        peer.addTransceiver("audio")
        peer.addTrack(VideoStreamTrack())
        await peer.setLocalDescription()
        answer = await session.open(peer.localDescription.sdp, Change("anime"))
        await set_remote(peer, answer, "answer")
        yield
    finally:
        await close(peer)


async def opened(session, change=None):
    async with offering() as peer:
        return await session.open(peer.localDescription.sdp, change or Change("anime"))


@BOTH
async def test_a_session_is_opened_changed_and_ended(emu, dialect):
    async with reaching(emu, dialect) as session:
        answer = await opened(session)
        assert answer.startswith("v=0")
        assert session.simulated is True
        await session.change(Change("a fox"))
        await session.change(Change(None))
        with pytest.raises(ModerationError):
            await session.change(Change("[[blocked]]"))
        await session.change(Change("a hare"))
        await session.end()
        async with asyncio.timeout(10):
            told = [event async for event in session.events()]
    if dialect == "http":
        assert told[-1] == Ended(0.0, "disconnect")
        assert session.session_id.startswith("rs_")


@BOTH
async def test_a_moderated_beginning_leaves_nothing_behind(emu, dialect):
    before = len(emu.ledger)
    async with reaching(emu, dialect) as session:
        with pytest.raises(ModerationError):
            await opened(session, Change("[[blocked]]"))
        assert session.session_id is None or dialect == "websocket"
    assert len(emu.ledger) == before


@BOTH
@pytest.mark.parametrize("sdp", ["v=0", "nonsense", "\0", "v=0\r\n" * 5_000])
async def test_a_senseless_offer_is_refused_with_a_name(emu, dialect, sdp):
    async with reaching(emu, dialect) as session:
        with pytest.raises(WebRTCError):
            await session.open(sdp, Change("anime"))


async def test_no_room_is_an_error_that_says_how_long_to_wait(emu):
    emu.faults.add("session_unavailable", retry_after_s=4)
    async with reaching(emu, "http") as session:
        with pytest.raises(ServerError) as caught:
            await opened(session)
    assert (caught.value.status, caught.value.retry_after_s) == (503, 4)


async def test_a_stream_that_the_service_cuts_is_taken_up_again(emu):
    emu.faults.add("sse_cut", after_s=0)
    async with reaching(emu, "http") as session, live(session), asyncio.timeout(10):
        while session._listener.connections < 2:
            await asyncio.sleep(0.02)
        await session.end()
        told = [event async for event in session.events()]
    assert told[-1].reason == "disconnect"


async def test_candidates_go_while_the_etags_storm(emu):
    emu.faults.add("etag_storm", patches=3)
    async with reaching(emu, "http") as session:
        await opened(session)
        await session.send_candidates([None])


async def test_the_service_asks_for_a_restart_and_gets_it(emu):
    emu.faults.add("ice_restart", after_s=0)
    async with reaching(emu, "http") as session:
        async with (
            live(session),
            asyncio.timeout(10),
            contextlib.aclosing(session.events()) as events,
        ):
            async for event in events:
                if isinstance(event, RestartWanted):
                    break
        async with offering() as peer:
            again = await session.reoffer(peer.localDescription.sdp)
        assert again.answer_sdp.startswith("v=0")
        await session.send_candidates([None])


@BOTH
async def test_a_service_that_forgot_the_session_has_ended_it(emu, dialect):
    emu.faults.add("server_killed", after_s=0.2, for_s=0.3, times=1)
    async with reaching(emu, dialect) as session:
        with pytest.raises(WebRTCError) as caught:
            async with live(session), asyncio.timeout(20):
                async for _ in session.events():
                    pass
        assert isinstance(caught.value, SessionClosedError)
        await listening(emu)
        assert await session.end() is None


async def test_a_viewer_is_let_in_by_its_token_and_kept_out_after_the_end(emu):
    async with reaching(emu, "websocket") as session:
        await opened(session)
        async with reaching_viewer(emu, session.subscribe_token) as viewer:
            assert (await opened_viewer(viewer)).startswith("v=0")
        token = session.subscribe_token
        await session.end()
    async with reaching_viewer(emu, token) as late:
        with pytest.raises(WebRTCError) as caught:
            await opened_viewer(late)
    assert isinstance(caught.value, NotFoundError)


async def listening(emu):
    """Wait until a server that was killed is back."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(emu.url).port)
                writer.close()
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def reaching_viewer(emu, token):
    http = Http(emu.url, key=Secret(KEY), user_agent="test")
    viewer = open_viewer(
        token,
        http=http,
        realtime_base_url=emu.ws_url,
        key=Secret(KEY),
        user_agent="test",
        patience=Patience(answer_s=5),
    )
    try:
        yield viewer
    finally:
        await viewer.aclose()
        await http.aclose()


async def opened_viewer(viewer):
    peer = make_connection()
    try:
        peer.addTransceiver("audio", direction="recvonly")
        peer.addTransceiver("video", direction="recvonly")
        await peer.setLocalDescription()
        return await viewer.open(peer.localDescription.sdp, Change())
    finally:
        await close(peer)
