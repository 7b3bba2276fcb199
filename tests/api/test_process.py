"""process: what is sent, what comes back, and every way it can fail."""

from __future__ import annotations

import asyncio
import io

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from decart_lab import DecartClient, models
from decart_lab.errors import (
    DeadlineError,
    InvalidInputError,
    ModelNotFoundError,
    ModerationError,
    NetworkError,
    ProcessingError,
    RateLimitError,
    ResponseError,
    ServerError,
)
from decart_lab.media.media import Media

from ..helpers.serve import read_request, reset, serve_raw
from .service import Service, refusal

pytestmark = pytest.mark.anyio


async def test_dict_style_and_keyword_style_send_the_same_request(connected, cat):
    service = Service(generate=[cat.read_bytes()])
    options = {"model": models.image("lucy-image-2"), "prompt": "ink", "data": cat, "seed": 7}
    before = dict(options)
    async with connected(service) as client:
        first = await client.process(options, enhance_prompt=False)
        second = await client.process(
            model="lucy-image-2", prompt="ink", data=cat, seed=7, enhance_prompt=False
        )
    assert options == before
    assert service.forms[0] == service.forms[1]
    assert service.forms[0] == {
        "prompt": "ink",
        "seed": "7",
        "enhance_prompt": "false",
        "data": ("data.jpg", "image/jpeg", cat.read_bytes()),
    }
    assert first == second == first.data == cat.read_bytes()


async def test_the_users_file_name_never_goes_on_the_wire(connected, cat, tmp_path):
    secret = tmp_path / "client X confidential.jpg"
    secret.write_bytes(cat.read_bytes())
    service = Service(generate=[cat.read_bytes()])
    async with connected(service) as client:
        await client.process(model="lucy-image-2", prompt="ink", data=secret)
        with secret.open("rb") as file:
            await client.process(model="lucy-image-2", prompt="ink", data=file)
    assert [form["data"][0] for form in service.forms] == ["data.jpg", "data.jpg"]


async def test_every_kind_of_input_is_taken(connected, cat):
    import numpy as np

    from decart_lab.media.image import open_image

    picture = open_image(cat)
    service = Service(generate=[cat.read_bytes()])
    inputs = [
        str(cat),
        cat,
        cat.read_bytes(),
        io.BytesIO(cat.read_bytes()),
        picture,
        Media(cat),
        Media(cat).resize(64, 64),
        np.zeros((48, 64, 3), np.uint8),
    ]
    async with connected(service) as client:
        for value in inputs:
            await client.process(model="lucy-image-2", prompt="ink", data=value)
    kinds = [form["data"][1] for form in service.forms]
    assert kinds[:4] == ["image/jpeg"] * 4
    assert len(service.forms) == len(inputs)


async def test_a_big_file_streams_from_disk_with_its_length_known(connected, cat, tmp_path):
    big = tmp_path / "big.png"
    from PIL import Image

    Image.effect_noise((1500, 1500), 80).convert("RGB").save(big)
    service = Service(generate=[cat.read_bytes()])
    seen = []
    async with connected(service) as client:
        await client.process(
            model="lucy-image-2",
            prompt="ink",
            data=big,
            on_upload_progress=lambda sent, total: seen.append((sent, total)),
        )
    assert service.forms[0]["data"][2] == big.read_bytes()
    assert len(seen) > 5
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == int(service.headers[0]["content-length"])


async def test_with_save_to_the_picture_lands_in_its_file_and_nothing_beside_it(
    connected, cat, tmp_path
):
    service = Service(
        generate=[Response(cat.read_bytes(), headers={"x-decart-emulator": "1"})],
    )
    async with connected(service) as client:
        assert client.simulated is None
        media = await client.process(
            model="lucy-image-2", prompt="ink", data=cat, save_to=tmp_path / "out.jpg"
        )
        assert client.simulated is True
    assert (media.path, media.simulated, media.kind) == (tmp_path / "out.jpg", True, "image")
    assert media.read() == cat.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "model"),
        ({"model": 5}, "model"),
        ({"model": "lucy-2.1", "prompt": "x", "data": "clip.mp4"}, "model"),
        ({"prompt": "", "data": b"x"}, "prompt"),
        ({"prompt": "x" * 1001, "data": b"x"}, "prompt"),
        ({"prompt": "x"}, "data"),
        ({"prompt": "x", "data": b""}, "data"),
        ({"prompt": "x", "data": b"hello, this is text"}, "data"),
        ({"prompt": "x", "data": "missing.png"}, "data"),
        ({"prompt": "x", "data": "."}, "data"),
        ({"prompt": "x", "data": b"x", "seed": -1}, "seed"),
        ({"prompt": "x", "data": b"x", "seed": 2**32}, "seed"),
        ({"prompt": "x", "data": b"x", "seed": True}, "seed"),
        ({"prompt": "x", "data": b"x", "resolution": "1080p"}, "resolution"),
        ({"prompt": "x", "data": b"x", "strength": 0.5}, "strength"),
        ({"prompt": "x", "data": b"x", "start": b"x"}, "start"),
        ({"prompt": "x", "data": b"x", "save_to": "."}, "save_to"),
        ({"prompt": "x", "data": b"x", "save_to": "no/such/folder/out.png"}, "save_to"),
        ({"prompt": "x", "data": b"x", "save_to": 5}, "save_to"),
        ({"prompt": "x", "data": b"x", "on_upload_progress": 5}, "on_upload_progress"),
        ({"prompt": "x", "data": b"x", "on_upload_progress": asyncio.sleep}, "on_upload_progress"),
        ({"prompt": "x", "data": b"x", "on_status_change": print}, "on_status_change"),
        ({"prompt": "x", "data": b"x", "image_route": "queue"}, "image_route"),
    ],
)
async def test_bad_input_is_refused_before_any_request_naming_the_field_and_the_fix(
    connected, options, field
):
    service = Service(generate=[b""])
    async with connected(service) as client:
        with pytest.raises(InvalidInputError) as caught:
            await client.process(({"model": "lucy-image-2"} if options else {}) | options)
    assert caught.value.field == field
    assert caught.value.hint or field in ("save_to",)
    assert service.calls == []


async def test_an_unknown_model_suggests_near_names():
    async with DecartClient("dct_x1234") as client:
        with pytest.raises(ModelNotFoundError, match="lucy-image-2"):
            await client.process(model="lucy-image-22", prompt="x", data=b"x")


async def test_the_same_option_twice_is_refused():
    async with DecartClient("dct_x1234") as client:
        with pytest.raises(InvalidInputError, match="twice"):
            await client.process({"model": "lucy-image-2", "prompt": "a"}, prompt="b")
        with pytest.raises(InvalidInputError, match="dict"):
            await client.process("lucy-image-2")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (JSONResponse({"url": "https://x"}), "application/json"),
        (HTMLResponse("<h1>Sign in</h1>"), "text/html"),
        (Response(b""), "empty"),
        (Response(b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 60), "video"),
        (Response(status_code=204), "empty"),
    ],
)
@pytest.mark.parametrize("saved", [False, True])
async def test_an_answer_that_is_no_picture_is_an_error_and_leaves_no_result(
    connected, cat, tmp_path, answer, why, saved
):
    service = Service(generate=[answer])
    target = {"save_to": tmp_path / "out.png"} if saved else {}
    async with connected(service) as client:
        with pytest.raises(ProcessingError, match=why) as caught:
            await client.process(model="lucy-image-2", prompt="ink", data=cat, **target)
    assert isinstance(caught.value, ResponseError)
    assert not (tmp_path / "out.png").exists()
    assert service.count("generate") == 1


async def test_a_damaged_picture_is_an_error_but_what_was_paid_for_is_kept(
    connected, cat, tmp_path
):
    half = cat.read_bytes()[: cat.stat().st_size // 2]
    async with connected(Service(generate=[half])) as client:
        with pytest.raises(ProcessingError, match="damaged") as caught:
            await client.process(model="lucy-image-2", prompt="ink", data=cat)
        assert caught.value.data["content"] == half
        with pytest.raises(ProcessingError, match="kept in"):
            await client.process(
                model="lucy-image-2", prompt="ink", data=cat, save_to=tmp_path / "out.jpg"
            )
    (part,) = tmp_path.iterdir()
    assert part.suffix == ".part"
    assert part.read_bytes() == half


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_a_paid_request_that_may_have_been_taken_is_made_once(connected, cat, status):
    service = Service(generate=[refusal(status), cat.read_bytes()])
    async with connected(service) as client:
        with pytest.raises(ProcessingError) as caught:
            await client.process(model="lucy-image-2", prompt="ink", data=cat)
    assert isinstance(caught.value, ServerError)
    assert service.count("generate") == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_when_the_service_says_later_the_request_waits_and_goes_again(
    connected, clock, cat, status
):
    service = Service(generate=[refusal(status, retry_after="7"), cat.read_bytes()])
    async with connected(service) as client:
        result = await client.process(model="lucy-image-2", prompt="ink", data=cat)
    assert result == cat.read_bytes()
    assert service.forms[0] == service.forms[1]
    assert 7 <= clock.now() < 8


async def test_a_rate_limit_that_never_ends_is_an_error_of_both_kinds(connected, clock, cat):
    service = Service(generate=[refusal(429)])
    async with connected(service) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.process(model="lucy-image-2", prompt="ink", data=cat)
    assert isinstance(caught.value, ProcessingError)
    assert caught.value.code == "PROCESSING_ERROR"
    assert service.count("generate") == 5


async def test_a_moderated_prompt_says_so(connected, cat):
    answer = JSONResponse({"detail": "Rejected by content moderation"}, 422)
    async with connected(Service(generate=[answer])) as client:
        with pytest.raises(ModerationError, match="Change the prompt"):
            await client.process(model="lucy-image-2", prompt="ink", data=cat)


async def test_a_request_whose_answer_was_lost_is_not_repeated_and_says_it_may_be_charged(cat):
    requests = []

    def handle(connection):
        requests.append(read_request(connection))
        reset(connection)

    with serve_raw(handle) as url:
        async with DecartClient("dct_0123456789", base_url=url) as client:
            with pytest.raises(ProcessingError, match="may have been carried out") as caught:
                await client.process(model="lucy-image-2", prompt="ink", data=cat)
    assert isinstance(caught.value, NetworkError)
    assert caught.value.sent == "all"
    assert len(requests) == 1


async def test_a_request_that_provably_never_arrived_is_repeated(cat, clock):
    attempts = []

    def handle(connection):
        attempts.append(1)
        if len(attempts) < 3:
            connection.recv(10)
            reset(connection)
            return
        read_request(connection)
        picture = cat.read_bytes()
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(picture))
        connection.sendall(picture)

    from PIL import Image

    big = io.BytesIO()  # so large that the reset meets it half way
    Image.effect_noise((2600, 2600), 80).save(big, "PNG", compress_level=0)
    with serve_raw(handle) as url:
        async with DecartClient("dct_0123456789", base_url=url, clock=clock) as client:
            result = await client.process(model="lucy-image-2", prompt="ink", data=big.getvalue())
    assert result == cat.read_bytes()
    assert len(attempts) == 3


async def test_the_whole_call_has_a_deadline(cat):
    from decart_lab._wire import Timeouts

    def handle(connection):
        read_request(connection)
        connection.recv(1)

    with serve_raw(handle) as url:
        timeouts = Timeouts(process_s=0.3)
        async with DecartClient("dct_0123456789", base_url=url, timeouts=timeouts) as client:
            with pytest.raises(DeadlineError, match=r"0\.3 s"):
                await client.process(model="lucy-image-2", prompt="ink", data=cat)


async def test_cancelling_leaves_no_part_file(cat, tmp_path):
    def handle(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 1000)
        connection.recv(1)

    with serve_raw(handle) as url:
        async with DecartClient("dct_0123456789", base_url=url) as client:
            call = asyncio.ensure_future(
                client.process(
                    model="lucy-image-2", prompt="ink", data=cat, save_to=tmp_path / "out.png"
                )
            )
            for _ in range(200):
                await asyncio.sleep(0.01)
                if list(tmp_path.iterdir()):
                    break
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
    assert list(tmp_path.iterdir()) == []


async def test_warnings_point_at_the_users_own_line(connected, cat, short_clip, monkeypatch):
    monkeypatch.setattr("decart_lab.contract.models._warned", set())
    service = Service(generate=[cat.read_bytes()], submit=[{"job_id": "job_1"}])
    async with connected(service) as client:
        with pytest.warns(DeprecationWarning, match="legacy") as legacy:
            await client.process(model="lucy-pro-i2i", prompt="x", data=cat)
        with pytest.warns(UserWarning, match="1001 characters") as long:
            await client.queue.submit(model="lucy-2.1", prompt="x" * 1001, data=short_clip)
    # The server's thread may warn as well, of its own library's matters.
    ours = [row.filename for row in (*legacy, *long) if "lucy" in str(row.message)]
    assert ours == [__file__, __file__]
