"""The form on the wire: what a standard parser reads is what was meant, to the byte."""

from __future__ import annotations

import asyncio
import io
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from decart_lab.api import multipart
from decart_lab.api.multipart import MultipartBody
from decart_lab.errors import InvalidInputError, MediaError
from decart_lab.media.inputs import prepare
from decart_lab.media.prepared import stamp

from .service import Service, job

NAMES = st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable())
VALUES = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200)


async def whole(body):
    return b"".join([chunk async for chunk in body.chunks()])


async def parsed(body):
    """The parts as the emulator's parser reads them."""
    content = await whole(body)
    assert len(content) == body.length

    async def stream():
        yield content

    form = await MultiPartParser(Headers({"content-type": body.content_type}), stream()).parse()
    return {
        name: value if isinstance(value, str) else (value.filename, await value.read())
        for name, value in form.multi_items()
    }


def unquoted(name):
    return name.replace('"', "%22")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_texts_arrive_as_they_are(fields, cat):
    fields.pop("data", None)
    body = MultipartBody(fields, {"data": prepare(cat)})
    # A standard parser undoes a backslash in a quoted name; the names we send hold none.
    found = asyncio.run(parsed(body))
    assert found.pop("data") == ("data.jpg", cat.read_bytes())
    for name, value in fields.items():
        if "\\" not in name:
            assert found[unquoted(name)] == value


@pytest.mark.anyio
async def test_a_body_can_be_sent_again(cat):
    body = MultipartBody(
        {"prompt": "ink"}, {"data": prepare(cat), "end": prepare(cat.read_bytes())}
    )
    assert await whole(body) == await whole(body)


@pytest.mark.anyio
async def test_a_small_file_is_read_once_however_often_it_is_sent_unchanged(cat, tmp_path):
    path, content = tmp_path / "cat.jpg", cat.read_bytes()
    path.write_bytes(content)
    prepared = prepare(path)
    assert content in await whole(MultipartBody({}, {"data": prepared}))
    before = path.stat()
    path.write_bytes(bytes(len(content)))  # what a second reading would send
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert content in await whole(MultipartBody({}, {"data": prepared}))


@pytest.mark.anyio
async def test_what_a_changed_file_holds_is_not_sent_for_what_was_checked(cat, tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_bytes(cat.read_bytes() + b"a")
    checked = prepare(path)
    path.write_bytes(cat.read_bytes() + b"b")
    os.utime(path, ns=(1, 1))
    await whole(MultipartBody({}, {"data": prepare(path)}))
    with pytest.raises(MediaError, match="unchanged"):
        await whole(MultipartBody({}, {"data": checked}))


@pytest.mark.anyio
async def test_no_more_than_a_few_small_files_are_kept_in_memory(cat, tmp_path):
    held = multipart._lately._held
    for number in range(multipart.REMEMBERED + 5):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(cat.read_bytes())
        await whole(MultipartBody({}, {"data": prepare(path)}))
    assert len(held) == multipart.REMEMBERED
    assert (path, stamp(path.stat())) in held


@pytest.mark.anyio
async def test_a_form_without_files_is_a_form(cat):
    assert await parsed(MultipartBody({"prompt": "ink"}, {})) == {"prompt": "ink"}


@pytest.mark.anyio
@pytest.mark.parametrize("sent_before", [False, True])
@pytest.mark.parametrize("change", ["gone", "shorter"])
async def test_a_file_that_changes_while_it_is_sent_is_an_error_with_its_field(
    cat, tmp_path, change, sent_before
):
    path = tmp_path / "cat.jpg"
    path.write_bytes(cat.read_bytes())
    body = MultipartBody({}, {"data": prepare(path)})
    if sent_before:
        await whole(body)
    path.unlink() if change == "gone" else path.write_bytes(b"x" * 100)
    with pytest.raises(MediaError, match="unchanged") as caught:
        await whole(body)
    assert caught.value.field == "data"


@pytest.mark.anyio
async def test_a_file_cut_short_while_it_is_sent_is_not_passed_off_as_whole(tmp_path):
    from PIL import Image

    path = tmp_path / "big.png"
    Image.effect_noise((1000, 1000), 80).save(path, compress_level=0)
    body = MultipartBody({}, {"data": prepare(path)})
    chunks = body.chunks()
    head, first = await anext(chunks), await anext(chunks)
    assert len(head) < 1000 < len(first)
    with path.open("r+b") as file:
        file.truncate(len(first) + 10)
    with pytest.raises(MediaError, match="unchanged"):
        async for _ in chunks:
            pass


class Counted(io.BytesIO):
    """A file object that knows how often each byte was read."""

    total = 0

    def read(self, *args):
        piece = super().read(*args)
        Counted.total += len(piece)
        return piece


@pytest.mark.anyio
async def test_a_file_object_is_read_once_though_it_is_checked_and_sent(connected, cat):
    service = Service(generate=[cat.read_bytes()])
    Counted.total = 0
    async with connected(service) as client:
        await client.process(model="lucy-image-2", prompt="x", data=Counted(cat.read_bytes()))
    assert Counted.total == cat.stat().st_size
    assert service.forms[0]["data"][2] == cat.read_bytes()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fields",
    [
        {"strength": float("nan")},
        {"points": [object()]},
        {"prompt": "half \ud800 character"},
        {"na\nme": "x"},
        {5: "x"},
    ],
)
async def test_what_has_no_form_on_the_wire_is_refused(connected, short_clip, fields):
    from decart_lab.contract.models import ModelDefinition

    service = Service(submit=[job("pending")])
    async with connected(service) as client:
        options = {"model": ModelDefinition("lucy-9"), "data": short_clip} | fields
        if fields == {5: "x"}:
            await client.queue.submit(options)
            assert service.forms[0]["5"] == "x"
        else:
            with pytest.raises(InvalidInputError, match="cannot be sent"):
                await client.queue.submit(options)
            assert service.calls == []


@pytest.mark.anyio
async def test_a_motion_trajectory_is_sent_as_json(connected, cat):
    service = Service(submit=[job("pending")])
    path = [{"frame": 0, "x": 1.0, "y": 2.0}, {"frame": 10, "x": 3.0, "y": 4.0}]
    from decart_lab.contract.models import ModelDefinition

    async with connected(service) as client:
        await client.queue.submit(
            model=ModelDefinition("lucy-motion-9", schema="MOTION"), data=cat, trajectory=path
        )
    assert service.forms[0]["trajectory"] == (
        '[{"frame":0,"x":1.0,"y":2.0},{"frame":10,"x":3.0,"y":4.0}]'
    )
