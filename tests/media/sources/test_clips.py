"""Clips and pictures come upright, in shape, in their colours, and loop without a seam."""

from __future__ import annotations

import itertools

import av
import numpy as np
import pytest
from PIL import Image

from decart_lab.errors import InvalidInputError, MediaError
from decart_lab.media import marker
from decart_lab.media.media import Media
from decart_lab.media.sources import open_source
from decart_lab.media.sources.base import SOUND_BLOCK, SOUND_RATE
from decart_lab.media.video import read_frames, to_rgb
from tests.helpers.clips import moving, still, write_clip
from tests.media.sources.conftest import SIZE, first, numbered, pixels


def test_a_loop_has_no_seam(counted):
    source = open_source(counted, size=SIZE, fps=25)
    found = first(65, source.frames())
    assert [round(due_s * 25, 6) for due_s, _ in found] == list(range(65))
    assert [marker.read(frame) for _, frame in found] == [n % 20 for n in range(65)]
    assert all(b.pts - a.pts == 3600 for (_, a), (_, b) in itertools.pairwise(found))


def test_without_loop_it_ends(counted):
    assert len(list(open_source(counted, size=SIZE, fps=25, loop=False).frames())) == 20


@pytest.mark.parametrize("fps", [5, 12.5, 30])
def test_another_rate_keeps_the_speed(counted, fps):
    """Frames are left out or repeated, not sped up."""
    found = list(open_source(counted, size=SIZE, fps=fps, loop=False).frames())
    for due_s, frame in found:
        assert abs(marker.read(frame) / 25 - due_s) <= 0.5 / fps + 0.021
    assert abs(len(found) / fps - 0.8) <= 1 / fps


def test_sound_is_in_step_through_every_loop(made):
    source = open_source(made / "sound.mp4", size=SIZE, fps=25)
    assert source.has_audio
    check_sound(source, pass_s=2.0)


def test_sound_is_in_step_when_a_pass_ends_within_a_block(tmp_path):
    """58 frames at 30 a second are no whole number of blocks of 20 ms."""
    write_clip(tmp_path / "odd.mp4", moving(48), fps=25, sound=True)
    check_sound(open_source(tmp_path / "odd.mp4", size=SIZE, fps=30), pass_s=58 / 30)


def check_sound(source, *, pass_s):
    items = first(700, source.items())
    sound = [item for item in items if isinstance(item.media, av.AudioFrame)]
    pictures = [item for item in items if isinstance(item.media, av.VideoFrame)]
    assert all(item.media.samples == SOUND_BLOCK for item in sound)
    assert {(f.format.name, f.layout.name, f.sample_rate) for _, f in sound} == {
        ("s16", "stereo", SOUND_RATE)
    }
    starts = [item.media.pts for item in sound]
    steps = np.diff(starts)
    assert steps.min() >= SOUND_BLOCK  # no two blocks overlap
    assert steps.max() < 2 * SOUND_BLOCK  # and less than a block is missing where it begins anew
    assert abs(starts[-1] / SOUND_RATE - pictures[-1].due_s) < 0.045
    # The chord fades in at the start of each pass.
    times = np.array([item.due_s for item in sound])
    loud = [float(np.abs(item.media.to_ndarray().astype(int)).mean()) for item in sound]
    for start_s in (0.0, pass_s, 2 * pass_s):
        soft, full = (
            loud[int(np.abs(times - at_s).argmin())] for at_s in (start_s + 0.05, start_s + 1.0)
        )
        assert soft < 0.5 * full


def test_sound_can_be_left_out(made):
    source = open_source(made / "sound.mp4", size=SIZE, fps=25, audio=False)
    assert not source.has_audio
    items = first(60, source.items())
    assert all(isinstance(item.media, av.VideoFrame) for item in items)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_clip_stands_upright(made, turn):
    upright = to_rgb(next(read_frames(made / f"turned{turn}.mp4")))
    height, width = upright.shape[:2]
    source = open_source(made / f"turned{turn}.mp4", size=(4 * width, 4 * height), fps=10)
    [(_, frame)] = first(1, source.frames())
    seen = pixels(frame)[2::4, 2::4]
    assert np.abs(seen - upright.astype(int)).mean() < 6


def test_another_shape_is_letterboxed_and_not_stretched():
    white = np.full((200, 200, 3), 255, np.uint8)
    [(_, frame)] = first(1, open_source(white, size=(640, 352), fps=25).frames())
    seen = pixels(frame)
    assert seen[:, :140].max() < 8
    assert seen[:, 500:].max() < 8
    assert seen[:, 150:490].min() > 245


def test_a_mirror_flips_left_and_right(portrait):
    plain, flipped = (
        pixels(first(1, open_source(portrait, size=SIZE, fps=25, mirror=m).frames())[0][1])
        for m in (False, True)
    )
    assert np.abs(plain[:, ::-1] - flipped).mean() < 3
    assert np.abs(plain - flipped).mean() > 10


@pytest.mark.parametrize("size", [(640, 352), (1280, 720)])
@pytest.mark.parametrize("colour", [(200, 40, 60), (20, 180, 40), (250, 250, 250), (3, 3, 3)])
def test_colours_are_those_that_a_player_without_hints_will_show(tmp_path, size, colour):
    """From RGB, and from a clip of the other matrix."""
    picture = np.full((size[1], size[0], 3), colour, np.uint8)
    [(_, frame)] = first(1, open_source(picture, size=size, fps=25).frames())
    assert np.abs(pixels(frame)[50, 50] - colour).max() <= 4
    other = (1280, 720) if size[1] < 720 else (640, 360)
    frames = np.broadcast_to(np.uint8(colour), (3, other[1], other[0], 3))
    [(_, frame)] = first(1, open_source(Media.of(frames), size=size, fps=25).frames())
    assert np.abs(pixels(frame)[50, 50] - colour).max() <= 6


def test_frames_that_do_not_name_their_colours_are_taken_as_players_take_them():
    """A large frame without a word about its matrix is BT.709, and what is made of it BT.601."""
    rgb = np.full((720, 1280, 3), (200, 40, 60), np.uint8)
    plain = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    silent = plain.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)
    silent.colorspace = 2  # unspecified
    [(_, frame)] = first(1, open_source(silent, size=(640, 352), fps=25).frames())
    assert np.abs(pixels(frame)[50, 50] - (200, 40, 60)).max() <= 6


def test_real_media_come_through(clip, photo, portrait):
    for path in (clip, photo, portrait):
        for value in (path, str(path), path.read_bytes()):
            source = open_source(value, size=(640, 352), fps=25)
            [(_, frame)] = first(1, source.frames())
            assert (frame.width, frame.height) == (640, 352)
            assert np.ptp(pixels(frame)) > 60


def test_a_picture_stands_upright_and_is_repeated_as_frames_of_their_own():
    source = open_source(still("JPEG", 64, 48, orientation=6), size=(96, 128), fps=10)
    assert source.kind == "image"
    (_, one), (_, two) = first(2, source.frames())
    marker.stamp(one, 7)
    seen = pixels(two)
    # Turned clockwise by 90 degrees, red runs downwards and green to the left.
    assert seen[-10, 50, 0] > seen[10, 50, 0] + 100
    assert seen[64, 5, 1] > seen[64, -5, 1] + 100
    assert (one.pts, two.pts) == (0, 9000)


def test_pillow_images_and_edited_media_are_taken(clip):
    assert open_source(Image.new("RGBA", (50, 50)), size=SIZE, fps=25).kind == "image"
    part = Media(clip).trim(0.0, 0.5)
    source = open_source(part, size=SIZE, fps=25, loop=False)
    assert 11 <= len(list(source.frames())) <= 14


def test_a_damaged_clip_fails_by_name(tmp_path, clip):
    broken = tmp_path / "cut.mp4"
    broken.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"cut\.mp4"):
        open_source(broken, size=SIZE, fps=25)
    with pytest.raises(InvalidInputError, match="missing"):
        open_source(tmp_path / "nowhere.mp4", size=SIZE, fps=25)


SUITABLE = {"bf": "0", "g": "25", "preset": "veryfast", "sc_threshold": "0"}


def test_a_suitable_clip_is_passed_through_packet_by_packet(tmp_path):
    path = numbered(tmp_path / "fit.mp4", 50, options=SUITABLE)
    source = open_source(path, size=SIZE, fps=25)
    assert source.passthrough
    items = first(130, source.items())
    reader = av.CodecContext.create("h264", "r")
    seen = []
    for item in items:
        assert isinstance(item.media, av.Packet)
        assert bytes(item.media).startswith(b"\0\0\0\1")
        seen += [marker.read(frame) for frame in reader.decode(av.Packet(bytes(item.media)))]
    seen += [marker.read(frame) for frame in reader.decode(None)]
    assert seen == [n % 50 for n in range(130)]
    assert [round(item.due_s * 25) for item in items] == list(range(130))
    assert np.diff([item.media.pts for item in items]).tolist() == [3600] * 129


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (SUITABLE | {"bf": "2"}, {}),
        (SUITABLE | {"g": "250"}, {}),
        (SUITABLE, {"size": (640, 352)}),
        (SUITABLE, {"fps": 20}),
        (SUITABLE, {"mirror": True}),
        (SUITABLE, {"passthrough": False}),
    ],
)
def test_an_unsuitable_clip_is_decoded(tmp_path, options, changed):
    path = numbered(tmp_path / "unfit.mp4", 100, options=options)
    source = open_source(path, **{"size": SIZE, "fps": 25} | changed)
    assert not source.passthrough
    [(_, frame)] = first(1, source.frames())
    assert isinstance(frame, av.VideoFrame)


def test_key_frames_that_are_looked_back_beyond_do_not_count(tmp_path):
    """A clip that is refreshed bit by bit: a decoder can begin at the first frame only."""
    options = {"bf": "0", "x264-params": "intra-refresh=1:keyint=25:scenecut=0"}
    path = numbered(tmp_path / "refreshed.mp4", 100, options=options)
    with av.open(str(path)) as container:
        assert sum(packet.is_keyframe for packet in container.demux()) > 2
    assert not open_source(path, size=SIZE, fps=25).passthrough
