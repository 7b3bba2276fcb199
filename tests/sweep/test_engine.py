"""The runner against a service that misbehaves in every way it can: each point ends as a row."""

from __future__ import annotations

import asyncio

import pytest

from decart_lab.errors import InvalidInputError
from decart_lab.media import samples
from decart_lab.sweep.grid import Grid
from tests.helpers.serve import read_request, reset, serve, serve_raw
from tests.helpers.sweeping import bench
from tests.sweep.scripted import Scripted

pytestmark = pytest.mark.anyio

CAT, CLIP = samples.path("cat.jpg"), samples.path("clip.mp4")
IMAGE, VIDEO = {"model": "lucy-image-2", "data": CAT}, {"model": "lucy-2.1", "data": CLIP}


@pytest.fixture
def service():
    scripted = Scripted(CLIP.read_bytes())
    with serve(scripted.app) as url:
        scripted.url = url
        yield scripted


async def test_pictures_and_clips_arrive_in_the_run_folder_by_content(service, tmp_path):
    grid = Grid.of(model=["lucy-image-2", "lucy-2.1"], prompt="ink", data=[CAT, CLIP], seed=[1, 2])
    async with bench(service.url, tmp_path, grid) as it:
        rows = await it.rows()
    assert [row["status"] for row in rows] == ["completed"] * 4
    assert {row["mime"] for row in rows} == {"image/png", "video/mp4"}
    for row in rows:
        path = it.store.folder / row["media"]
        assert path.stat().st_size == row["media_bytes"]
        assert row["media_sha256"] == path.stem
        assert path.parent.name == path.stem[:2]
        assert (it.store.folder / row["thumb"]).read_bytes()[8:12] == b"WEBP"
        assert row["cost"] == row["cost_estimate"] > 0
        assert row["total_s"] >= row["run_s"] >= 0
    clips = [row for row in rows if row["kind"] == "video"]
    assert clips[0]["media"] == clips[1]["media"]  # the same bytes, stored once
    assert clips[0]["polls"] == 4
    assert all(row["job_id"].startswith("job-") and row["queue_s"] > 0 for row in clips)
    pictures = [row for row in rows if row["kind"] == "image"]
    assert all(row.get("queue_s") is None and row.get("job_id") is None for row in pictures)
    assert not list((it.store.folder / "media" / "incoming").iterdir())


@pytest.mark.parametrize(
    ("prompt", "status", "phase", "error_type", "http", "says"),
    [
        ("refused", "rejected", "submit", "ModerationError", 422, "not this"),
        ("breaks", "in_doubt", "submit", "ServerError", 500, "internal error"),
        ("odd answer", "in_doubt", "submit", "ResponseError", 200, ""),
        ("job fails", "failed", "poll", "JobFailedError", None, "too strange"),
        ("forgotten", "lost", "poll", "JobLostError", 404, "no longer knows"),
        ("content is text", "processing", "download", "ResponseError", 200, "not a picture or"),
    ],
)
async def test_every_failure_of_a_job_is_a_row_that_says_what_and_where(
    service, tmp_path, prompt, status, phase, error_type, http, says
):
    async with bench(service.url, tmp_path, prompt=[prompt, "fine"], **VIDEO) as it:
        failed, fine = await it.rows()
    assert fine["status"] == "completed"
    found = [failed[name] for name in ("status", "error_phase", "error_type", "http_status")]
    assert found == [status, phase, error_type, http]
    assert says in failed["error_message"]
    assert service.bought[prompt] == 1  # whatever became of it, it was sent once
    assert failed.get("cost") is None


@pytest.mark.parametrize(("prompt", "polls"), [("hiccup", 4), ("late to appear", 4)])
async def test_a_poll_that_fails_says_nothing_about_the_job(service, tmp_path, prompt, polls):
    async with bench(service.url, tmp_path, prompt=prompt, **VIDEO) as it:
        [row] = await it.rows()
    assert row["status"] == "completed"
    assert row["polls"] == polls
    assert row.get("error_type") is None


@pytest.mark.parametrize(
    ("prompt", "status"),
    [("refused", "rejected"), ("breaks", "in_doubt"), ("odd answer", "in_doubt")],
)
async def test_failures_of_pictures_answered_at_once_are_rows_too(
    service, tmp_path, prompt, status
):
    async with bench(service.url, tmp_path, prompt=[prompt, "fine"], **IMAGE) as it:
        failed, fine = await it.rows()
    assert (failed["status"], fine["status"]) == (status, "completed")
    assert service.bought[prompt] == 1


async def test_a_lost_answer_leaves_the_point_in_doubt_and_is_not_sent_again(tmp_path):
    seen = []

    def swallow(connection):
        seen.append(read_request(connection))
        reset(connection)

    with serve_raw(swallow) as url:
        async with bench(url, tmp_path, prompt="ink", **IMAGE) as it:
            [row] = await it.rows()
    assert row["status"] == "in_doubt"
    assert row["error_type"] == "NetworkError"
    assert len(seen) == 1


async def test_a_service_that_is_not_there_was_sent_nothing(tmp_path):
    with serve_raw(reset) as url:
        pass  # the port is closed again
    async with bench(url, tmp_path, prompt="ink", **IMAGE) as it:
        [row] = await it.rows()
    assert (row["status"], row["error_type"]) == ("failed", "NetworkError")


@pytest.mark.parametrize("prompt", ["no key", "no money", "not allowed"])
async def test_a_bad_key_or_an_empty_account_pauses_the_run_and_changes_no_point(
    service, tmp_path, prompt
):
    grid = Grid.of(prompt=prompt, seed=range(20), **IMAGE)
    async with bench(service.url, tmp_path, grid, options={"concurrency": 2}) as it:
        rows = await it.rows()
        assert {row["status"] for row in rows} == {"planned"}
        assert 1 <= service.bought[prompt] <= 2  # those on their way when the answer came
        assert it.journal.spent().reserved == 0
        assert it.runner.paused_because
        again = await it.rows()  # still paused: nothing is sent
        assert (again, service.bought[prompt]) == (rows, service.bought[prompt])


async def test_a_paused_run_goes_on_when_the_account_is_mended(service, tmp_path):
    grid = Grid.of(prompt="no key", seed=range(5), **IMAGE)
    async with bench(service.url, tmp_path, grid) as it:
        await it.rows()
        service.mended.add("no key")
        it.runner.resume()
        rows = await it.rows()
    assert {row["status"] for row in rows} == {"completed"}
    assert {row["error_type"] for row in rows} == {None}


async def test_a_job_that_never_ends_is_left_to_be_taken_up_again(service, tmp_path):
    async with bench(
        service.url, tmp_path, prompt="never ends", options={"deadline_s": 60.0}, **VIDEO
    ) as it:
        [row] = await it.rows()
        assert (row["status"], service.bought["never ends"]) == ("processing", 1)
        asked = service.asked[row["job_id"]]
        service.mended.add("never ends")
        [row] = await it.rows()
    assert (row["status"], service.bought["never ends"]) == ("completed", 1)
    # a word that is not known is asked about ever more rarely
    assert asked < 20


async def test_as_many_points_are_in_flight_as_asked_for_and_never_more(service, tmp_path):
    service.together = 3  # how many meet by chance depends on the machine
    grid = Grid.of(prompt="ink", seed=range(24), **IMAGE)
    async with bench(service.url, tmp_path, grid, options={"concurrency": 3}) as it:
        await it.rows()
    assert sum(service.bought.values()) == 24
    assert service.most_active == 3


async def test_pictures_can_go_as_jobs(service, tmp_path):
    service.clip = CLIP.read_bytes()
    grid = Grid.of(prompt="ink", **IMAGE)
    async with bench(service.url, tmp_path, grid, options={"image_route": "queue"}) as it:
        [row] = await it.rows()
    assert row["job_id"].startswith("job-")


async def test_stopping_keeps_what_is_under_way_and_buys_nothing_more(service, tmp_path):
    grid = Grid.of(prompt="ink", seed=range(40), **IMAGE)
    async with bench(service.url, tmp_path, grid, options={"concurrency": 2}) as it:
        running = asyncio.create_task(it.runner.run())
        while it.journal.tally().done < 4:
            await asyncio.sleep(0.005)
        before = it.journal.tally()
        left = await it.runner.stop()
        await running
        after = it.journal.tally()
        assert left == after.by_status["planned"] >= 40 - before.done - before.running - 2
        assert after.by_status["completed"] == service.bought["ink"] == 40 - left
        rows = await it.rows()  # and it can go on
    assert {row["status"] for row in rows} == {"completed"}
    assert service.bought["ink"] == 40


async def test_twins_share_what_was_bought_once(service, tmp_path):
    grid = Grid.of(model="lucy-image-2", prompt=["ink", "refused"], data=[CAT, str(CAT)])
    async with bench(service.url, tmp_path, grid) as it:
        first, twin, refused, other = await it.rows()
    assert service.bought == {"ink": 1, "refused": 1}
    assert twin["cached"] is True
    assert (twin["status"], twin["cost"], twin["media"]) == ("completed", 0.0, first["media"])
    assert first["cached"] is False
    assert (refused["status"], other["status"]) == ("rejected", "cancelled")
    assert refused["point_id"] in other["error_message"]


async def test_an_input_that_changes_under_way_is_a_row_and_nothing_is_sent(service, tmp_path):
    data = tmp_path / "cat.jpg"
    data.write_bytes(CAT.read_bytes())
    grid = Grid.of(model="lucy-image-2", prompt="ink", data=data)
    async with bench(service.url, tmp_path, grid) as it:
        data.unlink()
        [row] = await it.rows()
    assert row["status"] == "failed"
    assert not service.bought


async def test_a_disk_that_refuses_pauses_the_run_before_anything_is_bought(service, tmp_path):
    async with bench(service.url, tmp_path, prompt="ink", **VIDEO) as it:
        media = it.store.folder / "media"
        media.rmdir()
        media.write_text("in the way")
        [row] = await it.rows()
        assert row["status"] == "planned"
        assert "cannot be written" in it.runner.paused_because
        assert not service.bought
        media.unlink()
        it.runner.resume()
        [row] = await it.rows()
    assert row["status"] == "completed"


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"concurrency": 2.5}, {"concurrency": True}, {"image_route": "x"}],
)
async def test_settings_that_cannot_be_are_refused(service, tmp_path, options):
    with pytest.raises(InvalidInputError):
        async with bench(service.url, tmp_path, prompt="ink", options=options, **IMAGE):
            pass


async def test_the_journal_tells_the_story_in_order(service, tmp_path):
    async with bench(service.url, tmp_path, prompt="ink", **VIDEO) as it:
        await it.rows()
    kinds = [event.kind for event in it.journal.events()]
    assert kinds[0] == "planned"
    assert kinds[1] == "intent"
    assert kinds.index("ack") < kinds.index("done") < kinds.index("stored")
    assert it.journal.rebuild() == it.journal.rows()
