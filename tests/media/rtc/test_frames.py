"""Times of frames, and the bit rate that losses allow."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from decart_lab.media.rtc.feedback import STEP_S, LossControl
from decart_lab.media.rtc.frames import BACK_S, JUMP_S, VIDEO_CLOCK, Timeline, Unwrapper


@given(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=50), st.integers(0, 2**32 - 1))
def test_unwrapped_times_keep_every_step(steps, first):
    unwrap, true = Unwrapper(), first
    assert unwrap(first) == first
    for step in steps:
        true += step
        assert unwrap(true & 0xFFFFFFFF) == true


frame = st.tuples(
    st.none() | st.integers(-(10**6), 10**6),
    st.sampled_from([Fraction(1, 25), Fraction(1, 90_000), Fraction(1001, 30_000)]),
    st.floats(0, 5),
)


@given(st.lists(frame, min_size=1, max_size=60))
def test_ticks_only_grow_and_never_run_ahead_of_both_clocks(frames):
    now_s = 0.0
    line = Timeline(VIDEO_CLOCK, clock=lambda: now_s)
    last = -1
    for pts, base, waited_s in frames:
        now_s += waited_s
        ticks = line.ticks(pts, base)
        assert ticks > last
        # no step is longer than a jump that is believed, or than the time that has passed
        assert ticks - last <= max(JUMP_S + BACK_S, waited_s) * VIDEO_CLOCK + 1
        last = ticks


@given(st.integers(1, 50), st.integers(2, 40))
def test_a_steady_source_keeps_its_rate_to_the_tick(step, count):
    line = Timeline(VIDEO_CLOCK, clock=lambda: 0.0)
    ticks = [line.ticks(number * step, Fraction(1, 1000)) for number in range(count)]
    assert ticks == [number * step * 90 for number in range(count)]


def test_a_frame_that_comes_late_does_not_shift_those_after_it():
    line = Timeline(VIDEO_CLOCK, clock=lambda: 0.0)
    ticks = [line.ticks(pts, Fraction(1, 25)) for pts in (0, 1, 1, 2, 3)]
    assert ticks[3:] == [7200, 10_800]


def test_a_short_loop_goes_on_at_the_pace_of_the_clock():
    now_s = 0.0
    line = Timeline(VIDEO_CLOCK, clock=lambda: now_s)
    got = []
    for number in range(40):
        got.append(line.ticks(number % 10, Fraction(1, 25)))  # a clip of 0.4 s
        now_s += 0.04
    assert all(abs(ticks - 3600 * number) <= 40 for number, ticks in enumerate(got))


@given(st.lists(st.floats(0, 1), max_size=200))
def test_the_bit_rate_stays_between_its_floor_and_its_target(losses):
    now_s = 0.0
    control = LossControl(1_000_000, clock=lambda: now_s)
    for lost in losses:
        now_s += STEP_S
        control.report(lost)
        assert 100_000 <= control.bitrate <= 1_000_000
    for _ in range(60):
        now_s += STEP_S
        control.report(0.0)
    assert control.bitrate == 1_000_000
