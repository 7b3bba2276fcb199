"""Whatever goes wrong, in whatever order, and however often a run is left and taken up again."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decart_lab.emulator import emulator
from decart_lab.media import samples
from decart_lab.sweep.grid import Grid
from tests.helpers.sweeping import bench

CAT, CLIP = samples.path("cat.jpg"), samples.path("clip.mp4")
FAULTS = (
    *(("reset_after_body", "jobs"), ("accept_then_reset", "jobs"), ("rate_limited", "jobs")),
    *(("unavailable_silently", "jobs"), ("no_credits", "jobs"), ("accept_then_reset", "generate")),
    *(("rate_limited", "status"), ("reset_during_answer", "status"), ("job_failed", "status")),
    *(("truncated_content", "content"), ("content_missing", "content")),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(FAULTS), st.sampled_from(["run", "drain", "detach"])),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def emu():
    with emulator(speed=200, render="canned", capacity=64) as running:
        yield running


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, number=st.integers(0, 2**31))
def test_no_request_is_charged_twice_and_no_job_id_is_forgotten(emu, steps, number):
    asyncio.run(story(emu, steps, number))


async def story(emu, steps, number):
    grid = Grid.of(
        model=["lucy-image-2", "lucy-2.1"], prompt=f"ink {number}", data=[CAT, CLIP], seed=[1, 2, 3]
    )
    before, known = len(emu.ledger), {}
    with tempfile.TemporaryDirectory() as folder:
        async with bench(emu.url, Path(folder), grid, speed=200) as it:
            for (fault, route), how in [*steps, (("", ""), "run")]:
                emu.faults.clear()
                if fault:
                    emu.faults.add(fault, route=route, times=1)
                it.runner.resume()
                running = asyncio.create_task(it.runner.run())
                if how != "run":
                    await asyncio.sleep(0.05)
                    await it.runner.stop(how)
                await running
                rows = {row["point_id"]: row for row in it.journal.rows()}
                for point_id, job_id in known.items():
                    assert rows[point_id]["job_id"] == job_id
                known |= {key: row["job_id"] for key, row in rows.items() if row["job_id"]}
            assert it.journal.rebuild() == it.journal.rows()
            for row in rows.values():
                assert row["status"] in ("completed", "in_doubt", "failed"), row
                if row["status"] == "completed":
                    path = it.store.folder / row["media"]
                    assert path.stat().st_size == row["media_bytes"]
            entries = list(emu.ledger)[before:]
            assert max(Counter(entry.request_sha256 for entry in entries).values()) == 1
            charged = {entry.job_id for entry in entries if entry.job_id}
            assert set(known.values()) <= charged
            it.journal.close()
