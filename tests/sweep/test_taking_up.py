"""A run that was left half-way: what is paid is collected, and nothing is bought again."""

from __future__ import annotations

import asyncio

import pytest

from decart_lab.contract.states import PointStatus
from decart_lab.emulator import emulator
from decart_lab.media import samples
from decart_lab.sweep.engine import Runner, Settings
from decart_lab.sweep.grid import Grid
from decart_lab.sweep.journal import Journal
from tests.helpers.sweeping import SPEED, bench

pytestmark = pytest.mark.anyio

CAT, CLIP = samples.path("cat.jpg"), samples.path("clip.mp4")


@pytest.fixture
def emu():
    with emulator(speed=20, render="canned", capacity=64) as running:
        yield running


def clips(count):
    return Grid.of(model="lucy-2.1", prompt="ink", data=CLIP, seed=range(count))


async def reopened(it, client_of, **settings):
    """The same folder in another kernel: a journal opened anew, and a runner on it."""
    lease = it.journal.lease
    it.journal.release(lease)
    it.journal.close()
    journal = Journal.open(it.store.folder)
    taken = journal.acquire()
    assert taken is not None
    runner = Runner(
        client_of, journal, taken, it.store, it.plan.runnable, settings=Settings(**settings)
    )
    return journal, runner


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


async def test_detaching_leaves_the_jobs_at_the_service_and_another_kernel_collects_them(
    emu, tmp_path
):
    async with bench(emu.url, tmp_path, clips(6), speed=20) as it:
        running = asyncio.create_task(it.runner.run())
        await until(lambda: it.journal.tally().running >= 6)
        await it.runner.stop("detach")
        await running
        left = it.journal.rows()
        bought = len(emu.ledger)
        assert {row["status"] for row in left} <= {"pending", "processing", "completed"}
        assert all(row["job_id"] for row in left)
        journal, runner = await reopened(it, it.client)
        await runner.run()
        rows = journal.rows()
        journal.close()
    assert {row["status"] for row in rows} == {"completed"}
    assert [row["job_id"] for row in rows] == [row["job_id"] for row in left]
    assert len(emu.ledger) == bought == 6


async def test_draining_collects_what_is_paid_and_leaves_the_rest_planned(emu, tmp_path):
    options = {"concurrency": 3}
    async with bench(emu.url, tmp_path, clips(8), speed=20, options=options) as it:
        running = asyncio.create_task(it.runner.run())
        await until(lambda: len(emu.ledger) >= 2)
        left = await it.runner.stop("drain")
        await running
        counts = it.journal.tally().by_status
    assert counts == {"planned": left, "completed": 8 - left}
    assert len(emu.ledger) == 8 - left < 8


async def test_a_pause_ends_the_buying_and_a_resume_goes_on(emu, tmp_path):
    async with bench(emu.url, tmp_path, clips(12), speed=20) as it:
        running = asyncio.create_task(it.runner.run())
        await until(lambda: len(emu.ledger) >= 1)
        it.runner.pause()
        await running
        assert 0 < len(emu.ledger) < 12
        assert it.runner.paused_because
        it.runner.resume()
        rows = await it.rows()
    assert {row["status"] for row in rows} == {"completed"}
    assert len(emu.ledger) == 12


async def test_a_point_in_doubt_is_never_bought_by_itself(emu, tmp_path):
    emu.faults.add("accept_then_reset", route="jobs", times=1)
    async with bench(emu.url, tmp_path, clips(3), speed=20) as it:
        await it.rows()
        rows = await it.rows()  # run again: it stays as it is
        spent = it.journal.spent()
    assert sorted(row["status"] for row in rows) == ["completed", "completed", "in_doubt"]
    assert len(emu.ledger) == 3
    assert spent.in_doubt > 0


async def test_what_the_budget_does_not_cover_is_a_row_and_is_not_sent(emu, tmp_path):
    async with bench(emu.url, tmp_path, clips(5), speed=20) as it:
        price = it.plan.points[0].cost_estimate
    async with bench(
        emu.url, tmp_path / "other", clips(5), speed=20, options={"budget": 2.5 * price}
    ) as it:
        rows = await it.rows()
    counts = it.journal.tally().by_status
    assert counts == {"completed": 2, "skipped_budget": 3}
    assert sum(e.price for e in emu.ledger) <= 2.5 * price + 1e-9
    skipped = [row for row in rows if row["status"] == "skipped_budget"]
    assert {row["error_type"] for row in skipped} == {"BudgetError"}


async def test_a_picture_that_had_come_when_the_kernel_died_is_kept_and_not_bought_again(
    emu, tmp_path
):
    grid = Grid.of(model="lucy-image-2", prompt="ink", data=CAT)
    async with bench(emu.url, tmp_path, grid, speed=SPEED) as it:
        [row] = await it.rows()
        picture = (it.store.folder / row["media"]).read_bytes()
        (tmp_path / "two").mkdir()
    async with bench(emu.url, tmp_path / "two", grid, speed=SPEED) as it:
        # as a kernel leaves it that dies between the answer's row and the file's last name
        point = it.plan.points[0]
        attempt = await it.journal.intent(
            it.lease, point.point_id, reserve_usd=0.02, route="direct"
        )
        it.store.incoming("any")
        it.store.arrival_path(point.point_id, attempt.number).write_bytes(picture)
        await it.journal.done(it.lease, attempt, {"media_sha256": row["media_sha256"]})
        [kept] = await it.rows()
    assert (kept["status"], kept["media"]) == (PointStatus.COMPLETED, row["media"])
    assert len(emu.ledger) == 1


async def test_inputs_are_copied_once_so_that_the_folder_can_go_on_alone(emu, tmp_path):
    async with bench(emu.url, tmp_path, clips(4), speed=20) as it:
        [sha256] = {point.files["data"].sha256 for point in it.plan.points}
        await it.rows()
    [copy] = (it.store.folder / "inputs").iterdir()
    assert copy.name == f"{sha256}.mp4"
    assert copy.read_bytes() == CLIP.read_bytes()


async def test_no_more_than_the_window_is_ever_on_its_way(emu, tmp_path):
    grid = Grid.of(model="lucy-image-2", prompt="ink", data=CAT, seed=range(12))
    most = 0
    options = {"concurrency": 32, "window": 3}
    async with bench(emu.url, tmp_path, grid, speed=20, options=options) as it:
        running = asyncio.create_task(it.runner.run())
        while not running.done():
            most = max(most, it.journal.tally().by_status.get("submitting", 0))
            await asyncio.sleep(0.003)
        await running
    assert most == 3
