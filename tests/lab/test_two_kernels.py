"""Two kernels that want the same run, or the same points: one buys, the other waits for it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import decart_lab as dl
from decart_lab.emulator import emulator
from decart_lab.lab import opening
from decart_lab.lab.connect import connect
from decart_lab.media import samples
from tests.helpers.rest import eventually

CAT = samples.path("cat.jpg")
INK = {"model": "lucy-image-2", "prompt": "ink", "data": CAT}

BUY = """
import sys
import decart_lab as dl
lab = dl.connect(sys.argv[1])
run = lab.sweep(model="lucy-image-2", prompt="ink", data=sys.argv[2],
                seed=range(int(sys.argv[3]))).start(concurrency=1)
print(run.folder, flush=True)
if sys.stdin.readline().strip() == "stop":
    run.stop()
run.wait()
print("ended", flush=True)
"""


@pytest.fixture
def emu():
    with emulator(speed=20, render="canned") as running:
        yield running


@pytest.fixture
def lab(emu):
    with connect(emu.url) as made:
        yield made


class Other:
    """Another kernel that buys the pictures of so many seeds, one after the other."""

    def __init__(self, url: str, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BUY, url, str(CAT), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said()  # where it is connected
        self.folder = Path(self.said())

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def other(emu):
    made = []

    def begin(count):
        made.append(Other(emu.url, count))
        return made[-1]

    yield begin
    for one in made:
        one.kill()
        for pipe in (one.process.stdin, one.process.stdout):
            pipe.close()


def status(run):
    return Counter(run.df["status"].astype(str))


def test_a_sweep_that_waits_for_a_kernel_goes_on_itself_when_that_dies(lab, emu, other, capsys):
    first = other(40)
    eventually(lambda: len(emu.ledger) > 2)
    run = lab.sweep(**INK, seed=range(40)).start()
    assert (run.folder, run.running_here) == (first.folder, False)
    assert not run.wait(0.3)
    first.kill()
    assert run.wait(60)
    counts = status(run)
    assert counts["completed"] + counts["in_doubt"] == 40
    assert counts["in_doubt"] <= 1
    assert len(emu.ledger) <= 40
    assert f"The kernel that had run {run.run_id} has died" in capsys.readouterr().out


def test_a_run_that_was_only_opened_buys_nothing_when_its_kernel_dies(lab, emu, other):
    first = other(40)
    eventually(lambda: len(emu.ledger) > 2)
    run = dl.open_run(first.folder, lab=lab)
    first.kill()
    assert run.wait(60)
    time.sleep(0.2)  # in which it could buy
    assert status(run)["planned"] > 0
    assert len(emu.ledger) <= 40 - status(run)["planned"]


def test_a_run_that_its_own_kernel_has_stopped_is_not_gone_on_with_by_another(lab, emu, other):
    first = other(40)
    eventually(lambda: len(emu.ledger) > 2)
    run = lab.sweep(**INK, seed=range(40)).start()
    first.tell("stop")
    assert first.said() == "ended"
    assert run.wait(30)
    bought = len(emu.ledger)
    assert status(run)["planned"] == 40 - bought > 0
    assert not run.running_here


def test_points_that_another_run_is_buying_are_waited_for_and_bought_once(lab, emu, other, capsys):
    other(30)
    eventually(lambda: len(emu.ledger) > 2)
    run = lab.sweep(**INK, seed=range(20, 35)).run()
    assert status(run) == {"completed": 15}
    assert run.df["cached"].tolist() == [True] * 10 + [False] * 5
    assert len(emu.ledger) <= 35
    assert "10 points of this sweep: being bought by another run" in capsys.readouterr().out
    eventually(lambda: len(emu.ledger) == 35)


def test_points_that_a_dead_kernel_was_to_buy_are_bought_by_who_waits_for_them(lab, emu, other):
    first = other(60)
    eventually(lambda: len(emu.ledger) > 2)
    run = lab.sweep(**INK, seed=range(40, 62)).start()
    assert not run.wait(0.5)
    first.kill()
    assert run.wait(60)
    assert status(run) == {"completed": 22}
    assert len(emu.ledger) == len({entry.request_sha256 for entry in emu.ledger})


def test_a_stop_ends_the_waiting_for_another_run(lab, emu, other):
    other(60)
    eventually(lambda: len(emu.ledger) > 2)
    run = lab.sweep(**INK, seed=range(50, 62)).start()
    eventually(lambda: status(run)["completed"] == 2)
    run.stop()
    assert run.wait(10)
    assert status(run)["planned"] == 10


def test_two_equal_points_wait_together(lab, emu, other):
    other(30)
    eventually(lambda: len(emu.ledger) > 2)
    opening._open.clear()
    models = ["lucy-image-2", "lucy-image-latest"]
    run = lab.sweep(model=models, prompt="ink", data=CAT, seed=range(25, 30)).run()
    assert status(run) == {"completed": 10}
    eventually(lambda: len(emu.ledger) == 30)
