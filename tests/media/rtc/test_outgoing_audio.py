"""Sound that is sent, received by aiortc as it comes."""

from __future__ import annotations

import asyncio
import itertools
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from decart_lab.media.rtc.outgoing_audio import AudioOut
from tests.helpers.peers import join, two_connections, until

pytestmark = pytest.mark.anyio


def tone(number, *, samples=960, rate=48_000, layout="mono"):
    at = (np.arange(samples) + number * samples) / rate
    wave = (20_000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16)
    channels = 2 if layout == "stereo" else 1
    frame = av.AudioFrame.from_ndarray(
        np.repeat(wave, channels).reshape(1, -1), format="s16", layout=layout
    )
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), number * samples
    return frame


async def play(out, seconds, **kwargs):
    """Put a tone at the pace of the clock, whatever else the machine does."""
    begun_s, number = time.monotonic(), 0
    while number < seconds * 50:
        if time.monotonic() - begun_s >= number * 0.02:
            out.put(tone(number, **kwargs))
            number += 1
        else:
            await asyncio.sleep(0.005)


async def joined(a, b, out):
    transceiver = a.addTransceiver("audio")
    out.bind(transceiver)
    tracks = []
    b.on("track", tracks.append)
    await join(a, b)
    await until(lambda: out.connected)
    return tracks[0]


def loudness(frames):
    return float(np.abs(np.concatenate([f.to_ndarray().ravel() for f in frames])).mean())


async def test_silence_is_sent_where_there_is_no_sound():
    out = AudioOut()
    async with two_connections() as (a, b):
        track = await joined(a, b, out)
        frames = [await asyncio.wait_for(track.recv(), 10) for _ in range(20)]
        assert loudness(frames) < 5
        assert {y.pts - x.pts for x, y in itertools.pairwise(frames)} == {960}
        counters = out.counters()
        assert counters.packets == counters.silent > 0


@pytest.mark.parametrize(("rate", "layout"), [(48_000, "stereo"), (44_100, "mono")])
async def test_sound_arrives_whatever_its_rate_and_layout(rate, layout):
    out = AudioOut()
    async with two_connections() as (a, b):
        track = await joined(a, b, out)

        sound = play(out, 1.2, samples=rate // 50, rate=rate, layout=layout)
        playing = asyncio.ensure_future(sound)
        frames = [await asyncio.wait_for(track.recv(), 10) for _ in range(45)]
        await playing
        assert loudness(frames[20:]) > 5_000


async def test_sound_that_comes_too_fast_is_left_out_and_never_delays():
    out = AudioOut()
    async with two_connections() as (a, b):
        await joined(a, b, out)
        for number in range(100):  # two seconds at once
            out.put(tone(number))
        assert out.counters().dropped_s == pytest.approx(1.8, abs=0.05)


async def test_two_connections_hear_the_same():
    out = AudioOut()
    async with two_connections() as (a, b), two_connections() as (c, d):
        first, second = await joined(a, b, out), await joined(c, d, out)
        await until(lambda: all(feed.live for feed in out._feeds))

        playing = asyncio.ensure_future(play(out, 1.2))
        for track in (first, second):
            frames = [await asyncio.wait_for(track.recv(), 10) for _ in range(45)]
            assert loudness(frames[20:]) > 5_000
        await playing


async def test_it_outlives_its_connections_and_ends_when_closed():
    out = AudioOut()
    for _ in range(2):
        async with two_connections() as (a, b):
            track = await joined(a, b, out)
            assert await asyncio.wait_for(track.recv(), 10)
        await until(lambda: not out.connected)
    out.close()
    out.put(tone(0))
