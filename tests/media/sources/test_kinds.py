"""The other kinds: patterns, programs, sound, devices, tracks; and the registry that tells them."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from decart_lab.errors import InvalidInputError, MediaError
from decart_lab.media.sources import (
    Item,
    Source,
    SourceKind,
    Wanted,
    devices,
    open_source,
    register,
    registry,
)
from decart_lab.media.sources.base import SOUND_BLOCK, SOUND_RATE
from tests.helpers.clips import RATE, chord
from tests.media.sources.conftest import SIZE, Notes, first, pixels


def test_the_pattern_moves_and_sounds():
    source = open_source("synthetic", size=SIZE, fps=25)
    items = first(200, source.items())
    pictures = [item for item in items if isinstance(item.media, av.VideoFrame)]
    sound = [item for item in items if isinstance(item.media, av.AudioFrame)]
    assert all(
        np.abs(pixels(a.media) - pixels(b.media)).max() > 50
        for a, b in itertools.pairwise(pictures)
    )
    assert [round(item.due_s * 25) for item in pictures] == list(range(len(pictures)))
    assert [item.media.pts for item in sound] == [SOUND_BLOCK * n for n in range(len(sound))]
    assert max(np.abs(item.media.to_ndarray()).max() for item in sound) > 1000
    assert abs(sound[-1].due_s - pictures[-1].due_s) <= 0.06


@pytest.mark.parametrize(
    "make",
    [
        lambda: (
            np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1) * np.full((1, 90, 160, 3), 60, "u1")
        ),
        lambda: [np.full((90, 160, 3), 60 * n / 255) for n in range(4)],
        lambda: [Image.new("RGB", (160, 90), (60 * n,) * 3) for n in range(4)],
        lambda: (np.full((90, 160), 60 * n, np.uint8) for n in range(4)),
        lambda: lambda n: np.full((90, 160, 4), 60 * n, np.uint8) if n < 4 else None,
    ],
    ids=["array", "floats", "images", "generator of greys", "function"],
)
def test_frames_of_a_program_come_in_order(make):
    found = list(open_source(make(), size=SIZE, fps=20, loop=False).frames())
    assert [due_s for due_s, _ in found] == [0, 0.05, 0.1, 0.15]
    assert [round(pixels(frame).mean() / 60) for _, frame in found] == [0, 1, 2, 3]


def test_lists_and_arrays_loop_and_generators_end():
    stack = np.zeros((3, 90, 160, 3), np.uint8)
    assert len(first(10, open_source(stack, size=SIZE, fps=20).frames())) == 10
    assert len(first(10, open_source(iter(list(stack)), size=SIZE, fps=20).frames())) == 3


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((90, 160, 5), np.uint8),
        np.zeros((90, 160, 3), np.int32),
        np.full((90, 160, 3), 7.0),
        np.zeros((0, 160, 3), np.uint8),
        "a text",
        None,
    ],
)
def test_what_is_no_frame_is_refused_by_name(bad):
    source = open_source([bad], size=SIZE, fps=25)
    notes = Notes()
    source.start(notes)
    notes.wait_for(lambda n: n.ends)
    assert isinstance(notes.ends[0], InvalidInputError)
    assert notes.ends[0].field == "source"


def sound_file(path, codec, *, seconds=2.0):
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=RATE)
        stream.codec_context.layout = "mono"
        pieces = chord(0.0, seconds, seconds)
        resampler = av.AudioResampler(
            format=stream.codec_context.codec.audio_formats[0], layout="mono", rate=RATE
        )
        for piece in pieces:
            for part in resampler.resample(piece):
                out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp3", "libmp3lame"),
        ("a.wav", "pcm_s16le"),
        ("a.flac", "flac"),
        ("a.ogg", "libopus"),
        ("a.m4a", "aac"),
    ],
)
def test_files_of_sound_are_whole_and_loop(tmp_path, name, codec):
    path = sound_file(tmp_path / name, codec)
    for value in (path, path.read_bytes()):
        source = open_source(value, size=SIZE, fps=25, loop=False)
        assert (source.kind, source.has_video, source.has_audio) == ("audio", False, True)
        assert source.duration_s == pytest.approx(2.0, abs=0.1)
        blocks = [item.media for item in source.items()]
        assert len(blocks) * SOUND_BLOCK / SOUND_RATE == pytest.approx(2.0, abs=0.1)
        assert [block.pts for block in blocks] == [SOUND_BLOCK * n for n in range(len(blocks))]
        wave = np.concatenate([b.to_ndarray()[0, ::2] for b in blocks]).astype(float)
        loudest = np.fft.rfftfreq(wave.size, 1 / SOUND_RATE)[np.abs(np.fft.rfft(wave)).argmax()]
        assert min(abs(loudest - f) for f in (220.0, 277.18, 329.63)) < 2
    looped = first(250, open_source(path, size=SIZE, fps=25).items())
    assert len(looped) == 250


def test_text_that_calls_itself_sound_is_refused(tmp_path):
    fake = tmp_path / "song.mp3"
    fake.write_text("ID3 is only the beginning\n" * 10)
    with pytest.raises(MediaError, match=r"song\.mp3"):
        open_source(fake, size=SIZE, fps=25)


@pytest.mark.parametrize("name", ["camera:97", "/dev/video97", "microphone:nothing"])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(InvalidInputError, match="cannot be opened on the machine") as caught:
        open_source(name, size=SIZE, fps=25)
    assert caught.value.field == "source"
    assert name.partition(":")[2] in str(caught.value)


@pytest.mark.parametrize("platform", sorted(devices.SYSTEMS))
def test_devices_are_asked_for_as_the_system_calls_them(monkeypatch, platform):
    asked = []

    def record(kind, name, way, wanted, **_):
        asked.append((kind, name, way))

    monkeypatch.setattr(devices, "device", record)
    monkeypatch.setattr(devices.sys, "platform", platform)
    wanted = Wanted(SIZE, 25)
    devices.open_camera("camera", wanted)
    devices.open_camera("camera:2", wanted)
    devices.open_microphone("microphone", wanted)
    assert (
        asked
        == {
            "linux": [
                ("camera", "/dev/video0", "v4l2"),
                ("camera", "/dev/video2", "v4l2"),
                ("microphone", "default", "alsa"),
            ],
            "darwin": [
                ("camera", "0:none", "avfoundation"),
                ("camera", "2:none", "avfoundation"),
                ("microphone", "none:0", "avfoundation"),
            ],
            "win32": [
                ("camera", "video=0", "dshow"),
                ("camera", "video=2", "dshow"),
                ("microphone", "audio=0", "dshow"),
            ],
        }[platform]
    )


@pytest.mark.parametrize(
    ("kind", "name"), [("camera", "testsrc=size=160x90:rate=25"), ("microphone", "sine")]
)
def test_a_device_gives_what_it_gives_now(kind, name):
    """FFmpeg's virtual device stands in for hardware: it is opened and read in the same way."""
    source = devices.device(kind, name, "lavfi", Wanted(SIZE, 25))
    notes = Notes(lambda _: time.sleep(0.002))  # the virtual one would give thousands at once
    source.start(notes)
    notes.wait_for(lambda n: len(n.pictures) + len(n.sound) >= 20)
    source.pause()
    time.sleep(0.2)
    seen = len(notes.pictures) + len(notes.sound)
    time.sleep(0.2)
    assert len(notes.pictures) + len(notes.sound) == seen  # live, and not kept for later
    source.stop()
    assert not source.running
    if kind == "camera":
        assert all(b > a for a, b in itertools.pairwise(notes.times_s))
    else:
        assert {frame.samples for frame in notes.sound} == {SOUND_BLOCK}


class Track:
    """What a user may write: any object with ``async recv()``."""

    kind = "video"

    def __init__(self, count: int = 10**6) -> None:
        self.given = 0
        self.count = count
        self.loops: set[int] = set()

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(0.01)
        self.loops.add(threading.get_ident())
        if self.given == self.count:
            raise StopAsyncIteration
        self.given += 1
        return av.VideoFrame(160, 90, "rgb24")


def test_a_track_is_awaited_on_a_loop_of_its_own():
    track = Track(5)
    source = open_source(track, size=SIZE, fps=25)
    notes = Notes()
    source.start(notes)
    notes.wait_for(lambda n: n.ends)
    assert notes.ends == [None]
    assert len(notes.pictures) == 5
    assert threading.get_ident() not in track.loops


def test_what_is_live_passes_unseen_while_paused():
    """It is taken and dropped, so that nothing old is shown afterwards."""
    track = Track()
    source = open_source(track, size=SIZE, fps=25)
    notes = Notes()
    source.start(notes)
    notes.wait_for(lambda n: n.pictures)
    source.pause()
    time.sleep(0.15)
    given, shown = track.given, len(notes.pictures)
    time.sleep(0.3)
    assert track.given > given + 3
    assert len(notes.pictures) == shown
    source.stop()


def test_a_track_that_never_answers_is_stopped():
    class Silent:
        kind = "audio"

        async def recv(self):
            await asyncio.Event().wait()

    source = open_source(Silent(), size=SIZE, fps=25)
    assert source.has_audio
    assert not source.has_video
    source.start(Notes())
    source.stop()
    assert not source.running


def test_tracks_of_aiortc_are_taken():
    from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

    for track in (VideoStreamTrack(), AudioStreamTrack()):
        source = open_source(track, size=SIZE, fps=25)
        notes = Notes()
        source.start(notes)
        notes.wait_for(lambda n: len(n.pictures) + len(n.sound) >= 4)
        track.stop()  # from here on recv() raises MediaStreamError
        notes.wait_for(lambda n: n.ends)
        assert notes.ends == [None]


def test_a_track_that_gives_something_else_is_refused():
    class Wrong:
        async def recv(self):
            return b"frame"

    source = open_source(Wrong(), size=SIZE, fps=25)
    notes = Notes()
    source.start(notes)
    notes.wait_for(lambda n: n.ends)
    assert "no frame" in str(notes.ends[0])


def test_a_source_passes_through_and_new_kinds_can_be_registered(monkeypatch):
    monkeypatch.setattr(registry, "KINDS", list(registry.KINDS))

    def items(_):
        frame = av.VideoFrame(160, 90, "rgb24")
        frame.time_base = Fraction(1, 25)
        yield Item(0.0, frame)

    def open_grey(value, wanted):
        return Source(wanted.traits("grey", value), items)

    register(SourceKind("grey", lambda value: value == "grey", open_grey, '"grey"'))
    source = open_source("grey", size=SIZE, fps=25)
    assert source.kind == "grey"
    assert len(list(source.frames())) == 1
    assert open_source(source, size=(640, 352), fps=30) is source


@pytest.mark.parametrize("row", registry.KINDS, ids=lambda row: row.name)
def test_no_row_raises_on_what_is_not_its_own(row):
    for value in (None, 7, "", "x" * 5000, "a\0b", b"", object(), np.zeros(3), {}, set(), Image):
        assert row.matches(value) in (True, False)


@pytest.mark.parametrize("value", [None, 7, object(), np.zeros(3), {}, ["x"][:0], ""])
def test_what_gives_no_frames_is_refused(value):
    with pytest.raises(InvalidInputError):
        open_source(value, size=SIZE, fps=25)


@pytest.mark.parametrize(
    "changed", [{"size": (641, 352)}, {"size": (0, 352)}, {"size": (9000, 352)}, {"fps": 0},
                {"fps": float("nan")}, {"fps": 1e9}],
)  # fmt: skip
def test_impossible_sizes_and_rates_are_refused(changed):
    with pytest.raises(InvalidInputError):
        open_source("synthetic", **{"size": SIZE, "fps": 25} | changed)
