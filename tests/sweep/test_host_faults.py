"""A sweep on a disk that fills up, may not be written, or goes away: nothing paid for is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from decart_lab.emulator import emulator
from decart_lab.errors import StoreError
from decart_lab.media import samples
from decart_lab.sweep.journal import Journal
from tests.helpers.clips import moving, write_clip
from tests.helpers.disk import CLIENT_FAULTS, small_disk
from tests.helpers.sweeping import Bench, bench

pytestmark = pytest.mark.anyio

SPEED = 60
PICTURE = {"model": "lucy-image-2", "data": samples.path("cat.jpg")}


@pytest.fixture
def emu():
    with emulator(speed=SPEED, render="canned") as running:
        yield running


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return {"model": "lucy-2.1", "data": write_clip(path, moving(10, 128, 96), fps=20)}


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


async def ends(it: Bench) -> None:
    """Run to the end, which may be an error of the store or a pause that says why."""
    try:
        await it.runner.run()
    except StoreError:
        return
    assert it.runner.paused_because


async def goes_on(it: Bench) -> list[dict]:
    """Go on when all is well again."""
    it.runner.resume()
    rows = await it.rows()
    it.journal.close()
    return rows


WHILE_OPEN = [fault for fault in CLIENT_FAULTS if fault.name != "read_only"]
"""A disk that holds a file open for writing cannot be made read-only."""


@pytest.mark.parametrize("fault", WHILE_OPEN, ids=lambda fault: fault.name)
async def test_nothing_is_sent_when_the_intent_cannot_be_written(emu, disk, clip, fault):
    async with bench(emu.url, disk.path, prompt=["one", "two"], speed=SPEED, **clip) as it:
        for point in it.plan.runnable:
            it.store.keep_input(point.files["data"].prepared)
        with fault.strike(disk, it.store.folder):
            await ends(it)
            assert len(emu.ledger) == 0
        assert {row["status"] for row in it.journal.rows()} == {"planned"}
        rows = await goes_on(it)
    assert {row["status"] for row in rows} == {"completed"}
    assert len(emu.ledger) == 2


async def test_a_run_on_a_disk_that_may_not_be_written_can_be_looked_at(emu, disk, clip):
    async with bench(emu.url, disk.path, prompt="one", speed=SPEED, **clip) as it:
        it.journal.close()
        with disk.read_only():
            with Journal.open(it.store.folder, readonly=True) as journal:
                assert [row["status"] for row in journal.rows()] == ["planned"]
            with pytest.raises(StoreError, match="may not be written"):
                Journal.open(it.store.folder)
    assert len(emu.ledger) == 0


async def test_a_job_id_that_finds_no_room_is_not_lost(emu, disk, clip):
    emu.faults.add("slow_answer", route="jobs", wait_s=2 * SPEED)
    async with bench(emu.url, disk.path, prompt="one", speed=SPEED, **clip) as it:
        running = asyncio.create_task(ends(it))
        await until(lambda: len(emu.ledger) == 1)
        with disk.full():
            await running
        it.journal.close()
        emu.faults.clear()
        [entry] = emu.ledger
        with Journal.open(it.store.folder) as journal:
            assert journal.acquire() is not None
            [row] = journal.rows()
    assert (row["status"], row["job_id"]) == ("pending", entry.job_id)


@pytest.mark.parametrize("fault", WHILE_OPEN, ids=lambda fault: fault.name)
async def test_a_result_that_finds_no_room_is_fetched_when_there_is_some(emu, disk, clip, fault):
    emu.faults.add("job_stuck")
    async with bench(emu.url, disk.path, prompt="one", speed=SPEED, **clip) as it:
        running = asyncio.create_task(ends(it))
        await until(lambda: it.journal.rows()[0]["status"] == "processing")
        with fault.strike(disk, it.store.folder):
            emu.faults.clear()
            await running
        left = list((it.store.folder / "media").rglob("*"))
        assert [path for path in left if path.is_file()] == []
        assert it.journal.rows()[0]["status"] in ("pending", "processing")
        [row] = await goes_on(it)
    assert row["status"] == "completed"
    assert (it.store.folder / row["media"]).stat().st_size == row["media_bytes"]
    assert len(emu.ledger) == 1


async def test_a_picture_that_finds_no_room_is_in_doubt_and_not_bought_again(emu, disk):
    """It is answered at once, and cannot be fetched again: the money is spent or it is not."""
    emu.faults.add("slow_answer", route="generate", wait_s=2 * SPEED)
    async with bench(emu.url, disk.path, prompt="one", speed=SPEED, **PICTURE) as it:
        running = asyncio.create_task(ends(it))
        await until(lambda: len(emu.ledger) == 1)
        with disk.full():
            await running
        emu.faults.clear()
        it.journal.close()
        with Journal.open(it.store.folder) as journal:
            assert journal.acquire() is not None
            [row] = journal.rows()
    assert row["status"] == "in_doubt"
    assert len(emu.ledger) == 1
