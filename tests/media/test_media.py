"""Media: cheap to print, immutable, edited only when its content is needed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from decart_lab.errors import InvalidInputError, MediaError
from decart_lab.media import limits, samples
from decart_lab.media.inputs import prepare
from decart_lab.media.media import Media
from decart_lab.media.probe import probe
from tests.helpers.clips import gradient, moving, still, write_clip

CAT = Media(samples.path("cat.jpg"))
CLIP = Media(samples.path("clip.mp4"))


def test_it_says_what_it_is():
    assert (CAT.kind, CAT.mime, CAT.width, CAT.height) == ("image", "image/jpeg", 450, 300)
    assert (CAT.fps, CAT.frames, CAT.duration_s) == (None, None, None)
    assert (CLIP.kind, CLIP.mime, CLIP.fps, CLIP.frames) == ("video", "video/mp4", 25, 62)
    assert CLIP.duration_s == pytest.approx(2.48)


def test_its_repr_reads_nothing(tmp_path):
    media = Media(tmp_path / "absent.mp4", simulated=True, job_id="job_1")
    assert repr(media) == f"Media('{tmp_path / 'absent.mp4'}', simulated, job_id='job_1')"


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CAT.cost = 3.0


def test_it_hands_out_its_bytes(tmp_path):
    assert CAT.read() == CAT.path.read_bytes()
    assert CAT.save(tmp_path / "copy.jpg").read_bytes() == CAT.read()


def test_saving_into_a_folder_keeps_its_name(tmp_path):
    assert CAT.save(tmp_path) == tmp_path / "cat.jpg"
    assert CAT.resize(20, 10).save(str(tmp_path)) == tmp_path / "cat.png"


def test_saving_onto_itself_is_harmless(tmp_path):
    media = Media(CAT.save(tmp_path / "own.jpg"))
    assert media.save(tmp_path / "own.jpg").read_bytes() == CAT.read()


def test_saving_where_it_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be written") as caught:
        CAT.save(tmp_path / "no" / "folder" / "cat.jpg")
    assert caught.value.field == "dest"
    assert list(tmp_path.iterdir()) == []


def test_pixels_come_as_rgb():
    array = CAT.to_numpy()
    assert (array.shape, array.dtype) == ((300, 450, 3), np.uint8)
    assert CAT.to_pil().mode == "RGB"


def test_frames_come_as_a_stack(made):
    clip = Media(made / "plain.mp4")
    assert clip.to_numpy().shape == (20, 48, 64, 3)
    assert clip.to_numpy(frames=3).shape == (3, 48, 64, 3)
    assert clip.to_numpy(every=6).shape == (4, 48, 64, 3)
    assert np.array_equal(clip.to_numpy(every=6)[1], clip.to_numpy()[6])
    assert clip.to_pil().size == (64, 48)


def test_an_array_that_would_fill_memory_is_refused_with_a_way_out(made, monkeypatch):
    monkeypatch.setattr(limits, "MAX_ARRAY_BYTES", 64 * 48 * 3 * 5)
    for name in ("plain.mp4", "plain.webm"):  # the WebM does not say how many frames it has
        with pytest.raises(MediaError, match="as an array would take") as caught:
            Media(made / name).to_numpy()
        assert "every=" in caught.value.hint
        assert len(Media(made / name).to_numpy(frames=5)) == 5


def test_an_array_that_would_fill_memory_is_refused_before_a_frame_is_read(made, monkeypatch):
    clip = Media(made / "plain.mp4")
    monkeypatch.setattr(limits, "MAX_ARRAY_BYTES", 64 * 48 * 3 * 5)
    monkeypatch.setattr("decart_lab.media.media.read_frames", None)
    with pytest.raises(MediaError, match="20 frames"):
        clip.to_numpy()


def test_edits_show_in_what_it_says_of_itself():
    edited = CAT.crop(10, 20, 200, 100).resize(50, 25)
    assert (edited.width, edited.height, edited.mime) == (50, 25, "image/png")
    assert "crop 200x100 at 10,20, resize 50x25" in repr(edited)
    assert CAT.width == 450
    part = CLIP.trim(0.5, 1.5)
    assert part.duration_s == pytest.approx(1.0)
    assert part.frames == 25


def test_edits_keep_what_is_known_of_the_result():
    media = Media(CAT.path, simulated=True, job_id="j", cost=0.1, caption="c").resize(10, 10)
    assert (media.simulated, media.job_id, media.cost, media.caption) == (True, "j", 0.1, "c")


def test_edits_of_a_picture_are_what_is_sent(tmp_path):
    path = tmp_path / "g.png"
    Image.fromarray(gradient()).save(path)
    edited = Media(path).crop(8, 4, 20, 10)
    prepared = prepare(edited)
    assert prepared.edits == ("crop 20x10 at 8,4",)
    assert np.array_equal(np.asarray(Image.open(prepared.open())), gradient()[4:14, 8:28])
    assert edited.read() == Media(path).crop(8, 4, 20, 10).read()
    assert np.array_equal(edited.to_numpy(), gradient()[4:14, 8:28])


def test_edits_of_a_picture_count_from_its_upright_corner(tmp_path):
    path = tmp_path / "turned.jpg"
    path.write_bytes(still("JPEG", 64, 48, orientation=6))
    assert Media(path).crop(0, 0, 48, 64).to_pil().size == (48, 64)


def test_edits_of_a_clip_are_what_is_sent_with_its_sound():
    edited = CLIP.trim(0.5, 1.5).crop(100, 50, 301, 201).resize(150, 100)
    prepared = prepare(edited)
    found = prepared.probe
    assert (found.width, found.height, found.fps, found.frames) == (150, 100, 25, 25)
    assert found.has_audio
    assert found.duration_s == pytest.approx(1.0, abs=0.01)
    assert prepared.edits == ("trim 0.5-1.5 s", "crop 301x201 at 100,50", "resize 150x100")
    assert (edited.width, edited.height, edited.frames) == (150, 100, 25)


def test_editing_is_done_once_and_comes_out_the_same():
    edited = CLIP.trim(0, 0.4).resize(64, 36)
    assert prepare(edited) is prepare(edited)
    assert prepare(CLIP.trim(0, 0.4).resize(64, 36)).sha256 == prepare(edited).sha256


def test_a_trim_begins_and_ends_where_it_says(tmp_path):
    """Each frame is a flat grey that tells its number."""
    frames = (np.full((48, 64, 3), 10 + 4 * n, np.uint8) for n in range(50))
    path = write_clip(tmp_path / "numbered.mp4", frames, fps=10, crf=5)
    part = Media(path).trim(2.0, 3.0).to_numpy()
    numbers = np.rint((part.mean(axis=(1, 2, 3)) - 10) / 4)
    assert numbers.tolist() == list(range(20, 30))
    twice = Media(path).trim(2.0, 4.0).trim(0.5, 1.0).to_numpy()
    assert np.rint((twice.mean(axis=(1, 2, 3)) - 10) / 4).tolist() == list(range(25, 30))


def test_a_turned_clip_is_edited_as_it_is_shown(made):
    assert Media(made / "turned90.mp4").crop(0, 0, 20, 60).to_numpy().shape == (4, 60, 20, 3)


def test_a_crop_of_a_clip_begins_at_its_very_pixel(made):
    whole = Media(made / "plain.mp4").to_numpy(frames=1)[0].astype(int)
    part = Media(made / "plain.mp4").crop(11, 5, 30, 20).to_numpy(frames=1)[0]
    brightness = (part - whole[5:25, 11:41]) @ (0.299, 0.587, 0.114)
    assert abs(brightness.mean()) < 1  # colour is coarser: one sample for four pixels


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (lambda: CAT.crop(400, 0, 100, 10), "crop"),
        (lambda: CAT.crop(-1, 0, 10, 10), "left"),
        (lambda: CAT.crop(0, 0, 0, 10), "width"),
        (lambda: CAT.crop(0, 0, 10.5, 10), "width"),
        (lambda: CAT.resize(0, 10), "width"),
        (lambda: CAT.resize(100_000, 10), "width"),
        (lambda: CLIP.crop(0, 0, 1, 100), "crop"),
        (lambda: CAT.trim(0, 1), "trim"),
        (lambda: CLIP.trim(1, 1), "trim"),
        (lambda: CLIP.trim(-1, 1), "trim"),
        (lambda: CLIP.trim(9, 10), "trim"),
        (lambda: CLIP.trim(float("nan"), 1), "trim"),
        (lambda: CLIP.trim(0.5, 1.5).trim(1.0, 2.0), "trim"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused_where_it_is_written(edit, field):
    with pytest.raises(InvalidInputError) as caught:
        edit()
    assert caught.value.field == field


def test_media_is_made_of_anything_that_can_be_an_input():
    assert Media.of(CAT) is CAT
    assert Media.of(str(CAT.path)).path == CAT.path
    assert Media.of(CAT.read()).read() == CAT.read()
    assert Media.of(gradient()).to_numpy().shape == (48, 64, 3)
    assert Media.of(np.stack(list(moving(4)))).frames == 4
    assert Media.of(Image.fromarray(gradient())).kind == "image"


def test_an_unedited_file_may_be_written_anew(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(still())
    media = Media(path)
    assert media.width == 64
    path.write_bytes(still("PNG", 20, 10))
    assert media.read() == path.read_bytes()
    assert probe(path).width == 20
