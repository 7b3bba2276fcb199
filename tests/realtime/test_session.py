"""A live session against the emulator: real signaling, real WebRTC, real pictures."""

from __future__ import annotations

import asyncio
import math
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decart_lab import DecartClient, InvalidInputError
from decart_lab.contract.realtime import SessionState
from decart_lab.emulator import emulator
from decart_lab.errors import InvalidAPIKeyError, ModerationError, SessionClosedError, WebRTCError
from decart_lab.media import samples
from decart_lab.media.rtc.frames import EncodedFrame
from decart_lab.realtime.hub import Hub
from decart_lab.realtime.measure import Measure
from decart_lab.realtime.stats import EVENTS, FRAMES, SECONDS

from .conftest import until

S = SessionState


def _colour(frame: np.ndarray) -> np.ndarray:
    """How a picture looks on average, without its corners, which hold marks."""
    return frame[40:-40, 40:-40].reshape(-1, 3).mean(axis=0)


async def test_a_session_generates_ticks_and_ends_with_what_the_ledger_says(
    connect: Any, emu: Any, dialect: str
) -> None:
    session = await connect(dialect=dialect)
    states: list[str] = []
    session.on("connection_change", states.append)
    await until(lambda: session.seconds >= 1)
    summary = await session.end()
    assert states == [S.CONNECTING, S.CONNECTED, S.GENERATING, S.DISCONNECTED]
    assert (summary.reason, summary.seconds) == ("disconnect", session.seconds)
    entry = emu.ledger[-1]
    assert (entry.session_id, entry.seconds) == (session.session_id, summary.seconds)
    assert session.cost == pytest.approx(entry.price)
    assert session.simulated


async def test_a_new_prompt_is_seen(connect: Any, dialect: str) -> None:
    session = await connect(samples.path("clip.mp4"), dialect=dialect, prompt=None)
    before = _colour(await session.snapshot())
    await session.set(prompt="black and white")
    assert session.prompt == "black and white"
    await asyncio.sleep(0.3)
    after = _colour(await session.snapshot())
    assert np.ptp(after) < 12 < np.ptp(before)


async def test_a_reference_image_is_seen_and_cleared(connect: Any, dialect: str) -> None:
    session = await connect("synthetic", dialect=dialect, prompt=None)
    before = _colour(await session.snapshot())
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 220
    await session.set(image=red)
    await asyncio.sleep(0.5)
    assert session.has_image
    assert np.abs(_colour(await session.snapshot()) - before).max() > 15
    await session.set_image(None)
    assert not session.has_image


async def test_frames_that_return_are_those_that_were_sent(connect: Any) -> None:
    session = await connect(measure=True)
    await until(lambda: len(session.frames()) >= 60)
    marks = session.frames()["marker"].dropna().astype(int).tolist()
    assert len(marks) > 50
    assert marks == sorted(marks)
    assert session.frames()["g2g_ms"].dropna().between(0, 5000).all()


async def test_the_tables_have_the_same_types_empty_and_full(connect: Any) -> None:
    session = await connect(measure=True)
    empty = [session.stats(), session.frames()]
    await until(lambda: len(session.stats()) >= 2)
    full = [session.stats(), session.frames()]
    for before, after in zip(empty, full, strict=True):
        assert before.dtypes.to_dict() == after.dtypes.to_dict()
    assert list(session.stats()) == list(SECONDS)
    assert list(session.events()) == list(EVENTS)
    assert list(session.frames()) == list(FRAMES)
    assert {"connecting", "connected"} <= set(session.events()["detail"])


async def test_a_frame_callback_gets_pictures_and_its_error_is_told_not_raised(
    connect: Any,
) -> None:
    session = await connect()
    problems: list[Any] = []
    session.on("error", problems.append)

    def fails(frame: np.ndarray) -> None:
        assert frame.shape == (176, 320, 3)
        raise RuntimeError("mine")

    session.on_frame(fails)
    await until(lambda: problems)
    assert "mine" in str(problems[0])
    assert session.is_connected()


async def test_the_official_way_to_receive_frames_works(connect: Any) -> None:
    tracks: list[Any] = []
    session = await connect(on_remote_stream=tracks.append)
    frame = await asyncio.wait_for(tracks[0].recv(), 10)
    assert (frame.width, frame.height) == (320, 176)
    await session.end()
    assert tracks[0].readyState == "ended"


async def test_events_are_iterated_from_the_first_to_the_last(connect: Any) -> None:
    session = await connect()

    async def read() -> list[str]:
        return [event.name async for event in session]

    reading = asyncio.create_task(read())
    await until(lambda: session.seconds >= 1)
    await session.end()
    names = await asyncio.wait_for(reading, 5)
    assert names[:2] == ["connection_change", "connection_change"]
    assert {"generation_started", "generation_tick"} <= set(names)
    assert names[-1] == "connection_change"


async def test_a_refused_prompt_at_creation_leaves_nothing_behind(
    connect: Any, emu: Any, dialect: str
) -> None:
    lines = len(emu.ledger)
    with pytest.raises(ModerationError):
        await connect(dialect=dialect, prompt="[[blocked]]")
    await until(lambda: all(session.reason for session in emu.sessions.values()))
    assert len(emu.ledger) == lines


async def test_a_refused_prompt_later_changes_nothing(connect: Any, dialect: str) -> None:
    session = await connect(dialect=dialect)
    with pytest.raises(ModerationError):
        await session.set(prompt="[[blocked]]")
    assert session.prompt == "ink drawing"
    assert session.is_connected()
    await session.set(prompt="snow")
    assert session.prompt == "snow"


async def test_the_time_that_was_allowed_is_kept(connect: Any, emu: Any) -> None:
    session = await connect(max_seconds=2)
    summary = await asyncio.wait_for(session.wait(), 20)
    assert session.reason == summary.reason == "max_seconds"
    assert emu.ledger[-1].seconds <= 3  # at most one tick more


async def test_a_session_that_nobody_uses_says_so_and_ends(connect: Any) -> None:
    session = await connect(idle_timeout=2)
    warnings: list[float] = []
    session.on("idle", warnings.append)
    await asyncio.wait_for(session.wait(), 20)
    assert session.reason == "idle"
    assert len(warnings) == 1


async def test_a_session_in_use_is_not_idle(connect: Any) -> None:
    session = await connect(idle_timeout=1.5)
    session.on_frame(lambda _: None)
    await asyncio.sleep(3)
    assert not session.over


async def test_ending_twice_is_ending_once(connect: Any, emu: Any) -> None:
    session = await connect()
    first, second = await asyncio.gather(session.end(), session.end())
    assert first == second == await session.end()
    with pytest.raises(SessionClosedError):
        await session.set(prompt="snow")


async def test_a_viewer_sees_and_cannot_change(connect: Any, client: DecartClient) -> None:
    session = await connect(dialect="websocket")
    token = await until(lambda: session.subscribe_token)
    async with await client.realtime.subscribe(token) as viewer:
        assert (await viewer.snapshot()).shape == (176, 320, 3)
        with pytest.raises(InvalidInputError, match="viewer"):
            await viewer.set(prompt="snow")
    assert session.is_connected()


async def test_another_source_takes_over(connect: Any) -> None:
    session = await connect("synthetic", prompt=None)
    await session.snapshot()
    await session.set_source(np.full((64, 64, 3), 250, np.uint8))
    await asyncio.sleep(0.7)
    assert _colour(await session.snapshot()).min() > 150


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "no-such-model"}, "no-such-model"),
        ({"prompt": ""}, "empty"),
        ({"prompt": 7}, "text"),
        ({"size": (7, 7)}, "size"),
        ({"fps": 500}, "fps"),
        ({"dialect": "carrier pigeon"}, "dialect"),
        ({"speed": "fast"}, "speed"),
        ({"max_seconds": -1}, "max_seconds"),
        ({"bitrate": 3}, "bitrate"),
        ({"preferred_video_codec": "av1"}, "codec"),
        ({"image": "/no/such/file.png"}, "file.png"),
        ({"source": "/no/such/clip.mp4"}, "clip.mp4"),
        ({"initial_state": {"prompt": "a"}}, "initial_state"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_asked(
    connect: Any, emu: Any, options: dict[str, Any], says: str
) -> None:
    known = len(emu.sessions)
    with pytest.raises(InvalidInputError, match=says):
        await connect(**options)
    assert len(emu.sessions) == known


async def test_the_initial_state_is_understood_as_the_official_sdk_writes_it(connect: Any) -> None:
    session = await connect(
        prompt=None, initial_state={"prompt": {"text": "snow", "enhance": False}}
    )
    assert session.prompt == "snow"


async def test_a_proxy_without_a_key_serves_one_dialect_only(emu: Any) -> None:
    async with DecartClient(proxy=emu.url, realtime_base_url=emu.ws_url) as client:
        with pytest.raises(InvalidAPIKeyError, match="http"):
            await client.realtime.connect("synthetic", model="lucy-2.1", dialect="websocket")


async def test_a_price_that_is_unknown_is_no_number(connect: Any) -> None:
    session = await connect(model="lucy-2.6")
    assert math.isnan(session.cost)
    assert "USD" not in repr(session)


async def test_no_key_is_in_anything_a_session_shows(connect: Any, dialect: str) -> None:
    session = await connect(dialect=dialect)
    await until(lambda: len(session.stats()) >= 1)
    shown = [repr(session), str(vars(session)), session.events().to_csv(), session.stats().to_csv()]
    assert not any("dct_secret_key_12345" in text for text in shown)


async def test_a_service_that_is_not_there_is_a_named_error() -> None:
    async with DecartClient(api_key="k", base_url="http://127.0.0.1:9") as client:
        with pytest.raises(WebRTCError):
            await client.realtime.connect("synthetic", model="lucy-2.1", reconnect=False)


async def test_sound_comes_back_and_can_be_heard(connect: Any) -> None:
    session = await connect("synthetic")  # which has a tone
    heard: list[Any] = []
    session.on_sound(heard.append)
    await until(lambda: len(heard) > 25)
    loud = max(float(np.abs(frame.to_ndarray().astype(float)).max()) for frame in heard)
    assert heard[-1].sample_rate == 48_000
    assert loud > 0


@pytest.mark.filterwarnings("ignore:Model 'live_avatar' is a legacy name")
async def test_an_avatar_is_driven_by_sound_alone(client: DecartClient, tmp_path: Path) -> None:
    speech = tmp_path / "speech.wav"
    with wave.open(str(speech), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        tone = np.sin(np.arange(16_000 * 3) * 0.2) * 20_000
        file.writeframes(tone.astype("<i2").tobytes())
    session = await client.realtime.connect(
        speech, model="live_avatar", image=samples.path("cat.jpg"), size=(320, 176)
    )
    async with session:
        assert (await session.snapshot()).ndim == 3


async def test_a_recording_plays(connect: Any, tmp_path: Path) -> None:
    session = await connect()
    session.record(tmp_path / "take.mp4")
    await asyncio.sleep(2)
    await session.set(prompt="snow")
    await asyncio.sleep(1)
    recording = await session.stop_recording()
    from decart_lab.media.video import read_frames

    frames = list(read_frames(recording.path))
    assert len(frames) > 30
    assert "snow" in recording.path.with_suffix(".vtt").read_text()


async def test_the_limit_of_the_service_is_told_before_it_is_reached(tmp_path: Path) -> None:
    with emulator(session_s=5) as emu:
        async with DecartClient(api_key="k", base_url=emu.url) as client:
            session = await client.realtime.connect(
                "synthetic", model="lucy-2.1", prompt="ink", size=(320, 176)
            )
            left: list[float] = []
            session.on("expiring", left.append)
            await asyncio.wait_for(session.wait(), 20)
            assert session.reason == "timeout"
            assert len(left) == 1
            assert 0 < left[0] <= 5


def test_events_that_are_held_back_are_noticed() -> None:
    hub = Hub()
    measure = Measure(hub, None, None, lambda *_: None)
    hub._on_video(EncodedFrame("h264", b"x", 0, 90_000, True, 0.0))
    measure.expect_events(True, 0.0)
    measure.expect_events(True, 2.9)
    assert measure.diagnostics() == []
    measure.expect_events(True, 3.1)
    assert "proxy" in measure.diagnostics()[0]
