"""The runner against a service that misbehaves in every way it can: each point ends as a row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from decart_lab._clock import AcceleratedClock
from decart_lab.api.client import DecartClient
from decart_lab.contract.states import PointStatus
from decart_lab.errors import InvalidInputError
from decart_lab.media import samples
from decart_lab.sweep._memory import Journal
from decart_lab.sweep.engine import Runner
from decart_lab.sweep.grid import Grid
from decart_lab.sweep.plan import Plan, build_plan
from decart_lab.sweep.store import Store
from tests.helpers.serve import read_request, reset, serve, serve_raw
from tests.sweep.scripted import Scripted

pytestmark = pytest.mark.anyio

CAT, CLIP = samples.path("cat.jpg"), samples.path("clip.mp4")
IMAGE, VIDEO = {"model": "lucy-image-2", "data": CAT}, {"model": "lucy-2.1", "data": CLIP}


class Bench:
    """A plan, its journal and its runner, on one client."""

    def __init__(self, client: DecartClient, plan: Plan, folder, clock, **options) -> None:
        self.plan, self.journal = plan, Journal()
        self.store = Store(folder / "run", folder)
        self.store.create()
        rows = ({**p.row(), "status": PointStatus.PLANNED} for p in plan.runnable)
        self.journal.plan(rows, datetime.now(UTC))
        self.runner = Runner(client, plan, self.journal, self.store, clock=clock, **options)

    async def rows(self):
        await self.runner.run()
        return self.journal.rows()


@asynccontextmanager
async def bench(url, folder, grid=None, *, options=None, **keywords) -> AsyncIterator[Bench]:
    clock = AcceleratedClock(300)
    plan = build_plan(grid or Grid.of(**keywords), service="test")
    async with DecartClient(api_key="k", base_url=url, clock=clock) as client:
        yield Bench(client, plan, folder, clock, **(options or {}))


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
        ("not allowed", "rejected", "submit", "AuthError", 403, "may not use"),
        ("breaks", "in_doubt", "submit", "ServerError", 500, "internal error"),
        ("odd answer", "in_doubt", "submit", "ResponseError", 200, ""),
        ("job fails", "failed", "poll", "JobFailedError", None, "too strange"),
        ("forgotten", "lost", "poll", "JobLostError", 404, "no longer knows"),
        ("never ends", "lost", "poll", "DeadlineError", None, "660 s"),
        ("content is text", "failed", "download", "ResponseError", 200, ""),
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


@pytest.mark.parametrize("prompt", ["no key", "no money"])
async def test_a_bad_key_or_an_empty_account_stops_the_run(service, tmp_path, prompt):
    grid = Grid.of(prompt=prompt, seed=range(20), **IMAGE)
    async with bench(service.url, tmp_path, grid, options={"concurrency": 2}) as it:
        rows = await it.rows()
    by_status = it.journal.tally().by_status
    assert by_status["rejected"] == service.bought[prompt] <= 4
    assert by_status["cancelled"] == 20 - by_status["rejected"]
    assert {row["error_type"] for row in rows} == {rows[0]["error_type"]}


async def test_no_more_points_are_in_flight_than_asked_for(service, tmp_path):
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
        stopped = await it.runner.stop()
        await running
        after = it.journal.tally()
    assert stopped == 40 - before.done - before.running == after.by_status["cancelled"]
    assert after.by_status["completed"] == before.done + before.running == service.bought["ink"]
    assert await it.runner.stop() == 0


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


async def test_a_disk_that_refuses_is_a_row(service, tmp_path):
    async with bench(service.url, tmp_path, prompt="ink", **VIDEO) as it:
        media = it.store.folder / "media"
        media.rmdir()
        media.write_text("in the way")
        [row] = await it.rows()
    assert (row["status"], row["error_type"]) == ("failed", "StoreError")
    assert not service.bought


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
    assert kinds[-1] == "done"
    assert kinds.index("ack") < kinds.index("done")
    assert [event.seq for event in it.journal.events()] == list(range(len(kinds)))
