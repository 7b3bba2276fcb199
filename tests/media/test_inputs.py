"""Any input becomes one checked thing; wrong ones are refused before anything is sent."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decart_lab.errors import InvalidInputError, MediaError
from decart_lab.media import limits, samples
from decart_lab.media.inputs import prepare
from decart_lab.media.media import Media
from tests.helpers.clips import gradient, moving, png_claiming, still

CAT = samples.path("cat.jpg")
CLIP = samples.path("clip.mp4")


class CountingFile(io.BytesIO):
    """A file object that knows what was asked of it."""

    def __init__(self, content):
        super().__init__(content)
        self.given = 0
        self.seeks = 0

    def read(self, size=-1):
        block = super().read(size)
        self.given += len(block)
        return block

    def seek(self, *args):
        self.seeks += 1
        return super().seek(*args)


def content_of(prepared):
    with prepared.open() as file:
        return file.read()


@pytest.mark.parametrize(
    "make",
    [
        lambda: CAT,
        lambda: str(CAT),
        lambda: CAT.read_bytes(),
        lambda: bytearray(CAT.read_bytes()),
        lambda: memoryview(CAT.read_bytes()),
        lambda: io.BytesIO(CAT.read_bytes()),
        lambda: Media(CAT),
        lambda: prepare(CAT),
    ],
    ids=["Path", "str", "bytes", "bytearray", "memoryview", "file", "Media", "PreparedInput"],
)
def test_the_bytes_of_a_file_are_sent_as_they_are(make):
    prepared = prepare(make())
    assert content_of(prepared) == CAT.read_bytes()
    assert prepared.sha256 == hashlib.sha256(CAT.read_bytes()).hexdigest()
    assert (prepared.size_bytes, prepared.mime) == (CAT.stat().st_size, "image/jpeg")
    assert prepared.edits == ()


def test_a_path_is_not_loaded_into_memory():
    prepared = prepare(CLIP)
    assert prepared.content is None
    assert prepared.path == CLIP.absolute()


def test_a_path_survives_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(CAT.parent)
    prepared = prepare("cat.jpg")
    monkeypatch.chdir(tmp_path)
    assert content_of(prepared) == CAT.read_bytes()


def test_a_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cat.jpg").write_bytes(CAT.read_bytes())
    assert prepare("~/cat.jpg").label == "cat.jpg"


@pytest.mark.parametrize("most", [2**30, 1000], ids=["in memory", "spooled"])
def test_a_file_object_is_read_once_from_where_it_stands_and_left_open(monkeypatch, most):
    monkeypatch.setattr(limits, "SPOOL_IN_MEMORY_BYTES", most)
    file = CountingFile(b"skipped" + CLIP.read_bytes())
    file.seek(7)
    prepared = prepare(file)
    assert prepared.sha256 == prepared.sha256 == hashlib.sha256(CLIP.read_bytes()).hexdigest()
    assert content_of(prepared) == CLIP.read_bytes()
    assert (file.given, file.seeks, file.closed) == (CLIP.stat().st_size, 1, False)
    assert (prepared.path is None) == (most > 1000)


def test_a_path_is_read_once_to_hash_it(tmp_path, monkeypatch):
    prepared = prepare(CAT)
    opens = []
    real = type(prepared).open
    monkeypatch.setattr(type(prepared), "open", lambda self: opens.append(1) or real(self))
    assert prepared.sha256 == prepared.sha256
    assert len(opens) == 1


def test_a_spooled_file_goes_with_its_input(monkeypatch):
    monkeypatch.setattr(limits, "SPOOL_IN_MEMORY_BYTES", 1000)
    prepared = prepare(io.BytesIO(CLIP.read_bytes()))
    path = prepared.path
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
    assert path.exists()
    del prepared
    gc.collect()
    assert not path.exists()


def test_a_refused_file_object_leaves_nothing_behind(monkeypatch):
    from decart_lab.media import temp

    monkeypatch.setattr(limits, "SPOOL_IN_MEMORY_BYTES", 100)
    folder = temp.new_path(".x").parent
    before = set(folder.iterdir())
    with pytest.raises(MediaError, match="cut off"):
        prepare(io.BytesIO(CLIP.read_bytes()[:50_000]))
    assert set(folder.iterdir()) == before


def test_a_file_object_that_fails_on_the_way_leaves_nothing_behind(monkeypatch):
    from decart_lab.media import temp

    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 50_000:
                raise OSError("gone")
            return super().read(30_000)

    monkeypatch.setattr(limits, "SPOOL_IN_MEMORY_BYTES", 100)
    folder = temp.new_path(".x").parent
    before = set(folder.iterdir())
    with pytest.raises(InvalidInputError, match="cannot be read: OSError"):
        prepare(Failing(CLIP.read_bytes()))
    assert set(folder.iterdir()) == before


def test_an_endless_file_that_is_no_media_is_refused_at_its_first_bytes():
    with Path("/dev/zero").open("rb") as file, pytest.raises(MediaError, match="is not PNG"):
        prepare(file)


def test_a_file_object_over_the_cap_is_refused_on_the_way(monkeypatch):
    monkeypatch.setattr(limits, "MAX_PICTURE_BYTES", 3 * 2**20)
    file = CountingFile(still() + bytes(50 * 2**20))
    with pytest.raises(MediaError, match="gives more than"):
        prepare(file)
    assert file.given < 5 * 2**20


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (io.StringIO("text"), "gives text, not bytes"),
        ("", "is an empty text"),
        ("no-such-file.png", "missing file"),
        ("a painting of a cat, in oil " * 40, "missing file"),
        ("nul\0byte.png", "missing file"),
        ("~no-such-user/cat.png", "missing file"),
        (f"{CAT}/cat.png", "missing file"),
        (".", "is a folder"),
        ("ftp://example.org/cat.png", "not fetched: ftp"),
        ("file:///etc/passwd", "not fetched: file"),
        ("https://example.org/cat.png", "addresses are not fetched here"),
        (b"", "is empty"),
        (b"no media at all", "looks like text"),
        (None, "cannot be made of NoneType"),
        (3, "cannot be made of int"),
        ({"path": "cat.png"}, "cannot be made of dict"),
        (np.zeros((2, 2, 5), np.uint8), "neither a picture nor a clip"),
        (np.zeros((0, 2, 3), np.uint8), "neither a picture nor a clip"),
        (np.zeros((4, 4, 3), np.int64), "of type int64"),
        (np.full((4, 4, 3), 255.0), "values from 255 to 255"),
        (np.full((4, 4, 3), np.nan), "values from nan to nan"),
        (np.array(["a"]), "neither a picture nor a clip"),
    ],
)
def test_what_cannot_be_an_input_is_refused_naming_the_field_and_a_fix(value, reason):
    with pytest.raises(InvalidInputError, match=reason) as caught:
        prepare(value, field="reference_image")
    assert caught.value.field == "reference_image"
    assert caught.value.hint
    assert len(str(caught.value)) < 800


def test_a_missing_file_is_named_with_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError) as caught:
        prepare("cat.png")
    assert str(tmp_path / "cat.png") in caught.value.message


def test_an_address_is_never_printed():
    with pytest.raises(InvalidInputError) as caught:
        prepare("https://user:secret@example.org/a.png?token=abc")
    assert "secret" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_addresses_go_through_the_callers_fetch(tmp_path):
    asked = []

    def fetch(url):
        asked.append(url)
        return CAT if url.endswith("path") else CAT.read_bytes()

    for url in ("http://example.org/path", "HTTPS://example.org/bytes"):
        assert content_of(prepare(url, fetch=fetch)) == CAT.read_bytes()
    assert asked == ["http://example.org/path", "HTTPS://example.org/bytes"]


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [(CLIP, "image", "takes a picture"), (CAT, "video", "takes a clip")],
)
def test_the_wrong_kind_is_refused_naming_field_and_fix(value, kind, words):
    for given in (value, prepare(value)):
        with pytest.raises(InvalidInputError, match=words) as caught:
            prepare(given, field="start", kind=kind)
        assert caught.value.field == "start"
        assert "choose a model" in caught.value.hint


def test_a_bomb_is_refused_by_its_header():
    with pytest.raises(MediaError, match="50,000 x 50,000"):
        prepare(png_claiming(50_000, 50_000))


@pytest.mark.parametrize(
    "array",
    [
        gradient(),
        gradient() / 255.0,
        (gradient() / 255.0).astype(np.float32),
        gradient()[..., 0],
        np.dstack([gradient(), np.full((48, 64), 200, np.uint8)]),
        gradient()[..., 0] > 100,
        gradient()[:, ::-1],
        np.asfortranarray(gradient()),
    ],
    ids=["uint8", "float64", "float32", "grey", "alpha", "bool", "view", "fortran"],
)
def test_an_array_of_a_picture_keeps_its_pixels(array):
    prepared = prepare(array)
    assert prepared.mime == "image/png"
    expected = array
    if array.dtype == bool:
        expected = array * 255
    elif array.dtype.kind == "f":
        expected = np.rint(array * 255)
    assert np.array_equal(np.asarray(Image.open(prepared.open())), expected)
    assert prepare(array).sha256 == prepared.sha256


def test_an_array_of_a_clip_becomes_a_clip_and_its_rate_is_recorded():
    frames = np.stack(list(moving(6, 65, 49)))
    prepared = prepare(frames)
    found = prepared.probe
    assert (found.kind, found.frames, found.fps) == ("video", 6, 25)
    assert (found.width, found.height) == (64, 48)
    assert prepared.edits == ("crop 64x48 at 0,0", "encode at 25 fps")
    assert prepare(frames).sha256 == prepared.sha256
    seen = Media(prepared.path).to_numpy()
    assert np.abs(seen.astype(int) - frames[:, :48, :64]).mean() < 4


def test_a_pillow_image_is_turned_upright_and_loses_its_metadata():
    image = Image.open(io.BytesIO(still("JPEG", 64, 48, orientation=6)))
    prepared = prepare(image)
    sent = Image.open(prepared.open())
    assert sent.size == (48, 64)
    assert not sent.getexif()
    assert not sent.info


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "LA"])
def test_pillow_images_of_every_mode_are_taken(mode):
    assert prepare(Image.new(mode, (8, 6))).probe.width == 8


def test_a_file_that_changes_after_the_check_is_not_sent(tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_bytes(CAT.read_bytes())
    prepared = prepare(path)
    path.write_bytes(samples.path("coffee.jpg").read_bytes())
    with pytest.raises(InvalidInputError, match="changed after it was checked"):
        prepared.open()
    path.unlink()
    with pytest.raises(InvalidInputError, match="can no longer be opened"):
        prepared.open()


def test_nothing_of_the_content_is_in_the_repr():
    text = repr(prepare(CAT.read_bytes()))
    assert "content" not in text
    assert len(text) < 500


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_its_parents_files_alone():
    program = """
import io, os, pathlib, sys
from decart_lab.media import limits, temp
from decart_lab.media.inputs import prepare
limits.SPOOL_IN_MEMORY_BYTES = 1000
clip = pathlib.Path(sys.argv[1]).read_bytes()
prepared = prepare(io.BytesIO(clip))
child = os.fork()
if child == 0:
    temp.remove(prepared.path)
    temp._remove_folder()
    os._exit(0)
os.waitpid(child, 0)
with prepared.open() as file:
    assert file.read() == clip
"""
    # A process of its own: a fork of one with threads, as this is by now, may wait for ever.
    command = [sys.executable, "-c", program, str(CLIP)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
