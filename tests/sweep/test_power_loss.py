"""The power fails at every write of a run: what was said to be written down is there afterwards."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from decart_lab.emulator import emulator
from decart_lab.media import samples
from decart_lab.sweep.index import Index
from decart_lab.sweep.journal import Journal
from decart_lab.sweep.lock import read_lock
from tests.helpers.clips import moving, write_clip
from tests.helpers.power import CUTS, ForgetfulDisk, Step, can_record, record, write

RUN = """
import os, sys
import decart_lab as dl
from decart_lab.sweep import _crashpoints
url, marks, cat, clip = sys.argv[1:]
_crashpoints.arm(None, trace=os.open(marks, os.O_CREAT | os.O_WRONLY))
run = dl.connect(url).sweep(model=["lucy-image-2", "lucy-2.1"], prompt=["a", "b"],
                            data=[cat, clip]).run()
assert set(run.df["status"]) == {"completed"}, run.df
"""
POINTS = 4
WRITES = ("write", "pwrite64")
SHARE = 0.1
"""Of the writes between two syncs; what the syncs and the names leave is looked at each time."""

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture(scope="module")
def steps(tmp_path_factory) -> tuple[Path, Path, list[Step]]:
    """What a whole run did to its folder, the folder, and the file of marks."""
    if not can_record():
        pytest.skip("strace is not here, or may not watch a process")
    folder = tmp_path_factory.mktemp("power")
    clip = write_clip(folder / "clip.mp4", moving(10, 128, 96), fps=20)
    root, marks = folder / "root", folder / "marks"
    root.mkdir()
    with emulator(speed=300, render="canned") as emu:
        command = [sys.executable, "-c", RUN, emu.url, str(marks)]
        command += [str(samples.path("cat.jpg")), str(clip)]
        environment = os.environ | {"DECART_LAB_RUNS": str(root)}
        done = record(command, folder / "calls", env=environment)
    return root, marks, done


def lost(root: Path, passed: Counter[str]) -> list[str]:
    """What was promised before the cut, by the places passed, and is not kept after it."""
    with Index(root) as index:
        index.durations()  # it opens, whatever is left of it
    found = list(root.glob("*/journal.sqlite"))
    if not found:
        return ["the run is gone"] if passed["plan.after"] else []
    folder, wrong = found[0].parent, []
    journal = Journal.open(folder)
    with journal:
        if journal.acquire() is None:
            return ["the run cannot be taken"]
        rows, attempts = journal.rows(), journal.attempts()
        spent = journal.spent()
    points = read_lock(folder).points(row["point_id"] for row in rows)
    if len(rows) != POINTS or len(points) != POINTS:
        wrong.append(f"{len(rows)} points, and {len(points)} in the lock")
    if len(attempts) < passed["send.before"]:
        wrong.append(f"{passed['send.before']} requests were sent, {len(attempts)} intents kept")
    answered = [a for a in attempts if a["state"] in ("acked", "done", "stored")]
    if len(answered) < passed["ack.after"]:
        wrong.append(f"{passed['ack.after']} answers were written down, {len(answered)} kept")
    completed = [row for row in rows if row["status"] == "completed"]
    if len(completed) < passed["stored.after"]:
        wrong.append(f"{passed['stored.after']} results were stored, {len(completed)} kept")
    for row in completed:
        media = folder / row["media"]
        if not media.is_file():
            wrong.append(f"{row['media']} is gone")
        elif hashlib.sha256(media.read_bytes()).hexdigest() != row["media_sha256"]:
            wrong.append(f"{row['media']} is not what came")
    if len(attempts) and spent.spent + spent.reserved <= 0:
        wrong.append("the money is forgotten")
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("cut", CUTS)
def test_a_power_cut_at_any_write_loses_nothing_that_was_written_down(steps, cut, tmp_path):
    root, marks, done = steps
    disk, passed, cuts = ForgetfulDisk(root), Counter[str](), 0
    dice, before = random.Random(CUTS.index(cut)), None
    for step in done:
        if step.name == "write" and step.paths[0] == str(marks):
            passed.update(step.content.decode().split())
            continue
        if not disk.do(step) or (step.name in WRITES and dice.random() > SHARE):
            continue
        left = disk.after_a_cut(cut)
        if (left, passed) == before:
            continue
        before = (left, passed.copy())
        cuts += 1
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            write(left, Path(folder))
            assert lost(Path(folder), passed) == [], (cuts, step.name, step.paths)
    assert passed["stored.after"] == POINTS
    assert cuts > 20
    print(f"{cut}: {cuts} cuts")


def test_a_disk_that_forgets_forgets(tmp_path):
    disk, root = ForgetfulDisk(tmp_path), str(tmp_path)

    def step(name, path, *, content=b"", numbers=(), flags=""):
        disk.do(Step(name, (path,) if isinstance(path, str) else path, 3, content, numbers, flags))

    def left(how):
        return disk.after_a_cut(how)

    step("openat", f"{root}/a.part", flags="O_CREAT|O_WRONLY")
    step("write", f"{root}/a.part", content=b"what was synced")
    step("fsync", f"{root}/a.part")
    step("write", f"{root}/a.part", content=b", and more")
    step("rename", (f"{root}/a.part", f"{root}/a"))
    assert left("nothing unsynced") == {}
    assert left("names without content") == {"a": b"what was synced"}
    step("fsync", root)
    assert left("the last write torn") == {"a": b"what was synced, and"}
