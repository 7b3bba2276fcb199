"""The painter of live frames: looks that change while frames run, and what must stay as it is."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from decart_lab.emulator.avatar import Avatar, loudness
from decart_lab.emulator.chain import REVIEW
from decart_lab.emulator.live import LivePainter
from decart_lab.emulator.looks import LOOKS
from decart_lab.media import marker, samples
from decart_lab.media.image import open_image
from decart_lab.media.video import read_frames

SIZE = (640, 352)
TICKS = Fraction(1, 90_000)
MODEL = "lucy-2.1"


def planes(name: str = "cat.jpg", size: tuple[int, int] = SIZE) -> np.ndarray:
    picture = np.asarray(open_image(samples.path(name)).resize(size))
    return (
        av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p").to_ndarray()
    )


CAT = planes()


def frame(number: int = 0, array: np.ndarray = CAT, *, marked: bool = False) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(array, format="yuv420p")
    made.pts, made.time_base = 1000 + 3000 * number, TICKS
    if marked:
        assert marker.stamp(made, number)
    return made


def luma(painted: av.VideoFrame) -> np.ndarray:
    """The brightness of a frame without its corners, where marks stand."""
    plane = painted.to_ndarray()[: painted.height].astype(int)
    return plane[painted.height // 5 : -painted.height // 8]


def far(first: av.VideoFrame, second: av.VideoFrame) -> float:
    return float(np.abs(luma(first) - luma(second)).mean())


def test_without_words_and_picture_frames_come_back_unchanged_but_for_the_mark():
    painter = LivePainter(MODEL)
    back = painter.paint(frame()).to_ndarray()
    changed = np.argwhere(back != CAT)
    assert len(changed)
    assert changed[:, 0].min() > 0.9 * SIZE[1]
    assert changed[:, 0].max() < SIZE[1]  # nothing but luma
    assert changed[:, 1].min() > 0.8 * SIZE[0]
    assert (LivePainter(MODEL, mark=False).paint(frame()).to_ndarray() == CAT).all()


def test_painting_leaves_the_memory_of_what_was_given_alone():
    given = frame(marked=True)
    before = given.to_ndarray().copy()
    LivePainter(MODEL).paint(given)
    assert (given.to_ndarray() == before).all()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_a_look_keeps_time_size_and_marker_of_every_frame(look):
    painter = LivePainter(MODEL, prompt=look.name)
    plain = LivePainter(MODEL)
    for number in range(4):
        painted = painter.paint(frame(number, marked=True))
        assert (painted.width, painted.height, painted.format.name) == (*SIZE, "yuv420p")
        assert (painted.pts, painted.time_base) == (1000 + 3000 * number, TICKS)
        assert marker.read(painted) == number
        assert far(painted, plain.paint(frame(number, marked=True))) > 4


def test_a_change_is_seen_by_the_first_frame_after_it_is_done():
    painter = LivePainter(MODEL)
    before = painter.paint(frame(0))
    painter.change(prompt="x-ray").result(5)
    assert far(painter.paint(frame(1)), before) > 20
    painter.change(prompt=None).result(5)
    assert far(painter.paint(frame(2)), before) == 0


def test_frames_go_on_while_a_change_is_prepared():
    painter = LivePainter(MODEL, prompt="watercolour")
    painter.paint(frame())
    for prompt in ("neon, comic, ink", "oil painting, anime, sketch"):
        done = painter.change(prompt=prompt)
        assert not done.done()  # it is prepared beside, not in the call
        old = painter.paint(frame())
        while not wait([done], timeout=0.04).done:
            old = painter.paint(frame())
        assert far(painter.paint(frame()), old) > 4


def test_a_change_needs_no_further_frame_to_be_done():
    painter = LivePainter(MODEL)
    painter.paint(frame())
    for prompt in ("ink", "neon", "fog"):
        painter.change(prompt=prompt).result(5)  # the camera stands still meanwhile


def test_changes_in_a_row_all_end_with_the_last():
    painter = LivePainter(MODEL)
    painter.paint(frame())
    for done in [painter.change(prompt=look.name) for look in LOOKS]:
        done.result(30)
    last = LivePainter(MODEL, prompt=LOOKS[-1].name)
    assert far(painter.paint(frame()), last.paint(frame())) < 3  # the grain may differ


def test_a_look_that_was_made_for_the_dark_is_made_anew_in_the_light():
    """Cameras begin with a black picture; drawings are developed for the light they find."""
    dark = np.full_like(CAT, 128)
    dark[: SIZE[1]] = 18
    wanted = LivePainter(MODEL, prompt="ink").paint(frame())
    painter = LivePainter(MODEL, prompt="ink")
    painter.paint(frame(array=dark))
    first = far(painter.paint(frame()), wanted)
    for _ in range(2 * REVIEW):
        painter.paint(frame())
    limit = time.monotonic() + 5
    while far(painter.paint(frame()), wanted) > 8:
        assert time.monotonic() < limit
    assert first > 20


def test_a_change_before_the_first_frame_is_in_the_first_frame():
    painter = LivePainter(MODEL, prompt="ink")
    assert painter.change(prompt="").done()
    assert far(painter.paint(frame()), frame()) == 0


def test_a_change_that_meets_the_first_frame_is_not_lost():
    for _ in range(10):
        painter = LivePainter(MODEL, prompt="watercolour, anime")
        other = threading.Thread(target=painter.paint, args=(frame(),))
        other.start()
        painter.change(prompt="x-ray").result(5)
        other.join()
        seen = painter.paint(frame())
        assert far(seen, LivePainter(MODEL, prompt="x-ray").paint(frame())) < 3


def test_words_and_picture_are_changed_apart_and_cleared_apart():
    coffee = open_image(samples.path("coffee.jpg"))
    painter = LivePainter(MODEL, prompt="sepia")
    sepia = painter.paint(frame())
    painter.change(image=coffee).result(5)
    both = painter.paint(frame())
    painter.change(prompt=None).result(5)
    palette = painter.paint(frame())
    painter.change(image=None).result(5)
    assert far(painter.paint(frame()), frame()) == 0
    assert min(far(sepia, both), far(both, palette), far(palette, frame())) > 1


def test_a_picture_that_cannot_be_painted_is_told_and_changes_nothing():
    painter = LivePainter(MODEL, prompt="x-ray")
    before = painter.paint(frame())
    closed = Image.new("RGB", (64, 64))
    closed.close()
    with pytest.raises(ValueError):
        painter.change(image=closed).result(5)
    assert far(painter.paint(frame()), before) < 3
    painter.change(prompt=None).result(5)  # and the picture is forgotten
    assert far(painter.paint(frame()), frame()) == 0


def test_frames_that_change_their_size_are_answered_at_that_size():
    painter = LivePainter(MODEL, prompt="ink")
    for size in (SIZE, (320, 176), (1280, 720), (352, 640), (322, 178), SIZE):
        painted = painter.paint(frame(array=planes(size=size)))
        assert (painted.width, painted.height) == size


def test_a_decoder_keeps_its_own_picture(tmp_path):
    """Frames of a decoder share memory with what it predicts the next ones from."""

    def sums(paint) -> list[int]:
        return [paint(one) for one in read_frames(samples.path("clip.mp4"), end_s=0.6)]

    def seen(one: av.VideoFrame) -> int:
        return int(one.to_ndarray().sum())

    painter = LivePainter(MODEL)

    def painted_and_seen(one: av.VideoFrame) -> int:
        total = seen(one)
        painter.paint(one)
        return total

    assert sums(painted_and_seen) == sums(seen)


def test_the_encoder_is_not_told_where_the_sender_had_its_key_frames():
    decoded = next(read_frames(samples.path("clip.mp4")))
    assert decoded.pict_type != 0
    assert LivePainter(MODEL).paint(decoded).pict_type == 0


def test_a_damaged_marker_keeps_its_corner_for_a_while():
    painter = LivePainter(MODEL, prompt="ink")
    painter.paint(frame(7, marked=True))
    torn = frame(8, marked=True).to_ndarray()
    torn[:8, 8:16] = 120
    painted = painter.paint(frame(8, torn)).to_ndarray()
    assert (painted[:32, :64] == torn[:32, :64]).all()
    for _ in range(60):
        painted = painter.paint(frame()).to_ndarray()
    assert (painted[:32, :64] != CAT[:32, :64]).mean() > 0.3  # the look has its corner back


def test_the_mark_is_no_marker_and_stays_out_of_its_corner():
    painter = LivePainter(MODEL, size=(640, 352))
    painter.note = "15 of 30 fps"
    painted = painter.paint(frame())
    assert marker.read(painted) is None
    width, height = marker.region(*SIZE)
    assert (painted.to_ndarray()[:height, :width] == CAT[:height, :width]).all()


def test_a_closed_painter_ends_changes_that_wait():
    painter = LivePainter(MODEL)
    painter.paint(frame())
    waiting = [painter.change(prompt=look.name) for look in LOOKS[:3]]
    painter.close()
    painter.close()
    for done in waiting:
        done.result(5)
    assert painter.change(prompt="ink").done()


def test_the_cost_of_a_frame_is_told():
    painter = LivePainter(MODEL, prompt="oil painting")
    assert np.isnan(painter.paint_ms)
    for number in range(3):
        painter.paint(frame(number))
    assert 0.1 < painter.paint_ms < 1000


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(["ink", "x-ray", "", None, "a dragon", "neon, sepia"]), max_size=4),
    st.sampled_from([(64, 48), (160, 90), (322, 178)]),
)
def test_any_row_of_changes_ends_where_a_new_painter_begins(prompts, size):
    array = planes(size=size)
    painter = LivePainter(MODEL)
    painter.paint(frame(array=array))
    for prompt in prompts:
        painter.change(prompt=prompt)
    painter.change(enhance=True).result(10)
    fresh = LivePainter(MODEL, prompt=prompts[-1] if prompts else "")
    assert far(painter.paint(frame(array=array)), fresh.paint(frame(array=array))) < 8


def test_an_avatar_opens_its_mouth_with_the_loudness():
    painter = LivePainter("live_avatar", SIZE)
    quiet, half, loud = (painter.paint(painter.speak(level)) for level in (0, 0.5, 1))
    assert far(quiet, half) > 0.5
    assert far(quiet, loud) > far(quiet, half)
    assert (loud.width, loud.height) == SIZE


def test_an_avatar_is_who_the_picture_shows_and_takes_looks():
    painter = LivePainter("live_avatar", SIZE, image=open_image(samples.path("cat.jpg")))
    cat = painter.paint(painter.speak(0))
    assert far(cat, LivePainter("live_avatar", SIZE).paint(Avatar(SIZE, None).frame(0))) > 10
    painter.change(image=open_image(samples.path("coffee.jpg"))).result(5)
    coffee = painter.paint(painter.speak(0))
    assert far(cat, coffee) > 10
    painter.change(prompt="x-ray").result(5)
    assert far(painter.paint(painter.speak(0)), coffee) > 10


@pytest.mark.parametrize("form", ["s16", "flt", "s16p", "fltp"])
def test_loudness_is_heard_in_any_format(form):
    def tone(level: float) -> av.AudioFrame:
        wave = level * np.sin(np.arange(960) * 0.1)
        whole = form.startswith("s16")
        samples_ = (wave * 32767).astype(np.int16) if whole else wave.astype(np.float32)
        made = av.AudioFrame.from_ndarray(samples_[None], format=form, layout="mono")
        made.sample_rate = 48_000
        return made

    silent, soft, loud = (loudness(tone(level)) for level in (0.0, 0.02, 0.8))
    assert silent == 0
    assert 0.1 < soft < 0.6
    assert loud == 1
