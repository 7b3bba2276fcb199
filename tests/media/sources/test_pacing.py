"""The thread of a source keeps to the times, and lets go when told."""

from __future__ import annotations

import itertools
import time

import av
import numpy as np
import pytest

from decart_lab._clock import AcceleratedClock
from decart_lab.errors import MediaError
from decart_lab.media import marker
from decart_lab.media.sources import open_source
from tests.media.sources.conftest import SIZE, Notes, Ticking


def test_no_frame_is_given_before_its_time(counted):
    source = open_source(counted, size=SIZE, fps=25)
    arrived: list[float] = []
    notes = Notes(lambda _: arrived.append(time.monotonic()))
    source.start(notes)
    notes.wait_for(lambda n: len(n.pictures) >= 15)
    source.stop()
    due = [at - notes.times_s[0] for at in notes.times_s]
    came = [at - arrived[0] for at in arrived]
    assert all(real >= asked - 0.02 for real, asked in zip(came, due, strict=True))
    assert due[14] >= 14 / 25 - 1e-3


def test_an_accelerated_clock_hurries_the_source(counted):
    source = open_source(counted, size=SIZE, fps=25)
    notes = Notes()
    began = time.monotonic()
    source.start(notes, AcceleratedClock(8.0))
    notes.wait_for(lambda n: n.times_s and n.times_s[-1] >= 4.0)
    source.stop()
    assert time.monotonic() - began < 4.0  # it took half a second of the machine's time


def test_late_pictures_are_left_out_and_no_delay_builds_up():
    """A sink that takes three frames' time for each gets every third, always the present one."""
    clock = Ticking()
    delays: list[float] = []

    def slow(frame) -> None:
        delays.append(clock.at_s - float(frame.pts * frame.time_base))
        clock.at_s += 0.12

    source = open_source("synthetic", size=SIZE, fps=25, audio=False)
    notes = Notes(slow)
    source.start(notes, clock)
    notes.wait_for(lambda n: len(n.pictures) >= 60)
    source.stop()
    assert source.skipped >= 60
    assert max(delays) - min(delays) < 0.15
    assert all(late > soon for soon, late in itertools.pairwise(notes.times_s))


def test_what_falls_behind_by_seconds_goes_on_from_where_it_is():
    """The machine slept: nothing is left out, the schedule moves."""
    clock = Ticking()
    slept = []

    def sleeper(frame) -> None:
        if len(notes.pictures) == 5 and not slept:
            slept.append(clock.at_s)
            clock.at_s += 3600

    notes = Notes(sleeper)
    source = open_source("synthetic", size=SIZE, fps=25, audio=False)
    source.start(notes, clock)
    notes.wait_for(lambda n: len(n.pictures) >= 20)
    source.stop()
    gaps = [late - soon for soon, late in itertools.pairwise(notes.times_s[:20])]
    assert 3599 < max(gaps) < 3601
    assert source.skipped == 0
    assert sorted(gaps)[-2] < 0.1


def test_slow_frames_of_a_program_are_all_shown():
    clock = Ticking()

    def slow(number: int) -> np.ndarray:
        clock.at_s += 0.2
        return np.full((*SIZE[::-1], 3), number, np.uint8)

    source = open_source(slow, size=SIZE, fps=25)
    notes = Notes()
    source.start(notes, clock)
    notes.wait_for(lambda n: len(n.pictures) >= 10)
    source.stop()
    gaps = [late - soon for soon, late in itertools.pairwise(notes.times_s[:10])]
    assert source.skipped == 0
    assert all(0.15 < gap < 0.3 for gap in gaps[1:])


def test_a_pause_gives_nothing_and_leaps_in_time(counted):
    clock = Ticking()
    source = open_source(counted, size=SIZE, fps=25)
    notes = Notes()
    source.start(notes, clock)
    notes.wait_for(lambda n: len(n.pictures) >= 5)
    source.pause()
    assert source.paused
    time.sleep(0.3)  # what was on its way has arrived; from here on nothing may
    seen = len(notes.pictures)
    clock.at_s += 0.6  # not so long that the schedule would move by itself
    time.sleep(0.2)
    assert len(notes.pictures) == seen
    source.resume()
    notes.wait_for(lambda n: len(n.pictures) >= seen + 5)
    source.stop()
    leap = notes.times_s[seen] - notes.times_s[seen - 1]
    assert leap > 0.6
    assert source.skipped == 0
    numbers = [marker.read(frame) for frame in notes.pictures[seen - 1 : seen + 5]]
    assert all((b - a) % 20 == 1 for a, b in itertools.pairwise(numbers))  # none was lost


@pytest.mark.parametrize("kind", ["file", "synthetic", "generator"])
def test_stop_ends_every_thread_within_a_second(counted, kind, threads):
    endless = (np.zeros((90, 160, 3), np.uint8) for _ in itertools.count())
    value = {"file": counted, "synthetic": "synthetic", "generator": endless}[kind]
    source = open_source(value, size=SIZE, fps=25)
    notes = Notes()
    source.start(notes)
    notes.wait_for(lambda n: n.pictures)
    began = time.monotonic()
    source.stop()
    assert time.monotonic() - began < 3
    assert not source.running
    assert not threads.new("decart-source")
    assert notes.ends == []  # it did not end by itself


def test_a_source_can_be_stopped_by_its_own_sink_and_while_paused(counted):
    source = open_source(counted, size=SIZE, fps=25)
    notes = Notes(lambda _: source.stop())
    source.start(notes)
    notes.wait_for(lambda n: n.pictures)
    source.stop()
    assert not source.running
    assert len(notes.pictures) == 1
    source.pause()
    source.start(notes)
    source.stop()
    assert not source.running


def test_a_source_can_be_started_again_from_its_beginning(counted):
    source = open_source(counted, size=SIZE, fps=25)
    for _ in range(2):
        notes = Notes()
        source.start(notes)
        notes.wait_for(lambda n: len(n.pictures) >= 3)
        source.stop()
        assert [marker.read(frame) for frame in notes.pictures[:3]] == [0, 1, 2]


def test_a_running_source_is_not_started_twice(counted):
    source = open_source(counted, size=SIZE, fps=25)
    source.start(Notes())
    try:
        with pytest.raises(RuntimeError, match="running already"):
            source.start(Notes())
    finally:
        source.stop()


def test_without_loop_the_end_is_told(counted):
    source = open_source(counted, size=SIZE, fps=25, loop=False)
    notes = Notes()
    source.start(notes, AcceleratedClock(4))
    notes.wait_for(lambda n: n.ends)
    assert notes.ends == [None]
    assert source.failed is None
    assert len(notes.pictures) + source.skipped == 20


def test_a_generator_that_raises_is_a_named_failure():
    def frames():
        yield np.zeros((90, 160, 3), np.uint8)
        raise KeyError("weights")

    source = open_source(frames(), size=SIZE, fps=25)
    notes = Notes()
    source.start(notes)
    notes.wait_for(lambda n: n.ends)
    [error] = notes.ends
    assert isinstance(error, MediaError)
    assert error is source.failed
    assert "KeyError" in str(error)
    assert isinstance(error.__cause__, KeyError)


def test_a_sink_that_raises_stops_the_source(counted, threads):
    def broken(_):
        raise OSError("encoder gone")

    notes = Notes(broken)
    source = open_source(counted, size=SIZE, fps=25)
    source.start(notes)
    notes.wait_for(lambda n: n.ends)
    assert "encoder gone" in str(notes.ends[0])
    source.stop()
    assert not threads.new("decart-source")


def test_pictures_are_ready_for_an_encoder(counted, threads):
    frames = open_source(counted, size=SIZE, fps=25).frames()
    _, frame = next(frames)
    frames.close()
    assert (frame.width, frame.height, frame.format.name) == (*SIZE, "yuv420p")
    assert frame.pict_type == av.video.frame.PictureType.NONE
    assert not threads.new("decart-source")
