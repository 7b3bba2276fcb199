"""The engine: coroutines from blocking code, interrupts, callbacks, fork and exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import pytest

from decart_lab._engine import Engine, engine
from decart_lab.errors import DecartSDKError


async def add(a, b=0):
    await asyncio.sleep(0)
    return a + b


def test_a_coroutine_runs_to_its_result_with_its_arguments():
    assert engine().run(add, 1, b=2) == 3


def test_an_exception_comes_back_as_it_was():
    async def fail():
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        engine().run(fail)


def test_all_work_happens_on_one_thread_that_is_not_ours():
    async def where():
        return threading.get_ident()

    assert engine().run(where) == engine().run(where) != threading.get_ident()
    assert engine() is engine()


def test_it_works_inside_a_running_loop():
    async def cell():
        return engine().run(add, 2, b=3)

    assert asyncio.run(cell()) == 5


def test_a_blocking_call_from_the_engines_own_loop_is_refused_at_once():
    async def inner():
        return engine().run(add, 1)

    with pytest.raises(DecartSDKError, match="own loop") as caught:
        engine().run(inner)
    assert "await" in caught.value.hint


def test_start_returns_a_future_whose_cancel_cancels_the_coroutine():
    ended = threading.Event()

    async def wait():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    future = engine().start(wait)
    time.sleep(0.05)
    assert future.cancel()
    assert ended.wait(5)
    with pytest.raises(CancelledError):
        future.result()


def test_an_interrupt_cancels_the_coroutine_and_returns_at_once():
    seen = threading.Event()
    entered = threading.Event()
    release = threading.Event()

    async def stubborn():
        entered.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            while not release.is_set():  # clean-up that takes its time
                await asyncio.sleep(0.005)
            seen.set()
            raise

    def interrupt():
        entered.wait(5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        engine().run(stubborn)
    assert not seen.is_set(), "the prompt waited for the coroutine's clean-up"
    release.set()
    assert seen.wait(5), "the coroutine was left running"


def test_an_interrupt_is_never_lost_however_it_falls():
    # In the lines that hand over and wait there is no moment at which it may be missed.
    for _ in range(300):
        ended = threading.Event()

        async def work(ended=ended):
            os.kill(os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            engine().run(work)
        assert ended.wait(5)
        assert time.monotonic() - began < 5


def test_callbacks_run_in_order_on_one_thread_off_the_loop():
    seen = []
    done = threading.Event()

    async def loop_thread():
        return threading.get_ident()

    for n in range(20):
        engine().callback(lambda n: seen.append((n, threading.get_ident())), n)
    engine().callback(done.set)
    assert done.wait(5)
    assert [n for n, _ in seen] == list(range(20))
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] not in (engine().run(loop_thread), threading.get_ident())


@pytest.mark.parametrize("fails", [False, True])
def test_the_callbacks_of_a_call_have_run_when_it_returns(fails):
    """Else what they print in a notebook turns up below the next cell."""
    seen = []
    after_the_call = threading.Event()

    async def tell():
        engine().callback(after_the_call.wait, 5)
        engine().callback(seen.append, "told")
        asyncio.get_running_loop().call_later(0.05, after_the_call.set)
        if fails:
            raise ValueError("after telling")

    with pytest.raises(ValueError, match="after telling") if fails else contextlib.nullcontext():
        engine().run(tell)
    assert seen == ["told"]


def test_a_callback_that_raises_is_logged_and_stops_nothing(caplog):
    done = threading.Event()
    engine().callback(lambda: 1 / 0)
    engine().callback(done.set)
    assert done.wait(5)
    assert "ZeroDivisionError" in caplog.text


def test_a_callback_may_call_the_engine():
    got = []
    done = threading.Event()

    def callback():
        got.append(engine().run(add, 4, b=5))
        done.set()

    engine().callback(callback)
    assert done.wait(5)
    assert got == [9]


def test_closing_cancels_what_still_runs_and_refuses_more():
    ended = threading.Event()
    own = Engine()

    async def wait():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    own.start(wait)
    time.sleep(0.05)
    own.close()
    own.close()
    assert ended.is_set()
    with pytest.raises(DecartSDKError, match="closed"):
        own.run(add, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gets_an_engine_of_its_own():
    program = """
import os
from decart_lab._engine import engine
async def add(a, b): return a + b
assert engine().run(add, 1, 2) == 3
child = os.fork()
if child == 0:
    assert engine().run(add, 3, 4) == 7
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert engine().run(add, 5, 6) == 11
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=30)
    assert done.returncode == 0


def test_the_interpreter_ends_with_work_still_running():
    program = """
import asyncio
from decart_lab._engine import engine
async def forever():
    try:
        await asyncio.sleep(600)
    finally:
        print("cancelled", flush=True)
engine().start(forever)
async def beat(): await asyncio.sleep(0.05)
engine().run(beat)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=30, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "cancelled\n", "")
