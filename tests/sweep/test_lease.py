"""One owner at a time: who may take a run over, and what becomes of the one before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from decart_lab.errors import LeaseError, StoreError
from decart_lab.sweep import _writer, lease
from decart_lab.sweep.journal import JOURNAL_NAME, Journal
from decart_lab.sweep.lease import Moment, Owner

from .journals import PRICE, buy, held, planned

pytestmark = pytest.mark.anyio

HOLD = """
import sys, asyncio
from pathlib import Path
from decart_lab.sweep.journal import Journal
journal = Journal.open(Path(sys.argv[1]))
lease = journal.acquire()
print("none" if lease is None else lease.epoch, flush=True)
for line in sys.stdin:
    if line.strip() == "intent":
        try:
            asyncio.run(journal.intent(lease, "a", reserve_usd=0.01))
            print("bought", flush=True)
        except Exception as error:
            print(type(error).__name__, flush=True)
    else:
        journal.close()
        break
"""


class Kernel:
    """Another process that tries to hold a run."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def said(self) -> str:
        """Its next line."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def tell(self, word: str) -> None:
        """Give it an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def dead(self) -> None:
        """Wait until it has ended, and leave it as the zombie that nobody has asked after."""
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)

    def end(self) -> None:
        """Wait until it has gone, at its own time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture
def folder(tmp_path):
    planned(tmp_path / "r", "a", "b").close()
    return tmp_path / "r"


def test_two_kernels_cannot_hold_one_run_and_the_second_sees_who_does(folder):
    first = Kernel(folder)
    assert first.said() == "1"
    with Journal.open(folder) as journal:
        assert journal.acquire() is None
        holder = journal.holder()
        assert holder is not None
        assert holder.pid != os.getpid()
        assert not holder.certainly_dead()
        first.tell("close")
        first.end()
        assert journal.holder() is None
        taken = journal.acquire()
        assert taken is not None
        assert taken.epoch == 2


def test_a_run_that_was_being_taken_at_an_interrupt_is_nobody_s(folder):
    """Else the next cell would hear that another kernel has it, which is this one."""
    begun, slow_disk = threading.Event(), threading.Event()

    def take_long(_):
        begun.set()
        slow_disk.wait(10)

    with Journal.open(folder) as journal:
        journal._put(take_long)
        assert begun.wait(10)

        def interrupt():
            while not journal._writing._jobs:
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            journal.acquire()
        slow_disk.set()
    with Journal.open(folder) as journal:
        assert journal.holder() is None
        assert journal.acquire() is not None


def test_a_run_whose_kernel_was_killed_is_taken_over_at_once(folder):
    first = Kernel(folder)
    assert first.said() == "1"
    first.tell("intent")
    assert first.said() == "bought"
    first.signal(signal.SIGKILL)
    first.end()
    with Journal.open(folder) as journal:
        taken = journal.acquire()
        assert taken is not None
        assert taken.epoch == 2
        assert journal.row("a")["status"] == "in_doubt"


def test_a_killed_kernel_nobody_has_waited_for_yet_counts_as_dead(folder):
    first = Kernel(folder)
    assert first.said() == "1"
    first.signal(signal.SIGKILL)
    first.dead()
    with Journal.open(folder) as journal:
        assert journal.acquire() is not None
    first.end()


def test_a_kernel_that_sleeps_loses_the_run_after_missed_beats_and_buys_nothing_when_it_wakes(
    folder,
):
    first = Kernel(folder)
    assert first.said() == "1"
    first.signal(signal.SIGSTOP)
    with Journal.open(folder) as journal:
        soon, late = Moment.now(), Moment.now()
        late = replace(late, monotonic_s=late.monotonic_s + 31, wall_s=late.wall_s + 31)
        assert journal.acquire(now=soon) is None
        taken = journal.acquire(now=late)
        assert taken is not None
        assert taken.epoch == 2
        first.signal(signal.SIGCONT)
        first.tell("intent")
        assert first.said() == "LeaseError"
        assert journal.row("a")["status"] == "planned"
        first.tell("close")
        first.end()
        assert journal.heartbeat(taken)  # it did not take ours with it
        assert journal.holder() == taken.owner


def test_a_clock_that_is_set_forward_takes_the_run_from_nobody_on_this_machine(tmp_path):
    journal, _ = held(tmp_path / "r", "a")
    with Journal.open(tmp_path / "r") as other:
        now = Moment.now()
        assert other.acquire(now=replace(now, wall_s=now.wall_s + 86_400)) is None
    journal.close()


def test_an_owner_on_another_machine_is_judged_by_its_silence_alone(tmp_path):
    journal = planned(tmp_path / "r", "a")
    elsewhere = replace(Owner.here(), host="elsewhere", boot_id="other", pid=1)
    assert journal.acquire(elsewhere) is not None
    with Journal.open(tmp_path / "r") as other:
        now = Moment.now()
        assert other.acquire(now=now) is None
        assert other.holder() == elsewhere
        assert other.acquire(now=replace(now, wall_s=now.wall_s + 31)) is not None
    journal.close()


def test_a_pid_that_is_used_again_is_not_the_owner():
    me = Owner.here()
    assert not me.certainly_dead()
    if me.started:
        assert replace(me, started="1").certainly_dead()
    assert replace(me, boot_id="an earlier start").certainly_dead()
    assert not replace(me, boot_id="an earlier start", host="elsewhere").certainly_dead()


async def test_every_step_about_money_asks_for_the_current_epoch(tmp_path):
    journal, old = held(tmp_path / "r", "a", "b")
    attempt = await journal.intent(old, "a", reserve_usd=PRICE)
    journal.release(old)
    new = journal.acquire()
    assert new is not None
    assert new.epoch == old.epoch + 1
    for step in (
        journal.intent(old, "b", reserve_usd=PRICE),
        journal.done(old, attempt),
        journal.stored(old, attempt),
        journal.ended(old, attempt, "failed"),
        journal.set_budget(old, 5.0),
    ):
        with pytest.raises(LeaseError):
            await step
    assert journal.row("a")["status"] == "in_doubt"
    assert not journal.heartbeat(old)
    await buy(journal, new, "b")
    journal.close()


def test_without_the_run_nothing_is_recorded(folder):
    with Journal.open(folder) as journal, pytest.raises(LeaseError, match="nobody"):
        journal.note("status", "a", polls=1)


async def test_the_journals_own_thread_keeps_the_lease_alive(tmp_path, monkeypatch):
    monkeypatch.setattr("decart_lab.sweep._holding.BEAT_S", 0.02)
    journal, taken = held(tmp_path / "r", "a")

    def beat() -> float:
        return journal._read("SELECT monotonic_s FROM lease")[0][0]

    first = beat()
    for _ in range(200):
        if beat() > first:
            break
        await asyncio.sleep(0.01)
    assert beat() > first
    journal.release(taken)
    journal.close()


async def test_a_journal_that_somebody_is_writing_to_is_waited_for_and_can_be_read(tmp_path):
    journal, held_by_us = held(tmp_path / "r", "a")
    with contextlib.closing(sqlite3.connect(tmp_path / "r" / JOURNAL_NAME)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.ensure_future(journal.intent(held_by_us, "a", reserve_usd=PRICE))
        await asyncio.sleep(0)
        assert journal.row("a")["status"] == "planned"
        other.execute("COMMIT")
        assert (await task).number == 1
        journal._writer._db.execute("PRAGMA busy_timeout=1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await asyncio.wrap_future(journal._put(lambda _: None))
        other.execute("COMMIT")
    journal.close()


def test_what_a_lease_says_of_a_machine_is_read_where_the_system_has_it():
    assert lease.started(os.getpid()) == lease.started(os.getpid())
    assert lease.started(2**22 + 1) == ""
    assert _writer.BATCH_S < lease.BEAT_S < lease.TAKEOVER_AFTER_S


def test_a_run_is_abandoned_when_its_holder_is_dead_or_silent_and_not_when_it_gave_it_back(folder):
    with Journal.open(folder, readonly=True) as journal:
        assert not journal.abandoned()
        first = Kernel(folder)
        assert first.said() == "1"
        now = Moment.now()
        assert not journal.abandoned()
        assert not journal.abandoned(now=replace(now, monotonic_s=now.monotonic_s + 29))
        assert journal.abandoned(now=replace(now, monotonic_s=now.monotonic_s + 31))
        first.tell("close")
        first.end()
        assert not journal.abandoned()
        second = Kernel(folder)
        assert second.said() == "2"
        second.signal(signal.SIGKILL)
        second.end()
        assert journal.abandoned()


async def test_a_lease_that_was_given_back_buys_nothing_though_nobody_has_taken_the_run(tmp_path):
    journal, old = held(tmp_path / "r", "a")
    journal.release(old)
    with pytest.raises(LeaseError, match="nobody"):
        await journal.intent(old, "a", reserve_usd=PRICE)
    assert journal.row("a")["status"] == "planned"
    journal.close()
