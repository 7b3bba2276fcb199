"""The thread live frames are painted in: the newest first, and fewer where all would cost much."""

from __future__ import annotations

import itertools
import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from decart_lab.emulator.live import LivePainter
from decart_lab.emulator.studio import BUDGET, CODECS_MS, MAX_WAITING, Studio

TICKS = Fraction(1, 90_000)
LARGE = (1280, 720)
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


def test_the_newest_frame_replaces_those_that_wait_when_they_become_many(open_studio):
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
    until(lambda: studio.frames_in == studio.frames_out + studio.replaced)
    assert out == [0, *range(50 - studio.frames_out + 1, 50)]
    assert 2 <= studio.frames_out <= 1 + MAX_WAITING


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


class Playing:
    """Plays frames into a studio at any rate, one painted after the other."""

    def __init__(self, open_studio) -> None:
        self._now = 0.0
        self.painter = LivePainter("lucy-2.1")
        self.studio = open_studio(self.painter, lambda _: None, clock=lambda: self._now)
        self._frame = frame(0, LARGE).to_ndarray()

    def __call__(self, frames: int, interval_s: float) -> list[int]:
        """The stride after each frame."""
        strides = []
        for _ in range(frames):
            self._now += interval_s
            before = self.done
            self.studio.put(av.VideoFrame.from_ndarray(self._frame, format="yuv420p"))
            until(lambda: self.done > before)  # noqa: B023
            strides.append(self.studio.stride)
        return strides

    @property
    def done(self) -> int:
        return self.studio.left_out + self.studio.frames_out


COST_S = CODECS_MS * LARGE[0] * LARGE[1] / 1e9  # what a frame is reckoned at, but for the painting


def test_where_all_would_cost_too_much_every_second_is_left_out_and_the_picture_says_so(
    open_studio,
):
    play = Playing(open_studio)
    play(30, 0.08)
    assert (play.studio.stride, play.painter.note) == (1, "")
    half_s = COST_S / BUDGET * 0.75
    play(round(2 / half_s), half_s)
    assert play.studio.stride == 2
    assert play.painter.note == f"{0.5 / half_s:.0f} of {1 / half_s:.0f} fps"
    painted = play.studio.frames_out
    play(40, half_s)
    assert play.studio.frames_out - painted == 20
    third_s = COST_S / BUDGET * 0.45
    play(round(2 / third_s), third_s)
    assert play.studio.stride == 3
    play(30, 0.08)
    assert (play.studio.stride, play.painter.note) == (1, "")


def test_a_rate_near_the_limit_does_not_make_the_choice_flutter(open_studio):
    play = Playing(open_studio)
    near_s = COST_S / BUDGET
    play(round(2 / near_s), near_s * 0.8)
    strides = [
        stride
        for _ in range(10)
        for share in (1.02, 0.98)
        for stride in play(round(1.3 / near_s), near_s * share)
    ]
    assert set(strides) == {2}


def test_neither_a_pause_nor_a_burst_is_taken_for_a_rate(open_studio):
    play = Playing(open_studio)
    for _ in range(10):
        play(25, 0.08)
        play(20, 0.001)  # a network that was held up
        play(1, 0.76)
        play(1, 30.0)
    assert play.studio.stride == 1
    assert play.studio.left_out == 0
    assert 10 < play.studio._rate.value < 25


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
