"""Every current image and video model, through the client, with real media and real rendering."""

from __future__ import annotations

import pytest

from decart_lab import DecartClient, models
from decart_lab._clock import AcceleratedClock
from decart_lab.contract.models import names
from decart_lab.contract.requests import schema_of
from decart_lab.media.image import open_image
from decart_lab.media.media import Media
from decart_lab.media.probe import probe
from decart_lab.media.video import read_frames

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def painter():
    """An emulator that renders, shared by the tests of this file."""
    from decart_lab.emulator import emulator

    with emulator(port=0, speed=100.0) as running:
        yield running


@pytest.fixture(scope="module")
def opening(clip, tmp_path_factory):
    """The first half second of the clip, edited once."""
    from decart_lab.media.inputs import prepare

    path = tmp_path_factory.mktemp("clip") / "opening.mp4"
    with prepare(Media(clip).trim(0.0, 0.5)).open() as file:
        path.write_bytes(file.read())
    return path


def hurried(emulator):
    """A client whose pauses between polls are as short as the emulator's jobs."""
    return DecartClient(emulator.api_key, base_url=emulator.url, clock=AcceleratedClock(20.0))


def extra(model):
    """What a model's schema needs besides data."""
    fields = schema_of(model).fields.model_fields
    return {"prompt": "watercolour painting"} if "prompt" in fields else {}


@pytest.mark.parametrize("name", names("image"))
async def test_an_image_model_gives_a_picture_of_its_size(painter, name, photo, portrait, tmp_path):
    model = models.image(name)
    async with hurried(painter) as client:
        for source in (photo, portrait):
            media = await client.process(
                model=model, data=source, save_to=tmp_path / "out.png", **extra(model)
            )
            picture = open_image(media.path)
            assert media.simulated
            assert picture.size == (media.width, media.height)
            if source == photo:
                assert picture.size == (model.width, model.height)


@pytest.mark.parametrize("name", names("video"))
async def test_a_video_model_gives_a_clip_of_its_size_rate_and_length(
    painter, name, opening, tmp_path
):
    model = models.video(name)
    async with hurried(painter) as client:
        result = await client.queue.submit_and_poll(
            model=model, data=opening, save_to=tmp_path / "out.mp4", **extra(model)
        )
    assert (result.status, result.error) == ("completed", None)
    found = probe(result.data.path)
    seconds = model.output_s or probe(opening).duration_s
    assert (found.width, found.height) == (model.width, model.height)
    assert found.fps == pytest.approx(model.fps)
    assert found.codec == "h264"
    assert found.frames == pytest.approx(seconds * model.fps, abs=1)
    assert sum(1 for _ in read_frames(result.data.path)) == found.frames
