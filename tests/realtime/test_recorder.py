"""Recordings hold every frame at its time, in step with the sound, whatever the sender does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from decart_lab.errors import InvalidInputError, StoreError
from decart_lab.media import marker
from decart_lab.realtime.recorder import Recorder, Recording
from tests.helpers.disk import MB, small_disk
from tests.helpers.encoded import later, merged, pictures, sound

FEEDER = Path(__file__).parents[2] / "benchmarks" / "_recording_child.py"


class Past:
    """A clock that stands at the arrival of the last frame that was fed."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


def feed(recorder, clock, *tracks):
    takes = {"video": recorder.video, "audio": recorder.audio, "input": recorder.input_video}
    for name, frame in merged(*tracks):
        clock.at_s = max(clock.at_s, frame.arrived_s)
        takes[name](frame)


def record(path, *tracks, prompts=(), **options) -> Recording:
    clock = Past()
    recorder = Recorder(path, clock=clock, **options)
    for text, at_s in prompts:
        recorder.prompt(text, at_s)
    feed(recorder, clock, *tracks)
    return recorder.close()


def numbers(path, stream=0):
    with av.open(str(path)) as container:
        return [(marker.read(f), f.time) for f in container.decode(container.streams.video[stream])]


def beeps(path):
    """When the beeps of the sound begin, in seconds of the file."""
    with av.open(str(path)) as container:
        found, quiet = [], True
        for frame in container.decode(audio=0):
            wave = np.abs(frame.to_ndarray()[0])
            loud = wave > 0.1 * (1 if wave.dtype.kind == "f" else 32_768)
            if quiet and loud.any():
                found.append(frame.time + loud.argmax() / 48_000)
            quiet = not loud[-480:].any()
        return found


@pytest.mark.parametrize(("codec", "suffix"), [("h264", ".mp4"), ("vp8", ".webm")])
def test_all_frames_are_recorded_and_the_ending_follows_the_codec(tmp_path, codec, suffix):
    made = record(tmp_path / "take.mp4", ("video", pictures(codec)), ("audio", sound()))
    assert made.path == tmp_path / f"take{suffix}"
    assert [number for number, _ in numbers(made.path)] == list(range(50))
    assert (made.frames, made.dropped, made.codec, made.size) == (50, 0, codec, (320, 180))
    assert made.audio
    assert not made.input
    assert made.seconds == pytest.approx(2.0, abs=0.01)
    assert made.size_bytes == made.path.stat().st_size


def test_times_are_the_senders_and_not_the_networks(tmp_path):
    """Jitter of up to 60 ms, and a stall of 1.5 seconds after which all comes at once."""
    dice = np.random.default_rng(5)
    video = []
    for frame in pictures(count=150):
        arrived_s = frame.arrived_s + float(dice.uniform(0, 0.06))
        if 2.0 < frame.arrived_s < 3.5:
            arrived_s = 3.5 + frame.arrived_s / 1000
        video.append(replace(frame, arrived_s=max(arrived_s, video[-1].arrived_s if video else 0)))
    made = record(tmp_path / "take.mp4", ("video", tuple(video)))
    assert np.allclose([t for _, t in numbers(made.path)], np.arange(150) / 25, atol=0.001)


def test_sound_and_pictures_are_in_step_though_their_stamps_are_not(tmp_path):
    """Both begin at numbers of their own, and travel for times of their own."""
    video = later(pictures(count=75), stamps=3_000_000_000, arrival_s=0.02)
    audio = later(sound(3.0), stamps=77, arrival_s=0.01)
    made = record(tmp_path / "take.mp4", ("video", video), ("audio", audio))
    # The first picture is at 0; it arrived a hundredth after sound of the same moment.
    assert np.allclose(beeps(made.path), [0.0, 1.0, 2.0], atol=0.03)


def test_a_slow_beginning_of_the_pictures_does_not_shift_the_sound(tmp_path):
    """The first pictures come in a burst, 160 ms late; the sound is on time from the start."""
    video = tuple(replace(f, arrived_s=max(f.arrived_s, 0.16)) for f in pictures(count=75))
    made = record(tmp_path / "take.mp4", ("video", video), ("audio", sound(3.0)))
    assert np.allclose(beeps(made.path), [0.0, 1.0, 2.0], atol=0.03)


def test_a_new_peer_counts_anew_and_the_recording_goes_on(tmp_path):
    first = later(pictures(count=25), stamps=500_000)
    again = later(pictures(count=25), stamps=9, arrival_s=3.0)
    made = record(tmp_path / "take.mp4", ("video", (*first, *again)))
    found = numbers(made.path)
    assert [number for number, _ in found] == [*range(25), *range(25)]
    assert found[25][1] - found[24][1] == pytest.approx(3.0 - 0.96, abs=0.01)
    assert np.allclose(np.diff([t for _, t in found[25:]]), 0.04, atol=0.001)


def test_a_sender_whose_count_stood_still_does_not_lag_for_ever(tmp_path):
    """Ten seconds pass that its stamps know nothing of; the sound's do."""
    video = pictures(count=400, gop=50)
    slow = tuple(replace(f, arrived_s=f.arrived_s + (0.8 if f.arrived_s > 2 else 0)) for f in video)
    made = record(tmp_path / "take.mp4", ("video", slow))
    times = [t for _, t in numbers(made.path)]
    assert times[-1] == pytest.approx(slow[-1].arrived_s, abs=0.1)


def test_another_size_begins_another_file(tmp_path):
    small = pictures(count=25)
    large = later(pictures(count=25, size=(640, 352)), stamps=90_000, arrival_s=1.0)
    audio = sound()
    made = record(
        tmp_path / "take.mp4",
        ("video", (*small, *large)),
        ("audio", audio),
        prompts=[("ink", 0.0), ("clay", 0.5)],
    )
    assert made.paths == (tmp_path / "take.mp4", tmp_path / "take.part2.mp4")
    assert made.frames == 50
    assert made.size == (640, 352)
    assert made.seconds == pytest.approx(2.0, abs=0.02)
    for path, size in zip(made.paths, [(320, 180), (640, 352)], strict=True):
        assert [number for number, _ in numbers(path)] == list(range(25))
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == size
            assert next(container.decode(audio=0)) is not None
    first, second = (path.read_text() for path in made.subtitles)
    assert "00:00:00.000 --> 00:00:00.500\nink" in first
    assert "00:00:00.500 --> 00:00:01.000\nclay" in first
    assert "00:00:00.000 --> 00:00:01.000\nclay" in second


def test_a_size_that_changes_at_once_is_not_mixed_up(tmp_path):
    small = pictures(count=3)
    large = later(pictures(count=25, size=(640, 352)), stamps=12_000, arrival_s=0.12)
    made = record(tmp_path / "take.mp4", ("video", (*small, *large)))
    assert [len(numbers(path)) for path in made.paths] == [3, 25]


def test_other_parameters_of_the_same_size_stay_in_the_file(tmp_path):
    again = later(pictures("h264", 25, (320, 180), 10), stamps=90_000, arrival_s=1.0)
    made = record(tmp_path / "take.mp4", ("video", (*pictures(count=25), *again)))
    assert made.paths == (tmp_path / "take.mp4",)
    assert [number for number, _ in numbers(made.path)] == [*range(25), *range(25)]


def test_sound_that_comes_late_gets_its_track_at_the_next_key_frame(tmp_path):
    video = pictures(count=50, gop=25)
    made = record(tmp_path / "take.mp4", ("video", video), ("audio", sound()[40:]))
    assert len(made.paths) == 2
    assert made.audio
    assert sum(len(numbers(path)) for path in made.paths) == 50
    assert beeps(made.paths[1])


def test_what_was_sent_is_a_second_track(tmp_path):
    sent = later(pictures(), stamps=123_456, arrival_s=-0.1)
    made = record(tmp_path / "take.mp4", ("video", pictures()), ("input", sent), input=True)
    assert made.input
    beside = dict(numbers(made.path, 1))
    received = dict(numbers(made.path, 0))
    common = sorted(set(beside) & set(received))
    assert common == list(range(50))
    # The first three were sent before the first picture came, and begin the file with it.
    assert all(received[n] - beside[n] == pytest.approx(0.1, abs=0.01) for n in common[3:])


def test_what_was_sent_in_another_codec_is_left_out_and_said_so(tmp_path):
    sent = pictures("vp8")
    made = record(tmp_path / "take.mp4", ("video", pictures()), ("input", sent), input=True)
    assert not made.input
    assert made.frames == 50


def test_a_damaged_key_frame_is_waited_out(tmp_path):
    broken = replace(pictures()[0], data=b"\0\0\0\1\x65" + bytes(50))
    video = (broken, *later(pictures(count=25), stamps=3600, arrival_s=0.04))
    made = record(tmp_path / "take.mp4", ("video", video))
    assert [number for number, _ in numbers(made.path)] == list(range(25))
    assert made.dropped == 1


def test_prompts_are_subtitles_that_escape_and_can_be_read_at_any_time(tmp_path):
    clock = Past()
    recorder = Recorder(tmp_path / "take.mp4", clock=clock)
    recorder.prompt("a <b>bold</b> cat\n\n--> & dog")
    feed(recorder, clock, ("video", pictures(count=100)))
    vtt = tmp_path / "take.vtt"
    until = time.monotonic() + 10
    while not vtt.exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    assert "00:00:00.000 --> 99:59:59.000\na &lt;b&gt;bold&lt;/b&gt; cat --&gt; &amp; dog\n" in (
        vtt.read_text()
    )
    recorder.prompt("", 2.0)
    recorder.prompt("a thought that was given up at once", 3.0)
    recorder.prompt("glass", 3.0)
    recorder.close()
    assert vtt.read_text() == (
        "WEBVTT\n"
        "\n00:00:00.000 --> 00:00:02.000\na &lt;b&gt;bold&lt;/b&gt; cat --&gt; &amp; dog\n"
        "\n00:00:03.000 --> 00:00:04.000\nglass\n"
    )


def test_a_recording_that_is_there_is_not_touched(tmp_path):
    for _ in range(3):
        record(tmp_path / "take.mp4", ("video", pictures(count=5)))
    assert {p.name for p in tmp_path.glob("*.mp4")} == {"take.mp4", "take-2.mp4", "take-3.mp4"}


def test_nothing_received_is_an_empty_recording(tmp_path):
    made = record(tmp_path / "take.mp4", ("audio", sound()))
    assert made.path is None
    assert (made.frames, made.seconds) == (0, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_closing_twice_says_the_same_and_later_frames_are_ignored(tmp_path, threads):
    clock = Past()
    recorder = Recorder(tmp_path / "take.mp4", clock=clock)
    feed(recorder, clock, ("video", pictures(count=5)))
    made = recorder.close()
    recorder.video(pictures()[0])
    assert recorder.close() == made
    assert recorder.path == made.path
    assert not threads.new("decart-recorder")


def test_a_folder_is_refused_and_missing_ones_are_made(tmp_path):
    with pytest.raises(InvalidInputError, match="folder"):
        Recorder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="folder"):
        Recorder(tmp_path / "file" / "take.mp4")
    made = record(tmp_path / "a" / "b" / "take", ("video", pictures(count=5)))
    assert made.path == tmp_path / "a" / "b" / "take.mp4"


def test_a_full_disk_is_named_and_what_was_written_plays(tmp_path):
    with small_disk(tmp_path, 8 * MB) as disk:
        clock = Past()
        recorder = Recorder(disk.path / "take.mp4", clock=clock)
        feed(recorder, clock, ("video", pictures(count=50)))
        time.sleep(0.5)
        with disk.full():
            feed(
                recorder, clock, ("video", later(pictures(count=150), stamps=180_000, arrival_s=2))
            )
            with pytest.raises(StoreError, match=r"take\.mp4 cannot be written: No space"):
                recorder.close()
        found = [number for number, _ in numbers(disk.path / "take.mp4")]
        assert len(found) >= 25
        assert found[:25] == list(range(25))


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_killed_recording_plays_and_lacks_a_second_at_most(tmp_path, codec):
    child = subprocess.Popen(
        [sys.executable, str(FEEDER), str(tmp_path / "take"), codec],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        fed = [int(child.stdout.readline()) for _ in range(60)]
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    fed += [int(line) for line in child.stdout.read().split("\n")[:-1]]
    child.stdout.close()
    [path] = [p for p in tmp_path.iterdir() if p.suffix in (".mp4", ".webm")]
    found = [number for number, _ in numbers(path)]
    assert found == [n % 250 for n in range(len(found))]
    assert len(fed) - len(found) <= 25


async def test_a_live_session_is_recorded_with_its_sound_and_what_was_sent(connect, tmp_path):
    """End to end through the emulator: the file holds both pictures, the tone and the prompts."""
    session = await connect("synthetic", measure=True)
    recorder = session.record(tmp_path / "live.mp4", input=True)
    await asyncio.sleep(1.5)
    await session.set_prompt("clay")
    await asyncio.sleep(1.5)
    made = await session.stop_recording()
    assert recorder.path == made.path
    assert made.audio
    assert made.input
    assert made.frames > 40
    assert made.seconds == pytest.approx(3.0, abs=0.7)
    received = [(n, t) for n, t in numbers(made.path, 0) if n is not None]
    sent = {n: t for n, t in numbers(made.path, 1) if n is not None}
    late = [t - sent[n] for n, t in received if n in sent]
    assert len(late) > 30
    assert 0 < float(np.median(late)) < 0.5  # what is received was sent a moment before
    [vtt] = made.subtitles
    assert "ink drawing" in vtt.read_text()
    assert "clay" in vtt.read_text()
