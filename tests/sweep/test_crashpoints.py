"""The places at which tests kill: each end is where it was asked for, and unset they do nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import decart_lab
from decart_lab.sweep import _crashpoints
from decart_lab.sweep._crashpoints import POINTS, arm, here, passed

CODE = (
    "from decart_lab.sweep._crashpoints import here\n"
    "for turn in range(4):\n"
    "    print(turn, flush=True)\n"
    "    here('ack.before')\n"
)


@pytest.fixture(autouse=True)
def disarmed():
    yield
    arm(None)


def end_of(at):
    environment = os.environ | {"DECART_LAB_CRASH_AT": at}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.split()


@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")
def test_a_process_ends_at_the_passing_that_was_asked_for():
    assert end_of("ack.before") == (-signal.SIGKILL, ["0"])
    assert end_of("ack.before:3") == (-signal.SIGKILL, ["0", "1", "2"])
    assert end_of("ack.after") == (0, ["0", "1", "2", "3"])
    assert end_of("") == (0, ["0", "1", "2", "3"])


@pytest.mark.parametrize("spec", ["nowhere", "ack.before:0", "ack.before:x"])
def test_a_place_that_is_not_there_is_refused(spec):
    with pytest.raises(ValueError):
        arm(spec)


def test_what_was_passed_can_be_read_afterwards():
    read, write = os.pipe()
    try:
        arm(None, trace=write)
        here("intent.before")
        here("intent.after")
        assert os.read(read, 100) == b"intent.before\nintent.after\n"
        assert passed() == {"intent.before": 1, "intent.after": 1}
    finally:
        arm(None)
        os.close(read)
        os.close(write)


def test_every_place_has_one_name_and_every_name_in_use_is_listed():
    assert len(set(POINTS)) == len(POINTS)
    used = set()
    root = Path(decart_lab.__file__).parent
    for path in root.rglob("*.py"):
        if path != Path(_crashpoints.__file__):
            used |= set(re.findall(r"\bhere\(\"([^\"]+)\"\)", path.read_text(encoding="utf-8")))
    assert used <= set(POINTS)
