"""Clips: frames upright and at the rate asked; what is written plays everywhere and keeps sound."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest

from decart_lab.errors import InvalidInputError, MediaError
from decart_lab.media import limits, samples
from decart_lab.media.probe import probe
from decart_lab.media.video import VideoWriter, poster, read_frames, to_rgb
from tests.helpers.clips import gradient, moving, still, write_clip


def grey(number):
    return np.full((48, 64, 3), 10 + 4 * number, np.uint8)


def numbers(frames):
    return [round((to_rgb(frame).mean() - 10) / 4) for frame in frames]


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """50 flat frames at 10 per second, each grey telling its number, one key frame in all."""
    folder = tmp_path_factory.mktemp("numbered")
    return write_clip(folder / "clip.mp4", (grey(n) for n in range(50)), fps=10, crf=5)


def test_every_frame_is_given_once(numbered):
    assert numbers(read_frames(numbered)) == list(range(50))


def test_a_part_is_given_from_the_frame_on_screen(numbered):
    assert numbers(read_frames(numbered, start_s=2.0, end_s=2.5)) == [20, 21, 22, 23, 24]
    assert numbers(read_frames(numbered, start_s=2.04, end_s=2.25)) == [20, 21, 22]
    assert numbers(read_frames(numbered, start_s=4.8)) == [48, 49]


@pytest.mark.parametrize(("fps", "count"), [(5, 25), (10, 50), (20, 100), (25, 125), (9.99, 50)])
def test_another_rate_keeps_the_length(numbered, fps, count):
    seen = numbers(read_frames(numbered, fps=fps))
    assert len(seen) == count
    assert seen == sorted(seen)
    assert (seen[0], seen[-1] >= 48) == (0, True)
    # Each tick shows the frame whose time is nearest, so that the clip neither drifts nor stalls.
    wanted = [min(49, tick / fps * 10) for tick in range(count)]
    assert max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) <= 1


def test_a_slow_clip_is_timed_from_the_moment_asked_for(tmp_path):
    path = write_clip(tmp_path / "slow.mp4", (grey(n) for n in range(4)), fps=1, crf=5)
    assert numbers(read_frames(path, fps=10, start_s=0.9, end_s=1.4)) == [0, 1, 1, 1, 1]


def test_a_clip_that_names_no_colours_is_read_as_players_read_it(tmp_path):
    """The encoder called bare leaves them out, and converts as for small clips, BT.601."""
    red = np.full((48, 64, 3), (230, 20, 30), np.uint8)
    path = write_clip(tmp_path / "red.mp4", [red] * 2, crf=5)
    seen = np.asarray(poster(path)).reshape(-1, 3).mean(axis=0)
    assert np.abs(seen - (230, 20, 30)).max() < 5


def test_the_rate_holds_though_the_reader_stamps_the_frames(numbered):
    """A writer sets the time of what it is given; the same frame may be given again."""
    seen = 0
    for frame in read_frames(numbered, fps=25):
        frame.pts = 0
        seen += 1
    assert seen == 125


def test_a_clip_of_uneven_times_becomes_even(tmp_path):
    path = tmp_path / "uneven.mp4"
    times = [0, 1, 2, 10, 11, 12]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"crf": "5", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(grey(number), format="rgb24")
            frame.pts, frame.time_base = time, 1 / stream.codec_context.framerate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert numbers(read_frames(path, fps=10)) == [0, 1] + [2] * 8 + [3, 4, 5]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_clip_comes_out_upright(made, turn):
    found = probe(made / f"turned{turn}.mp4")
    first = to_rgb(next(read_frames(made / f"turned{turn}.mp4")))
    assert first.shape == (found.height, found.width, 3)
    expected = np.rot90(gradient(), -turn // 90)
    assert np.abs(first.astype(int) - expected).mean() < 12


def test_a_picture_is_not_a_clip(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(still())
    with pytest.raises(MediaError, match="is a picture"):
        read_frames(path, field="data")


def test_a_clip_of_more_frames_than_it_said_is_stopped(made, monkeypatch):
    path = made / "plain.webm"  # does not say its number of frames
    assert probe(path).frames is None
    monkeypatch.setattr(limits, "MAX_CLIP_FRAMES", 10)
    with pytest.raises(MediaError, match="more than 10 frames"):
        list(read_frames(path))


@pytest.mark.parametrize("fps", [0, -1, 1e6])
def test_a_rate_that_makes_no_sense_is_refused_at_once(numbered, fps):
    with pytest.raises(InvalidInputError, match="fps"):
        read_frames(numbered, fps=fps)


def test_the_poster_is_the_first_frame(made):
    assert np.abs(np.asarray(poster(made / "plain.mp4")).astype(int) - gradient()).mean() < 8


def write(path, frames, fps=25, **options):
    frames = list(frames)
    height, width = frames[0].shape[:2]
    with VideoWriter(path, width, height, fps, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.mark.parametrize("fps", [10, 22, 25, 30, 30000 / 1001])
def test_what_is_written_has_the_size_rate_and_frames_given(tmp_path, fps):
    found = probe(write(tmp_path / "out.mp4", moving(20), fps))
    assert (found.width, found.height, found.frames, found.codec) == (64, 48, 20, "h264")
    assert found.fps == pytest.approx(fps)
    assert found.duration_s == pytest.approx(20 / fps, abs=0.002)
    assert len(list(read_frames(tmp_path / "out.mp4"))) == 20


def test_what_is_written_can_be_played_before_it_is_loaded(tmp_path):
    content = write(tmp_path / "out.mp4", moving()).read_bytes()
    assert b"Lavf" not in content
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(tmp_path / "out.mp4")) as clip:
        context = clip.streams.video[0].codec_context
        assert (context.pix_fmt, context.name) == ("yuv420p", "h264")


def test_the_same_frames_give_the_same_file(tmp_path):
    sound = samples.path("clip.mp4")
    first, second = (
        write(tmp_path / name, moving(30), audio_from=sound, metadata={"comment": "x"})
        for name in ("a.mp4", "b.mp4")
    )
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("size", [(64, 48), (1280, 720)])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 200, 30), (20, 40, 230), (250, 250, 250)])
def test_colours_survive(tmp_path, size, colour):
    frame = np.full((size[1], size[0], 3), colour, np.uint8)
    path = write(tmp_path / "out.mp4", [frame] * 2, crf=8)
    seen = np.asarray(poster(path)).reshape(-1, 3).mean(axis=0)
    assert np.abs(seen - colour).max() < 5
    with av.open(str(path)) as clip:
        context = clip.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)


def test_decoded_frames_can_be_written_again(numbered, tmp_path):
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 10, crf=5) as writer:
        for frame in read_frames(numbered):
            writer.write(frame)
    assert numbers(read_frames(tmp_path / "out.mp4")) == list(range(50))


def test_the_encoder_chooses_its_own_key_frames(tmp_path):
    """Decoded frames say what they were, which must not bind the new clip."""
    frames = list(read_frames(write_clip(tmp_path / "in.mp4", moving(20), preset="medium")))
    for frame in frames:
        frame.pict_type = 1
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as writer:
        for frame in frames:
            writer.write(frame)
    again = [frame.pict_type for frame in read_frames(tmp_path / "out.mp4")]
    assert again.count(1) == 1


@pytest.mark.parametrize("fmt", ["rgb24", "bgr24", "gbrp", "yuv444p"])
def test_frames_of_other_formats_keep_their_colour(tmp_path, fmt):
    colour = np.array((20, 40, 230))
    frame = av.VideoFrame.from_ndarray(np.full((720, 1280, 3), colour, np.uint8), format="rgb24")
    with VideoWriter(tmp_path / "out.mp4", 1280, 720, 10, crf=5) as writer:
        writer.write(frame.reformat(format=fmt, dst_colorspace=1 if fmt == "yuv444p" else None))
    seen = np.asarray(poster(tmp_path / "out.mp4")).reshape(-1, 3).mean(axis=0)
    assert np.abs(seen - colour).max() < 6


@pytest.mark.parametrize("fmt", ["yuvj420p", "yuv420p"])
def test_frames_of_full_range_keep_their_black_and_white(tmp_path, fmt):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    frame = av.VideoFrame.from_ndarray(np.dstack([ramp] * 3), format="rgb24").reformat(
        format=fmt, dst_color_range=2
    )
    frame.color_range = 2
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 10, crf=5) as writer:
        writer.write(frame)
    seen = np.asarray(poster(tmp_path / "out.mp4"))[:, :, 0].mean(axis=0)
    assert np.abs(seen - ramp[0]).max() < 6


def test_metadata_is_written(tmp_path):
    path = write(tmp_path / "out.mp4", moving(3), metadata={"comment": "simulated"})
    with av.open(str(path)) as clip:
        assert clip.metadata["comment"] == "simulated"


def loudness(path, start_s, end_s):
    """Root mean square of the sound between two moments."""
    with av.open(str(path)) as clip:
        pieces = [(f.time, f.to_ndarray().mean(axis=0)) for f in clip.decode(audio=0)]
    rate = 48_000
    sound = np.zeros(int(rate * 10))
    for time, piece in pieces:
        at = max(0, round(time * rate))
        sound[at : at + len(piece)] = piece
    return float(np.sqrt(np.mean(sound[int(start_s * rate) : int(end_s * rate)] ** 2)))


@pytest.fixture(scope="module")
def beep(tmp_path_factory):
    """Three seconds of clip, silent but for the second from 1.0 to 2.0."""
    from fractions import Fraction

    path = tmp_path_factory.mktemp("beep") / "beep.mp4"
    t = np.arange(3 * 48_000) / 48_000
    wave = np.where((t >= 1) & (t < 2), 0.5 * np.sin(2 * np.pi * 440 * t), 0).astype(np.float32)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = out.add_stream("aac", rate=48_000)
        audio.codec_context.layout = "stereo"
        for picture in moving(75):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        sound = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        sound.sample_rate, sound.pts, sound.time_base = 48_000, 0, Fraction(1, 48_000)
        out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
        out.mux(video.encode(None))
    return path


def test_sound_is_kept_and_stays_in_step(beep, tmp_path):
    path = write(tmp_path / "out.mp4", moving(75), audio_from=beep)
    assert probe(path).has_audio
    assert loudness(path, 1.05, 1.95) > 0.3
    assert loudness(path, 0.0, 0.95) < 0.01
    assert loudness(path, 2.05, 2.9) < 0.01


def test_sound_begins_at_its_very_sample(beep, tmp_path):
    """Not at the AAC frame around it, which is up to 21 ms away."""
    path = write(tmp_path / "out.mp4", moving(30), audio_from=beep, audio_start_s=0.5)
    assert loudness(path, 0.4, 0.494) < 0.03
    assert loudness(path, 0.502, 0.508) > 0.25


@pytest.mark.parametrize("start_s", [0.5, 1.5])
def test_sound_begins_where_it_is_asked_to(beep, tmp_path, start_s):
    path = write(tmp_path / "out.mp4", moving(30), audio_from=beep, audio_start_s=start_s)
    on, off = max(0.0, 1.0 - start_s), 2.0 - start_s
    assert loudness(path, on + 0.03, min(off, 1.2) - 0.05) > 0.3
    if on:
        assert loudness(path, 0.0, on - 0.05) < 0.01
    if off < 1.0:
        assert loudness(path, off + 0.05, 1.15) < 0.01


def test_sound_ends_with_the_picture(beep, tmp_path):
    path = write(tmp_path / "out.mp4", moving(25), audio_from=beep)
    with av.open(str(path)) as clip:
        assert clip.duration / 1e6 == pytest.approx(1.0, abs=0.05)


def test_sound_that_starts_late_stays_late(tmp_path):
    late = tmp_path / "late.mkv"
    from fractions import Fraction

    with av.open(str(late), "w", format="webm") as out:
        video = out.add_stream("libvpx", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = out.add_stream("libopus", rate=48_000)
        audio.codec_context.layout = "mono"
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 48_000, Fraction(1, 48_000)
        for picture in moving(50):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
        out.mux(video.encode(None))
    path = write(tmp_path / "out.mp4", moving(50), audio_from=late)
    assert loudness(path, 0.0, 0.9) < 0.02
    assert loudness(path, 1.1, 1.9) > 0.3


def test_a_silent_clip_gives_no_sound(made, tmp_path):
    assert not probe(write(tmp_path / "o.mp4", moving(3), audio_from=made / "plain.mp4")).has_audio


@pytest.mark.parametrize("size", [(63, 48), (64, 47), (0, 2)])
def test_odd_sizes_are_refused(tmp_path, size):
    with pytest.raises(MediaError, match="must be even"):
        VideoWriter(tmp_path / "out.mp4", *size, 25)


@pytest.mark.parametrize(
    "frame",
    [gradient(62, 48), gradient()[..., 0], gradient().astype(np.float32)],
    ids=["size", "grey", "float"],
)
def test_frames_that_do_not_fit_are_refused_and_nothing_is_left(tmp_path, frame):
    with (
        pytest.raises(MediaError, match="A frame of"),
        VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as writer,
    ):
        for _ in range(60):  # enough for the encoder to have written something
            writer.write(gradient())
        assert list(tmp_path.iterdir()) == [tmp_path / "out.mp4.part"]
        writer.write(frame)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_fails_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), VideoWriter(path, 64, 48, 25) as writer:
        writer.write(gradient())
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_clip_without_frames_is_refused(tmp_path):
    with (
        pytest.raises(MediaError, match="was given no frames"),
        VideoWriter(tmp_path / "out.mp4", 64, 48, 25),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_our_own_error(tmp_path):
    with (
        pytest.raises(MediaError, match="cannot be written"),
        VideoWriter(tmp_path / "no" / "out.mp4", 64, 48, 25) as writer,
    ):
        writer.write(gradient())


def test_damaged_sound_is_our_own_error(made, tmp_path):
    content = bytearray((made / "sound.mp4").read_bytes())
    at = content.index(b"mdat") + 4
    content[at:] = bytes(len(content) - at)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match="cannot be"):
        write(tmp_path / "out.mp4", moving(50), audio_from=path)
    assert not (tmp_path / "out.mp4").exists()


def test_one_frame_can_be_converted_by_several_threads_at_once(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", moving(30, 640, 352), fps=30)
    frames = list(read_frames(clip))
    with ThreadPoolExecutor(4) as pool:
        for frame in frames:
            made = [pool.submit(to_rgb, frame) for _ in range(4)]
            first, *others = [one.result(timeout=20) for one in made]
            assert all((other == first).all() for other in others)
