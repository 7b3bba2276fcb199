"""A process that may write no more, or open no more: nothing is sent, or what was paid is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from decart_lab.emulator import emulator
from tests.helpers.clips import moving, write_clip

pytest.importorskip("resource", reason="the limits are POSIX's")

ROOT = Path(__file__).parents[2]
RUN = """
import asyncio, contextlib, json, resource, signal, sys
from pathlib import Path
from decart_lab.errors import DecartSDKError, StoreError
from decart_lab.sweep.engine import Runner, Settings
from decart_lab.sweep.journal import Journal
from tests.helpers.sweeping import bench

url, folder, clip, limit, when = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
kind = getattr(resource, limit)
low = {"RLIMIT_FSIZE": 4096, "RLIMIT_NOFILE": 0}[limit]
most = resource.getrlimit(kind)

def tighten():
    resource.setrlimit(kind, (low, most[1]))

async def main():
    async with bench(url, Path(folder), model="lucy-2.1", prompt=["a", "b"], data=clip,
                     speed=50, options={"thumbs": False}) as it:
        for point in it.plan.runnable:
            it.store.keep_input(point.files["data"].prepared)
        if when == "intent":
            tighten()
        else:  # when the jobs are taken and before their results are there
            async def later():
                while sum(row["job_id"] is not None for row in it.journal.rows()) < 2:
                    await asyncio.sleep(0.005)
                tighten()
            tightening = asyncio.create_task(later())
        why = ""
        try:
            await it.runner.run()
        except DecartSDKError as error:
            why = type(error).__name__
        why = why or it.runner.paused_because
        first = [row["status"] for row in it.journal.rows()]
        resource.setrlimit(kind, most)
        print("first", json.dumps([why, first]), flush=True)
        with contextlib.suppress(StoreError):  # changes that were gathered and refused
            it.journal.close()
        journal = Journal.open(it.store.folder)
        lease = journal.acquire()
        runner = Runner(it.client, journal, lease, it.store, it.plan.runnable,
                        settings=Settings(thumbs=False))
        await runner.run()
        print("then", json.dumps([runner.paused_because, [r["status"] for r in journal.rows()]]))
        journal.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["intent", "result"])
@pytest.mark.parametrize("limit", ["RLIMIT_FSIZE", "RLIMIT_NOFILE"])
def test_a_process_at_its_limit_sends_nothing_or_keeps_what_it_paid_for(tmp_path, limit, when):
    clip = write_clip(tmp_path / "clip.mp4", moving(10, 128, 96), fps=20)
    with emulator(speed=5, render="canned") as emu:
        done = subprocess.run(
            [sys.executable, "-c", RUN, emu.url, str(tmp_path), str(clip), limit, when],
            capture_output=True, text=True, check=False, timeout=120, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        why, first = json.loads(said["first"])
        bought = Counter(entry.request_sha256 for entry in emu.ledger)
    assert why, "it has to say that it stopped"
    assert set(first) <= ({"planned"} if when == "intent" else {"pending", "processing"})
    assert json.loads(said["then"]) == ["", ["completed"] * 2]
    assert set(bought.values()) == {1}
    assert len(bought) == 2
