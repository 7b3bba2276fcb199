"""queue: tickets, polling, lost jobs, results; after the submission every error has the job id."""

from __future__ import annotations

import asyncio
import hashlib
import threading

import pytest
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from decart_lab import models
from decart_lab.api.queue import DEFAULT_WAIT_S
from decart_lab.contract.models import ModelDefinition
from decart_lab.errors import (
    AuthError,
    DeadlineError,
    InvalidInputError,
    JobLostError,
    NotFoundError,
    QueueResultError,
    QueueStatusError,
    QueueSubmitError,
    RejectedError,
    ResponseError,
    StoreError,
)

from .service import Service, job, refusal

pytestmark = pytest.mark.anyio


def scripted(clip, **scripts):
    """A service whose job completes at the third look, unless told otherwise."""
    usual = {
        "submit": [job("pending")],
        "status": [job("pending"), job("processing"), job("completed")],
        "content": [clip.read_bytes()],
    }
    return Service(**(usual | scripts))


async def test_the_whole_way_from_submission_to_clip(connected, short_clip):
    service = scripted(short_clip)
    seen = []
    async with connected(service) as client:
        result = await client.queue.submit_and_poll(
            {
                "model": models.video("lucy-2.1"),
                "prompt": "snow",
                "data": short_clip,
                "on_status_change": lambda job: seen.append(job.status),
            }
        )
    assert (result.status, result.job_id, result.error) == ("completed", "job_1", None)
    assert result.data == short_clip.read_bytes() == result.data.data
    assert seen == ["pending", "processing", "completed"]
    assert service.forms[0]["data"][:2] == ("data.mp4", "video/mp4")


async def test_keywords_do_the_same_and_save_to_streams_to_a_file(connected, short_clip, tmp_path):
    service = scripted(short_clip)
    async with connected(service) as client:
        result = await client.queue.submit_and_poll(
            model="lucy-2.1", prompt="snow", data=short_clip, save_to=tmp_path / "out.mp4"
        )
    assert result.data.path == tmp_path / "out.mp4"
    assert result.data.job_id == "job_1"
    assert result.data.read() == short_clip.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize(("extra", "reason"), [({"error": "NSFW"}, "NSFW"), ({}, "Job failed")])
async def test_a_failed_job_is_a_result_with_its_reason(connected, short_clip, extra, reason):
    service = scripted(short_clip, status=[job("failed", **extra)])
    async with connected(service) as client:
        result = await client.queue.submit_and_poll(
            model="lucy-2.1", prompt="snow", data=short_clip
        )
    assert (result.status, result.error, result.data) == ("failed", reason, None)
    assert service.count("content") == 0


async def test_callbacks_may_be_coroutines_and_may_fail(connected, short_clip):
    service = scripted(short_clip)
    seen = []

    async def notify(job):
        await asyncio.sleep(0)
        seen.append(job.status)
        raise RuntimeError("my bug")

    async with connected(service) as client:
        await client.queue.submit_and_poll(
            model="lucy-2.1", prompt="snow", data=short_clip, on_status_change=notify
        )
    assert seen == ["pending", "processing", "completed"]


async def test_a_status_nobody_has_heard_of_is_kept_word_for_word_and_polled_on(
    connected, short_clip
):
    service = scripted(short_clip, status=[job("Moderating"), job("Moderating"), job("completed")])
    seen = []
    async with connected(service) as client:
        done = await client.queue.wait("job_1", on_status_change=lambda j: seen.append(j.status))
    assert done.status == "completed"
    assert seen == ["Moderating", "completed"]


async def test_polling_starts_soon_and_settles_at_two_seconds(connected, clock, short_clip):
    service = scripted(short_clip, status=[job("processing")] * 12 + [job("completed")])
    async with connected(service) as client:
        await client.queue.wait("job_1")
    assert clock.slept[0] == 0.5
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == 2.0


async def test_a_finished_job_is_not_asked_about_again(connected, short_clip):
    service = scripted(short_clip)
    from decart_lab.contract.responses import Job

    async with connected(service) as client:
        await client.queue.wait(Job(job_id="job_1", status="completed"))
    assert service.calls == []


async def test_a_poll_that_fails_is_only_made_again(connected, short_clip):
    service = scripted(
        short_clip,
        status=[refusal(503), refusal(500), refusal(404), refusal(429), job("completed")],
    )
    async with connected(service) as client:
        done = await client.queue.wait("job_1")
    assert done.status == "completed"
    assert service.count("status") == 5


async def test_a_poll_waits_as_long_as_the_service_asks(connected, clock, short_clip):
    service = scripted(short_clip, status=[refusal(429, retry_after="30"), job("completed")])
    async with connected(service) as client:
        await client.queue.wait("job_1")
    assert 30.0 in clock.slept


async def test_a_job_the_service_keeps_denying_is_lost(connected, short_clip):
    service = scripted(short_clip, status=[refusal(404)])
    async with connected(service) as client:
        with pytest.raises(JobLostError) as caught:
            await client.queue.wait("job_1")
    assert isinstance(caught.value, QueueStatusError)
    assert caught.value.job_id == "job_1"
    assert service.count("status") == 4


async def test_a_senseless_answer_to_a_poll_may_be_a_hiccup_but_four_are_not(connected, short_clip):
    page = HTMLResponse("<h1>Just a moment</h1>")
    service = scripted(short_clip, status=[page, page, page, job("completed")])
    async with connected(service) as client:
        assert (await client.queue.wait("job_1")).status == "completed"
    service = scripted(short_clip, status=[page])
    async with connected(service) as client:
        with pytest.raises(ResponseError) as caught:
            await client.queue.wait("job_1")
    assert caught.value.job_id == "job_1"
    assert service.count("status") == 4


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"code": 7, "message": "NSFW"}, '{"code": 7, "message": "NSFW"}'),
        (["NSFW"], '["NSFW"]'),
        ("two\nlines\x1b[31m", "two lines [31m"),
        ("x" * 5000, "x" * 497 + "..."),
    ],
)
async def test_a_reason_of_any_shape_is_one_bounded_printable_line(
    connected, short_clip, error, told
):
    service = scripted(short_clip, status=[job("failed", error=error)])
    async with connected(service) as client:
        result = await client.queue.submit_and_poll(
            model="lucy-2.1", prompt="snow", data=short_clip
        )
    assert (result.status, result.error) == ("failed", told)


async def test_a_refused_key_ends_the_wait_at_once(connected, short_clip):
    service = scripted(short_clip, status=[refusal(401)])
    async with connected(service) as client:
        with pytest.raises(AuthError) as caught:
            await client.queue.wait("job_1")
    assert isinstance(caught.value, QueueStatusError)
    assert caught.value.job_id == "job_1"
    assert service.count("status") == 1


async def test_the_wait_ends_just_after_the_services_own_ten_minutes_and_keeps_the_ticket(
    connected, clock, short_clip
):
    service = scripted(short_clip, status=[job("processing")])
    async with connected(service) as client:
        with pytest.raises(DeadlineError, match=r"queue\.wait\('job_1'\)") as caught:
            await client.queue.submit_and_poll(model="lucy-2.1", prompt="x", data=short_clip)
    assert isinstance(caught.value, QueueStatusError)
    assert caught.value.job_id == "job_1"
    assert 600 < DEFAULT_WAIT_S <= clock.now() < DEFAULT_WAIT_S + 5


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
async def test_a_wait_must_have_some_time(connected, short_clip, timeout_s):
    async with connected(scripted(short_clip)) as client:
        with pytest.raises(InvalidInputError) as caught:
            await client.queue.wait("job_1", timeout_s=timeout_s)
    assert caught.value.field == "timeout_s"


IDS = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a%2fb",
    "a?b=c",
    "a#b",
    "a b",
    "a\r\nx: y",
    "é",
    "a..b",
    "x" * 201,
    "-a",
    None,
    5,
]


@pytest.mark.parametrize("job_id", IDS)
async def test_an_id_that_could_change_the_route_is_refused(connected, short_clip, job_id):
    service = scripted(short_clip)
    async with connected(service) as client:
        for call in (client.queue.status, client.queue.result, client.queue.wait):
            with pytest.raises(InvalidInputError):
                await call(job_id)
    assert service.calls == []


@pytest.mark.parametrize("job_id", ["../../etc", "a/b", "", "x" * 500])
async def test_a_ticket_that_cannot_be_used_says_that_the_job_was_taken(
    connected, short_clip, job_id
):
    service = scripted(short_clip, submit=[{"job_id": job_id, "status": "pending"}])
    async with connected(service) as client:
        with pytest.raises(QueueSubmitError, match="took the job") as caught:
            await client.queue.submit(model="lucy-2.1", prompt="x", data=short_clip)
    assert isinstance(caught.value, ResponseError)
    assert caught.value.data["accepted"] is True


@pytest.mark.parametrize(
    "answer",
    [
        HTMLResponse("<p>Welcome</p>"),
        Response(b'{"job_id": "jo', media_type="application/json"),
        JSONResponse(["job_1"]),
        JSONResponse({"id": "job_1"}),
        JSONResponse({"job_id": 5, "status": "pending"}),
        Response(b"[" * 100_000, media_type="application/json"),
        Response(b"\xff\xfe", media_type="application/json"),
        Response(status_code=204),
    ],
)
async def test_a_submission_with_an_answer_that_makes_no_sense_is_made_once(
    connected, short_clip, answer
):
    service = scripted(short_clip, submit=[answer])
    async with connected(service) as client:
        with pytest.raises(QueueSubmitError) as caught:
            await client.queue.submit(model="lucy-2.1", prompt="x", data=short_clip)
    assert isinstance(caught.value, ResponseError)
    assert caught.value.data["accepted"] is True
    assert service.count("submit") == 1


async def test_a_status_about_another_job_is_refused(connected, short_clip):
    service = scripted(short_clip, status=[{"job_id": "job_2", "status": "completed"}])
    async with connected(service) as client:
        with pytest.raises(QueueStatusError, match="another job"):
            await client.queue.status("job_1")


async def test_status_is_repeated_while_the_service_stumbles(connected, short_clip):
    service = scripted(short_clip, status=[refusal(502), refusal(429), job("processing")])
    async with connected(service) as client:
        assert (await client.queue.status("job_1")).status == "processing"


async def test_an_unknown_job_is_not_found(connected, short_clip):
    service = scripted(short_clip, status=[refusal(404)], content=[refusal(404)])
    async with connected(service) as client:
        with pytest.raises(NotFoundError) as caught:
            await client.queue.status("job_1")
        assert isinstance(caught.value, QueueStatusError)
        with pytest.raises(NotFoundError) as caught:
            await client.queue.result("job_1")
        assert isinstance(caught.value, QueueResultError)
        assert caught.value.job_id == "job_1"


async def test_asking_too_early_for_a_result_says_to_wait(connected, short_clip):
    service = scripted(short_clip, content=[refusal(409)])
    async with connected(service) as client:
        with pytest.raises(RejectedError, match=r"queue\.wait"):
            await client.queue.result("job_1")


async def test_a_result_that_breaks_off_is_fetched_again_from_its_start(
    connected, clock, short_clip, tmp_path
):
    from ..helpers.serve import read_request, serve_raw

    whole = short_clip.read_bytes()
    tries = []

    def handle(connection):
        read_request(connection)
        tries.append(1)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(whole))
        connection.sendall(whole if len(tries) == 3 else whole[: len(whole) // 2])

    from decart_lab import DecartClient

    with serve_raw(handle) as url:
        async with DecartClient("dct_0123456789", base_url=url, clock=clock) as client:
            media = await client.queue.result("job_1", save_to=tmp_path / "out.mp4")
    assert media.read() == whole
    assert len(tries) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


async def test_a_result_cut_off_without_a_stated_length_is_found_out(
    connected, tmp_path, short_clip
):
    from decart_lab import DecartClient

    from ..helpers.serve import read_request, serve_raw

    def handle(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + short_clip.read_bytes()[:-5000])

    with serve_raw(handle) as url:
        async with DecartClient("dct_0123456789", base_url=url) as client:
            with pytest.raises(QueueResultError, match="damaged"):
                await client.queue.result("job_1", save_to=tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


async def test_a_result_replaces_an_older_file_only_when_it_is_whole(
    connected, short_clip, tmp_path
):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"older")
    service = scripted(short_clip, content=[refusal(404), FileResponse(short_clip)])
    async with connected(service) as client:
        with pytest.raises(QueueResultError):
            await client.queue.result("job_1", save_to=target)
        assert target.read_bytes() == b"older"
        await client.queue.result("job_1", save_to=target)
    assert target.read_bytes() == short_clip.read_bytes()


async def test_a_saved_result_is_handed_over_in_the_thread_that_wrote_it(
    connected, short_clip, tmp_path
):
    target, seen = tmp_path / "out.mp4", []

    def place(path, sha256):
        seen.append((path.read_bytes(), sha256, threading.get_ident()))
        raise StoreError("There is no room where it should go.")

    service = scripted(short_clip, content=[FileResponse(short_clip)])
    async with connected(service) as client:
        with pytest.raises(StoreError, match="no room"):
            await client.queue.result("job_1", save_to=target, when_saved=place)
    [(content, sha256, thread)] = seen
    assert content == short_clip.read_bytes() == target.read_bytes()
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert thread != threading.get_ident()


async def test_image_models_go_by_the_queue_only_when_asked_to(connected, cat):
    service = Service(
        submit=[job("pending")], status=[job("completed")], content=[cat.read_bytes()]
    )
    async with connected(service) as client:
        with pytest.raises(InvalidInputError, match="process"):
            await client.queue.submit(model="lucy-image-2", prompt="x", data=cat)
        with pytest.raises(InvalidInputError, match="image_route"):
            await client.queue.submit(
                model="lucy-image-2", prompt="x", data=cat, image_route="sideways"
            )
        result = await client.queue.submit_and_poll(
            model="lucy-image-2", prompt="x", data=cat, image_route="queue"
        )
    assert result.data == cat.read_bytes()


@pytest.mark.parametrize(
    "path", ["/../admin", "//evil.example.com/x", "/v1/jobs/x?y", "v1", "/v1/jobs/é"]
)
async def test_an_inline_definition_cannot_lead_off_the_services_paths(connected, short_clip, path):
    service = scripted(short_clip)
    model = ModelDefinition("lucy-9", queue_path=path)
    async with connected(service) as client:
        with pytest.raises(InvalidInputError, match="plain path"):
            await client.queue.submit(model=model, prompt="x", data=short_clip)
    assert service.calls == []


async def test_an_inline_definition_sends_whatever_it_is_given(connected, short_clip):
    service = scripted(short_clip)
    async with connected(service) as client:
        await client.queue.submit(model=ModelDefinition("lucy-9"), mood="calm", data=short_clip)
    assert service.forms[0]["mood"] == "calm"


async def test_an_input_longer_than_the_model_takes_is_refused(connected, short_clip):
    from dataclasses import replace

    service = scripted(short_clip)
    model = replace(models.video("lucy-restyle-2"), max_input_s=1.0)
    async with connected(service) as client:
        with pytest.raises(InvalidInputError, match="trim"):
            await client.queue.submit(model=model, prompt="x", data=short_clip)
    assert service.calls == []
