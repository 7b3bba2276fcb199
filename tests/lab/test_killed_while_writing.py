"""Killed while a table is exported, a run packed, or space given back: whole, or not there."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import time
import zipfile

import pandas as pd
import pytest

import decart_lab as dl
from decart_lab.emulator import emulator
from decart_lab.lab import opening
from decart_lab.lab.connect import connect
from decart_lab.media import samples

KILLS = 6
INK = {"model": "lucy-image-2", "prompt": "ink", "data": samples.path("cat.jpg")}

DO = """
import sys
import decart_lab as dl
from pathlib import Path
run = dl.open_run(sys.argv[1])
run.df  # what is slow to import is imported
target = Path(sys.argv[3])
strays = run.folder / "media" / "00"
print("begin", flush=True)
while True:
    if sys.argv[2] == "export":
        run.export(target)
    elif sys.argv[2] == "pack":
        run.pack(target)
    else:
        strays.mkdir(exist_ok=True)
        for number in range(200):
            (strays / f"{number}.png").write_bytes(b"nobody uses this")
        run.clear()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch, emulator(speed=200, render="canned") as emu:
        patch.setenv("DECART_LAB_RUNS", str(root))
        with connect(emu.url) as lab:
            yield lab.sweep(**INK, seed=range(60)).run().folder
    opening._open.clear()


@pytest.mark.parametrize(
    ("what", "name"), [("export", "points.csv"), ("pack", "run.zip"), ("clear", "none")]
)
def test_a_kill_leaves_the_whole_thing_or_what_was_there_before(folder, what, name, tmp_path):
    dice = random.Random(what)
    target = tmp_path / name
    opening._open.clear()
    before = dl.open_run(folder)
    frame = before.df
    reached = 0
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", DO, str(folder), what, str(target)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout.readline() == "begin\n"
        time.sleep(dice.uniform(0.0, 0.15))
        child.kill()
        child.wait()
        child.stdout.close()
        reached += any(tmp_path.iterdir()) or what == "clear"
        if target.exists() and what == "export":
            assert len(pd.read_csv(io.BytesIO(target.read_bytes()))) == 60
        elif target.exists():
            with zipfile.ZipFile(target) as file:
                assert file.testzip() is None
                assert sum(n.endswith("journal.sqlite") for n in file.namelist()) == 1
        opening._open.clear()
        run = dl.open_run(folder)
        pd.testing.assert_frame_equal(run.df, frame)
        assert all((folder / media).stat().st_size for media in run.df["media"])
        assert all((folder / thumb).stat().st_size for thumb in run.df["thumb"])
    assert reached
