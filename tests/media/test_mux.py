"""What is muxed can be played, whenever the writing stops."""

from __future__ import annotations

import random

import av
import numpy as np
import pytest

from decart_lab.errors import MediaError, StoreError
from decart_lab.media import marker, mux
from decart_lab.media.mux import SUFFIXES, Muxer, frame_size
from decart_lab.media.probe import probe
from tests.helpers.encoded import merged, pictures, sound

CODECS = sorted(SUFFIXES)


def write(path, codec, *, audio=True, beside=False):
    """Mux two seconds, frame by frame; yields after each."""
    video = pictures(codec)
    muxer = Muxer(
        path, codec, video[0].data, audio=audio, input_key_frame=video[0].data if beside else None
    )
    tracks = [("video", video)]
    if beside:
        tracks.append(("input", video))
    if audio:
        tracks.append(("audio", sound()))
    for track, frame in merged(*tracks):
        muxer.write(track, frame.data, frame.timestamp / frame.clock_rate, key=frame.key)
        yield track, frame
    muxer.close()


def numbers(path, stream=0):
    """The numbers of all frames, with their times."""
    with av.open(str(path)) as container:
        return [(marker.read(f), f.time) for f in container.decode(container.streams.video[stream])]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("audio", [True, False])
def test_every_frame_is_in_the_file_at_its_time(tmp_path, codec, audio):
    path = tmp_path / f"a{SUFFIXES[codec]}"
    list(write(path, codec, audio=audio))
    found = numbers(path)
    assert [number for number, _ in found] == list(range(50))
    assert np.allclose([time for _, time in found], np.arange(50) / 25, atol=0.0006)
    seen = probe(path)
    assert (seen.width, seen.height, seen.has_audio) == (320, 180, audio)
    assert seen.duration_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_is_encoded_anew(tmp_path, codec):
    path = tmp_path / f"a{SUFFIXES[codec]}"
    list(write(path, codec))
    with av.open(str(path)) as container:
        kept = [bytes(p) for p in container.demux(video=0) if p.size]
        stream = container.streams.video[0]
        if codec == "h264":
            annexb = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", stream)
            assert stream.codec_context.name == "h264"
    with av.open(str(path)) as container:
        heard = [bytes(p) for p in container.demux(audio=0) if p.size]
    assert heard == [frame.data for frame in sound()]
    given = [frame.data for frame in pictures(codec)]
    if codec == "vp8":
        assert kept == given
    else:
        del annexb
        assert [len(k) for k in kept[1:]] == [len(_lengths(g)) for g in given[1:]]


def _lengths(data: bytes) -> bytes:
    """H.264 as MP4 keeps it: each unit with its length instead of a start code."""
    units = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def test_a_second_track_holds_what_was_sent(tmp_path):
    path = tmp_path / "a.mp4"
    list(write(path, "h264", beside=True))
    with av.open(str(path)) as container:
        assert [s.type for s in container.streams] == ["video", "video", "audio"]
    assert numbers(path, 0) == numbers(path, 1)


def test_times_that_go_back_are_moved_on(tmp_path):
    path = tmp_path / "a.mp4"
    video = pictures()
    with Muxer(path, "h264", video[0].data, audio=False) as muxer:
        for frame, time_s in zip(video[:4], (0.0, 0.04, 0.03, 0.03), strict=True):
            muxer.write("video", frame.data, time_s, key=frame.key)
    assert [number for number, _ in numbers(path)] == [0, 1, 2, 3]


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_that_is_not_finished_lacks_half_a_second_at_most(tmp_path, codec):
    path = tmp_path / f"a{SUFFIXES[codec]}"
    cut = tmp_path / f"cut{SUFFIXES[codec]}"
    for track, frame in write(path, codec):
        if track != "video" or frame.timestamp == 0:
            continue
        found = []
        if path.exists():
            cut.write_bytes(path.read_bytes())
            found = numbers(cut)
            assert found
        assert [number for number, _ in found] == list(range(len(found)))
        assert frame.timestamp / 90_000 - len(found) / 25 < 0.7


@pytest.mark.parametrize("codec", CODECS)
def test_a_track_that_falls_silent_holds_nothing_back(tmp_path, codec):
    path = tmp_path / f"a{SUFFIXES[codec]}"
    video = pictures(codec)
    with Muxer(path, codec, video[0].data, audio=True) as muxer:
        for frame in video:
            muxer.write("video", frame.data, frame.timestamp / 90_000, key=frame.key)
        assert len(numbers(path)) / 25 > 2.0 - 0.7


@pytest.mark.parametrize("codec", CODECS)
def test_a_write_that_is_broken_off_anywhere_leaves_a_file_that_plays(tmp_path, codec, monkeypatch):
    """Every write of the system is noted; the file is made anew from the first of them and a part
    of the next, as a kill leaves it."""
    path = tmp_path / f"a{SUFFIXES[codec]}"
    done: list[tuple[bytes, int]] = []
    real = mux._write_at

    def noted(file, data, at):
        count = real(file, data, at)
        done.append((data[:count], at))
        return count

    monkeypatch.setattr(mux, "_write_at", noted)
    list(write(path, codec))
    dice = random.Random(4)
    cut = tmp_path / f"cut{SUFFIXES[codec]}"
    before = 0
    assert len(done) >= 3
    # The first is written under another name, and given this one when it is whole.
    for stop in range(1, len(done)):
        broken, where = done[stop]
        for _ in range(3):
            image = bytearray()
            for data, at in [*done[:stop], (broken[: dice.randint(0, len(broken))], where)]:
                image.extend(bytes(max(0, at + len(data) - len(image))))
                image[at : at + len(data)] = data
            cut.write_bytes(image)
            found = [number for number, _ in numbers(cut)]
            assert found == list(range(len(found)))
            assert len(found) >= before
            probe(cut)  # and it is not refused as a file that is cut off
        before = len(found)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [(320, 180), (640, 352), (352, 640)])
def test_the_size_is_read_from_a_key_frame(codec, size):
    assert frame_size(codec, pictures(codec, 2, size)[0].data) == size


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("data", [b"", b"\0" * 40, b"\0\0\0\1\x65" + bytes(range(60, 90))])
def test_what_is_no_key_frame_is_refused(tmp_path, codec, data):
    with pytest.raises(MediaError, match="damaged"):
        frame_size(codec, data)


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("precious")
    with pytest.raises(StoreError, match=r"a\.mp4"):
        Muxer(path, "h264", pictures()[0].data)
    assert path.read_text() == "precious"
