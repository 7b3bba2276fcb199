"""The thread live frames are painted in: the newest first, and fewer where all would cost much."""

from __future__ import annotations

import itertools
import math
import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from decart_lab.emulator.live import LivePainter
from decart_lab.emulator.studio import Studio

TICKS = Fraction(1, 90_000)
WAIT_S = 10.0  # for what takes milliseconds


def frame(number: int, size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    array = np.full((size[1] * 3 // 2, size[0]), 100, np.uint8)
    made = av.VideoFrame.from_ndarray(array, format="yuv420p")
    made.pts, made.time_base = number, TICKS
    return made


def until(holds) -> None:
    limit = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.001)


@pytest.fixture
def open_studio():
    opened = []

    def make(*args, **kwargs) -> Studio:
        opened.append(Studio(*args, **kwargs))
        return opened[-1]

    yield make
    for studio in opened:
        studio.close()


def test_every_frame_that_can_be_painted_comes_out_in_order(open_studio):
    out = []
    studio = open_studio(LivePainter("lucy-2.1"), out.append)
    for number in range(20):
        studio.put(frame(number))
        until(lambda: studio.frames_out == number + 1)  # noqa: B023
    assert [painted.pts for painted in out] == list(range(20))
    assert studio.replaced == studio.left_out == 0


def test_the_newest_frame_replaces_the_one_that_waits(open_studio):
    out, go = [], threading.Event()

    def slow(painted: av.VideoFrame) -> None:
        out.append(painted.pts)
        go.wait(WAIT_S)

    studio = open_studio(LivePainter("lucy-2.1"), slow)
    studio.put(frame(0))
    until(lambda: out)
    for number in range(1, 50):
        studio.put(frame(number))
    go.set()
    until(lambda: studio.frames_out == 2)
    assert out == [0, 49]
    assert studio.replaced == 48


def test_nothing_is_handed_out_while_it_is_frozen(open_studio):
    out = []
    studio = open_studio(LivePainter("lucy-2.1"), out.append)
    studio.frozen = True
    for number in range(5):
        studio.put(frame(number))
    time.sleep(0.05)
    assert out == []
    studio.frozen = False
    studio.put(frame(5))
    until(lambda: out)
    assert out[-1].pts == 5


def test_a_frame_that_fails_is_not_the_end(open_studio, caplog):
    out = []

    def fragile(painted: av.VideoFrame) -> None:
        if not out:
            out.append("failed")
            raise RuntimeError("of this frame")
        out.append(painted.pts)

    studio = open_studio(LivePainter("lucy-2.1"), fragile)
    for number in range(3):
        studio.put(frame(number))
        until(lambda: len(out) == number + 1)  # noqa: B023
    assert out == ["failed", 1, 2]
    assert "64x48" in caplog.text


def test_where_all_would_cost_too_much_every_second_is_left_out_and_the_picture_says_so(
    open_studio,
):
    cost = {"ms": 35.0}
    now = {"s": 0.0}
    painter = LivePainter("lucy-2.1")
    studio = open_studio(
        painter, lambda _: None, encode_ms=lambda: cost["ms"], clock=lambda: now["s"]
    )

    def play(frames: int) -> int:
        before = studio.frames_out
        for _ in range(frames):
            now["s"] += 0.04
            left_out, painted = studio.left_out, studio.frames_out
            studio.put(frame(studio.frames_in))
            until(lambda: studio.left_out + studio.frames_out > left_out + painted)  # noqa: B023
        return studio.frames_out - before

    play(40)
    assert studio.stride == 2
    assert painter.note == "12 of 25 fps"
    assert play(40) == 20
    cost["ms"] = 75.0
    play(60)
    assert studio.stride == 3
    cost["ms"] = 3.0
    play(120)
    assert studio.stride == 1
    assert painter.note == ""


def test_a_cost_near_the_limit_does_not_make_the_choice_flutter(open_studio):
    costs = iter([35.0, *[29.0, 28.0] * 50])
    now = {"s": 0.0}
    studio = open_studio(
        LivePainter("lucy-2.1"),
        lambda _: None,
        encode_ms=lambda: next(costs),
        clock=lambda: now["s"],
    )
    strides = []
    for _ in range(300):
        now["s"] += 0.04
        left_out, painted = studio.left_out, studio.frames_out
        studio.put(frame(studio.frames_in))
        until(lambda: studio.left_out + studio.frames_out > left_out + painted)  # noqa: B023
        strides.append(studio.stride)
    assert sum(a != b for a, b in itertools.pairwise(strides)) <= 1


def test_a_pause_of_the_camera_is_not_a_low_rate(open_studio):
    now = {"s": 0.0}
    studio = open_studio(LivePainter("lucy-2.1"), lambda _: None, clock=lambda: now["s"])
    for gap in [0.04] * 5 + [30.0] + [0.04] * 5:
        now["s"] += gap
        studio.put(frame(0))
    assert math.isclose(studio._interval_s, 0.04)


def test_an_avatar_moves_at_its_own_rate_and_with_the_sound(open_studio):
    out = []
    painter = LivePainter("live_avatar", (320, 176))
    studio = open_studio(painter, out.append)
    until(lambda: len(out) >= 6)
    steps = {b.pts - a.pts for a, b in itertools.pairwise(out)}
    assert all(step % 3600 == 0 and step > 0 for step in steps)
    quiet = out[-1].to_ndarray().astype(int)
    tone = (20_000 * np.sin(np.arange(960) * 0.1)).astype(np.int16)
    sound = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
    sound.sample_rate = 48_000
    heard = len(out)
    studio.hear(sound)
    until(lambda: len(out) >= heard + 2)
    moved = max(np.abs(painted.to_ndarray() - quiet).mean() for painted in out[heard : heard + 2])
    assert moved > 1
    until(lambda: len(out) >= heard + 25)
    assert np.abs(out[-1].to_ndarray() - quiet).mean() < 0.2  # it fell silent


@pytest.mark.parametrize("model", ["lucy-2.1", "live_avatar"])
def test_closing_ends_the_thread(model):
    studio = Studio(LivePainter(model, (64, 48)), lambda _: None)
    assert studio._thread.is_alive()
    studio.close()
    studio.close()
    assert not studio._thread.is_alive()
    studio.put(frame(0))  # which comes too late, and is no error
