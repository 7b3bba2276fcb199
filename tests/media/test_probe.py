"""Headers tell size, rate and length; what cannot be used is refused with its field and a fix."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from decart_lab.errors import InvalidInputError, MediaError
from decart_lab.media import limits, samples
from decart_lab.media.probe import probe
from tests.helpers.clips import gradient, moving, png_claiming, still, write_clip


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
def test_a_picture_says_its_size(fmt):
    found = probe(still(fmt, 70, 50))
    assert (found.kind, found.width, found.height) == ("image", 70, 50)
    assert (found.fps, found.frames, found.duration_s, found.codec) == (None,) * 4
    assert found.mime == f"image/{fmt.lower()}"


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_picture_says_its_size_as_shown(fmt, orientation):
    found = probe(still(fmt, 70, 50, orientation))
    assert (found.width, found.height) == ((50, 70) if orientation > 4 else (70, 50))


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 30}])
def test_both_ways_of_webp_say_their_size(options):
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(gradient(71, 53)).save(out, "WEBP", **options)
    assert (probe(out.getvalue()).width, probe(out.getvalue()).height) == (71, 53)


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mov", "plain.webm"])
def test_a_clip_says_size_rate_and_length(made, name):
    found = probe(made / name)
    assert (found.kind, found.width, found.height, found.fps) == ("video", 64, 48, 10)
    assert found.duration_s == pytest.approx(2.0, abs=0.06)
    assert found.frames == (20 if name != "plain.webm" else None)
    assert found.codec == ("h264" if name != "plain.webm" else "vp8")
    assert found.format == name.split(".")[1]


def test_a_clip_says_whether_it_has_sound(made):
    assert probe(made / "sound.mp4").has_audio
    assert not probe(made / "plain.mp4").has_audio


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_clip_says_its_size_as_shown(made, turn):
    found = probe(made / f"turned{turn}.mp4")
    assert found.rotation == turn
    assert (found.width, found.height) == ((64, 48) if turn == 180 else (48, 64))


def test_bytes_and_paths_say_the_same(made):
    for path in (made / "plain.mp4", samples.path("cat.jpg")):
        assert probe(path.read_bytes()) == probe(path)


def test_the_real_inputs_say_what_is_known_of_them(data_dir):
    if data_dir is None:
        pytest.skip("needs DECART_LAB_TEST_DATA")
    clip = probe(data_dir / "video.mp4")
    assert (clip.width, clip.height, clip.fps, clip.frames) == (1280, 720, 32, 161)
    assert (clip.codec, clip.has_audio) == ("h264", False)
    picture = probe(data_dir / "person.webp")
    assert (picture.width, picture.height) == (2000, 3000)
    assert (probe(data_dir / "image.png").width, probe(data_dir / "image.png").height) == (
        1280,
        720,
    )


class _Counting:
    def __init__(self, path):
        self._file = path.open("rb", buffering=0)
        self.count = 0

    def read(self, n=-1):
        data = self._file.read(n)
        self.count += len(data)
        return data

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_not_read_through_to_be_probed(tmp_path, fmt):
    import numpy as np
    from PIL import Image

    from decart_lab.media.probe import probe_open

    path = tmp_path / "noise"
    noise = np.random.default_rng(0).integers(0, 255, (700, 900, 3), np.uint8)
    Image.fromarray(noise).save(path, fmt, quality=95)
    file = _Counting(path)
    probe_open(file, path.stat().st_size, name="noise", field="data")
    assert path.stat().st_size > 400_000
    assert file.count < 70_000


def test_a_clip_is_not_read_through_to_be_probed(tmp_path):
    import numpy as np

    from decart_lab.media.probe import probe_open

    dice = np.random.default_rng(0)
    noise = (dice.integers(0, 255, (240, 320, 3), np.uint8) for _ in range(60))
    path = write_clip(tmp_path / "noise.mp4", noise, crf=10)
    file = _Counting(path)
    probe_open(file, path.stat().st_size, name="noise", field="data")
    assert path.stat().st_size > 3_000_000
    assert file.count < path.stat().st_size / 4


BAD = {
    "empty": (b"", "is empty"),
    "text.png": (b"this is no picture, whatever its name says", "looks like text"),
    "half.png": (still("PNG")[:-20], "cut off"),
    "half.jpg": (still("JPEG", 200, 200)[:-200], "cut off"),
    "half.webp": (still("WEBP", 200, 200)[:-20], "cut off"),
    "bomb.png": (png_claiming(50_000, 50_000), "50,000 x 50,000"),
    "pillow-limit.png": (png_claiming(9460, 9460), "9,460 x 9,460"),
    "nothing.png": (png_claiming(0, 10), "0 x 10"),
    "list.mp4": (b"ffconcat version 1.0\nfile secret.mp4\n", "looks like text"),
    "heic.jpg": (b"\0\0\0\x18ftypheic" + bytes(40), "looks like HEIC"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_naming_the_field(tmp_path, name):
    content, reason = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(MediaError, match=reason) as caught:
            probe(source, field="start")
        assert caught.value.field == "start"
        assert caught.value.hint


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mov", "plain.webm", "sound.mp4"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.98])
def test_a_clip_that_is_cut_off_is_refused(made, name, share):
    content = (made / name).read_bytes()
    with pytest.raises(MediaError, match=r"cut off|proper|cannot be read"):
        probe(content[: int(len(content) * share)])


def test_a_clip_cut_between_its_boxes_is_refused(made):
    content = (made / "plain.mp4").read_bytes()
    at = content.index(b"mdat") - 4
    with pytest.raises(MediaError, match="index and nothing else"):
        probe(content[:at])


def test_padding_after_the_end_is_tolerated(made):
    for content in (still("PNG"), still("JPEG"), still("WEBP"), (made / "plain.mp4").read_bytes()):
        assert probe(content + bytes(64)).width == 64


def test_a_jpeg_with_a_long_appendix_is_whole():
    """Phones put a clip behind the picture."""
    assert probe(still("JPEG") + b"clip" * 50_000).width == 64


def test_a_cover_is_not_a_clip(tmp_path):
    import av
    from av.stream import Disposition

    from tests.helpers.clips import chord

    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=48_000)
        sound.codec_context.layout = "mono"
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(gradient(), format="rgb24")))
        for piece in chord(0, 0.5, 0.5):
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
        out.mux(cover.encode(None))
    with pytest.raises(MediaError, match="no video that can be decoded"):
        probe(path)


def test_the_end_of_an_embedded_thumbnail_is_not_the_end_of_a_jpeg():
    whole = still("JPEG", 200, 200)
    small = still("JPEG", 16, 16)
    exif = b"\xff\xe1" + struct.pack(">H", len(small) + 8) + b"Exif\0\0" + small
    content = whole[:2] + exif + whole[2:]
    assert probe(content).width == 200
    with pytest.raises(MediaError, match="cut off"):
        probe(content[:-100])


def test_sound_alone_is_no_clip(tmp_path):
    import av

    from tests.helpers.clips import chord

    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48_000)
        stream.codec_context.layout = "mono"
        for piece in chord(0, 0.5, 0.5):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"no video that can be decoded here \(only aac\)"):
        probe(path)


def test_a_codec_that_is_not_on_the_list_is_never_decoded(tmp_path):
    path = write_clip(tmp_path / "odd.mov", moving(3), codec="mpeg2video")
    with pytest.raises(MediaError, match="no video that can be decoded"):
        probe(path)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MAX_CLIP_SIDE", 60, "no side may exceed 60"),
        ("MAX_CLIP_S", 1.0, "is 2 s long"),
        ("MAX_CLIP_FRAMES", 10, "has 20 frames"),
        ("MAX_CLIP_BYTES", 100, "the most accepted"),
    ],
)
def test_a_clip_over_a_cap_is_refused(made, monkeypatch, name, value, reason):
    monkeypatch.setattr(limits, name, value)
    with pytest.raises(MediaError, match=reason):
        probe(made / "plain.mp4")


def test_a_missing_file_is_named_with_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match="missing file") as caught:
        probe(Path("cat.png"), field="data")
    assert str(tmp_path / "cat.png") in caught.value.message
    assert caught.value.field == "data"


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="is a folder"):
        probe(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with named pipes")
def test_a_pipe_or_device_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero")):
        with pytest.raises(InvalidInputError, match="pipe or a device"):
            probe(path)


def test_names_of_files_are_bounded_and_printable_in_messages(tmp_path):
    path = tmp_path / ("a\x1b[31m\n" + "b" * 150)
    path.write_bytes(b"no media here")
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert caught.value.message.isprintable()
    assert "b" * 100 not in caught.value.message


def test_importing_the_package_loads_no_decoder():
    code = (
        "import sys, decart_lab.media.media, decart_lab.media.show, decart_lab.media.inputs;"
        "print(sorted({'av', 'PIL', 'numpy', 'IPython', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
