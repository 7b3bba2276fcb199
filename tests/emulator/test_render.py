"""Every result: its size, rate, frame count, sound and marks; the same for the same request."""

from __future__ import annotations

import re
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from decart_lab.contract.models import ROWS, ModelDefinition, find
from decart_lab.emulator.render import SIZE_480P, RenderRequest, render
from decart_lab.errors import MediaError
from decart_lab.media.probe import probe
from decart_lab.media.video import poster, read_frames, to_rgb
from tests.helpers.clips import pan, write_clip

SERVED = [row for row in ROWS if row.kind != "realtime" and row.status != "retired"]
CLIP_S = 0.5
PATH = ({"frame": 0, "x": 150, "y": 150}, {"frame": 8, "x": 450, "y": 250})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, photo, portrait) -> dict[str, Path]:
    """A photograph, another, and half a second of video with sound at a rate no model has."""
    folder = tmp_path_factory.mktemp("inputs")
    frames = pan(photo, 640, 360, 16)
    clip = write_clip(folder / "clip.mp4", frames, fps=32, sound=True)
    return {"photo": photo, "portrait": portrait, "clip": clip}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, inputs):
    """Render a model's request once per module, whatever name it is asked by."""
    folder = tmp_path_factory.mktemp("rendered")

    @cache
    def once(model, **changes):
        # Clips of a fixed length are cut here; one test below renders a whole one.
        model = replace(model, output_s=0.4) if model.output_s else model
        request = replace(request_for(model, inputs), **changes)
        out = folder / str(len(list(folder.iterdir())))
        return request, render(request, out), out

    return lambda model, **changes: once(replace(model, **plain_name(model)), **changes)


def plain_name(model):
    """What distinguishes aliases of one model is not the renderer's business."""
    return {"name": model.canonical, "url_path": "", "queue_path": "", "status": "current"} | {
        "resolves_to": "",
        "successor": "",
    }


def request_for(model, inputs) -> RenderRequest:
    files = {
        "I2I": {"data": inputs["photo"]},
        "I2V": {"data": inputs["photo"]},
        "I2V_DEV": {"data": inputs["photo"]},
        "FLF2V": {"start": inputs["photo"], "end": inputs["portrait"]},
        "MOTION": {"data": inputs["photo"], "trajectory": PATH},
        "T2I": {},
        "T2V": {},
    }.get(model.schema, {"data": inputs["clip"]})
    prompt = "" if model.schema == "MOTION" else "watercolour, a lighthouse"
    return RenderRequest(model, prompt, 7, **files)


def pixels(path: Path) -> np.ndarray:
    image = Image.open(path) if probe(path).kind == "image" else poster(path)
    return np.asarray(image.convert("RGB"), int)


def far(first: Path, second: Path) -> float:
    return float(np.abs(pixels(first) - pixels(second)).mean())


@pytest.mark.parametrize("row", SERVED, ids=lambda row: f"{row.kind}-{row.name}")
def test_every_served_model_gives_decodable_media_of_its_size_rate_and_length(row, rendered):
    request, result, out = rendered(row)
    found = probe(out)
    assert (found.width, found.height) == (result.width, result.height) == (row.width, row.height)
    assert (found.mime, found.size_bytes) == (result.mime, result.size_bytes)
    if row.kind == "image":
        assert pixels(out).shape == (row.height, row.width, 3)
        assert (result.mime, result.frames, result.fps) == ("image/png", 1, None)
        return
    seconds = 0.4 if row.output_s else CLIP_S
    frames = list(read_frames(out))
    assert len(frames) == found.frames == result.frames == round(seconds * row.fps)
    assert found.fps == result.fps == row.fps
    assert (found.codec, frames[0].format.name) == ("h264", "yuv420p")
    times = [frame.time for frame in frames]
    assert np.allclose(np.diff(times), 1 / row.fps, atol=1e-3)
    assert found.has_audio == (request.data is not None and request.data.suffix == ".mp4")


def test_a_clip_of_fixed_length_has_all_its_frames(inputs, tmp_path):
    model = find("lucy-pro-i2v", "video")
    request = replace(request_for(model, inputs), prompt="sepia")
    result = render(request, tmp_path / "out.mp4")
    assert (result.frames, result.seconds) == (125, 5.0) == (probe(tmp_path / "out.mp4").frames, 5)


def test_a_clip_model_of_fixed_length_does_not_outlast_its_input(inputs, tmp_path):
    request = request_for(find("lucy-clip", "video"), inputs)
    assert render(request, tmp_path / "out").seconds == pytest.approx(CLIP_S, abs=0.04)


def test_a_clip_that_ends_before_its_stated_length_holds_its_last_frame(inputs, tmp_path):
    request = replace(request_for(find("lucy-2.1", "video"), inputs), input_s=1.0)
    assert render(request, tmp_path / "out").frames == probe(tmp_path / "out").frames == 20


def test_the_real_clip_keeps_its_length(clip, tmp_path):
    known = min(probe(clip).duration_s, 2.0)
    request = RenderRequest(find("lucy-2.1", "video"), "anime", 1, data=clip, input_s=known)
    assert render(request, tmp_path / "out").frames == round(known * 20)


@pytest.mark.parametrize("name", ["lucy-image-2", "lucy-2.1", "lucy-pro-t2v"])
def test_the_same_request_gives_the_same_bytes_whatever_its_job(name, rendered, tmp_path):
    request, _, out = rendered(find(name, "image", "video"))
    render(replace(request, job_id="another"), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == out.read_bytes()


def test_requests_rendered_side_by_side_do_not_disturb_each_other(rendered, tmp_path):
    names = ["lucy-image-2", "lucy-2.1", "lucy-restyle-2", "lucy-motion"]
    asked = [rendered(find(name, "image", "video")) for name in names]
    start = threading.Barrier(len(names))

    def again(index: int) -> bytes:
        start.wait()
        render(asked[index][0], tmp_path / str(index))
        return (tmp_path / str(index)).read_bytes()

    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(again, range(len(names))))
    assert results == [out.read_bytes() for _, _, out in asked]


@pytest.mark.parametrize("name", ["lucy-image-2", "lucy-2.1", "lucy-pro-t2v", "lucy-pro-t2i"])
def test_prompt_and_seed_change_what_is_made(name, rendered):
    model = find(name, "image", "video")
    _, _, plain = rendered(model)
    _, _, reseeded = rendered(model, seed=8)
    _, _, other = rendered(model, prompt="noir, a lighthouse")
    assert far(plain, reseeded) > 0.3
    assert far(plain, other) > 10


@pytest.mark.parametrize("name", ["lucy-image-2", "lucy-2.1", "lucy-vton-3"])
def test_a_reference_picture_shows_with_and_without_a_prompt(name, rendered, inputs):
    model = find(name, "image", "video")
    for prompt in ("", "watercolour"):
        _, _, plain = rendered(model, prompt=prompt)
        _, _, dressed = rendered(model, prompt=prompt, reference=inputs["portrait"])
        assert far(plain, dressed) > 3


def test_a_try_on_model_dresses_the_middle_and_others_the_whole(rendered, inputs):
    rims = []
    for name in ("lucy-vton-3", "lucy-2.1"):
        pictures = []
        for reference in (None, inputs["portrait"]):
            out = rendered(find(name, "video"), prompt="", reference=reference)[2]
            pictures.append(pixels(out)[:, :32].mean((0, 1)))
        rims.append(np.abs(pictures[0] - pictures[1]).max())
    assert rims[0] < 3 < rims[1]


def test_other_inputs_give_other_results(rendered, inputs):
    model = find("lucy-image-2", "image")
    assert far(rendered(model)[2], rendered(model, data=inputs["portrait"])[2]) > 10


def test_a_trajectory_moves_something(rendered):
    _, _, out = rendered(find("lucy-motion", "video"))
    frames = [to_rgb(frame).astype(int) for frame in read_frames(out)]
    assert np.abs(frames[0] - frames[-1]).mean() > 1


def test_the_smaller_resolution_is_smaller(rendered):
    for name in ("lucy-image-2", "lucy-pro-t2i", "lucy-pro-t2v"):
        _, result, out = rendered(find(name, "image", "video"), resolution="480p")
        assert (result.width, result.height) == SIZE_480P == (probe(out).width, probe(out).height)


def test_words_alone_can_be_painted_upright(rendered):
    _, result, _ = rendered(find("lucy-pro-t2i", "image"), orientation="portrait")
    assert (result.width, result.height) == (704, 1280)


def test_results_say_in_their_metadata_that_they_are_simulated(rendered):
    with Image.open(rendered(find("lucy-image-2", "image"))[2]) as picture:
        assert (picture.text["Software"], picture.text["Simulated"]) == (
            "decart-lab emulator",
            "true",
        )
    with av.open(str(rendered(find("lucy-2.1", "video"))[2])) as clip:
        assert clip.metadata["comment"] == "simulated by the decart-lab emulator"


def test_a_clip_can_be_played_before_it_is_loaded(rendered):
    content = rendered(find("lucy-2.1", "video"))[2].read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_an_inline_model_is_rendered_as_it_is_defined(inputs, tmp_path):
    model = ModelDefinition("lucy-9-preview", fps=12, width=320, height=240)
    result = render(RenderRequest(model, "clay", data=inputs["clip"]), tmp_path / "out")
    assert (result.width, result.height, result.fps, result.frames) == (320, 240, 12.0, 6)


def test_damaged_input_is_a_media_error_and_leaves_no_file(inputs, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(inputs["clip"].read_bytes()[:4000])
    with pytest.raises(MediaError):
        render(RenderRequest(find("lucy-2.1", "video"), "ink", data=broken), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["lucy-image-2", "lucy-2.1", "lucy-pro-t2v", "lucy-clip"])
def test_canned_answers_are_valid_media_of_the_right_shape_and_unique(name, inputs, tmp_path):
    model = find(name, "image", "video")
    request = replace(request_for(model, inputs), mode="canned", input_s=CLIP_S)
    facts, contents = [], set()
    for job in ("job-1", "job-2", "jöb" + "x" * 90):
        out = tmp_path / re.sub(r"\W", "_", job)
        facts.append(render(replace(request, job_id=job), out))
        contents.add(out.read_bytes())
        found = probe(out)
        assert (found.width, found.height) == (model.width, model.height)
        if model.kind == "video":
            assert found.frames == facts[-1].frames == sum(1 for _ in read_frames(out))
            assert found.fps == model.fps
        else:
            assert pixels(out).shape == (model.height, model.width, 3)
    assert len(contents) == 3


def test_a_canned_answer_names_its_job_and_says_that_it_is_simulated(inputs, tmp_path):
    for name in ("lucy-image-2", "lucy-2.1"):
        request = request_for(find(name, "image", "video"), inputs)
        render(replace(request, mode="canned", job_id="job-42"), tmp_path / name)
    content = (tmp_path / "lucy-image-2").read_bytes()
    at = 8
    while at < len(content):  # readers differ in what they forgive: every checksum is right
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        assert zlib.crc32(content[at + 4 : end]) == int.from_bytes(content[end : end + 4], "big")
        at = end + 4
    with Image.open(tmp_path / "lucy-image-2") as picture:
        assert (picture.text["Job"], picture.text["Simulated"]) == ("job-42", "true")
    with av.open(str(tmp_path / "lucy-2.1")) as clip:
        comment = clip.metadata["comment"]
    assert "job-42" in comment
    assert "simulated" in comment
