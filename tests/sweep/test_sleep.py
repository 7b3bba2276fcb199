"""A machine that sleeps with requests and downloads open; a stopped process stands in for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from decart_lab.emulator import emulator
from decart_lab.media import samples
from tests.helpers.clips import moving, write_clip
from tests.helpers.rest import eventually

CODE = """
import json, sys
import decart_lab as dl
lab = dl.connect(sys.argv[1])
sweep = lab.sweep(model=["lucy-image-2", "lucy-2.1"], prompt=["a", "b", "c", "d"],
                  data=sys.argv[2:], seed=[1, 2, 3], enhance_prompt=False)
print("begin", flush=True)
run = sweep.run(concurrency=8)
print("stand", json.dumps(run.df["status"].astype(str).tolist()), flush=True)
"""
POINTS = 24
SLEEPS = 3


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes are stopped as on POSIX")
def test_a_sleep_in_the_middle_of_everything_buys_nothing_twice(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", moving(10, 128, 96), fps=20)
    with emulator(speed=20, render="canned") as emu:
        command = [sys.executable, "-c", CODE, emu.url, str(samples.path("cat.jpg")), str(clip)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            for number in range(SLEEPS):
                eventually(lambda: len(emu.ledger) > 6 * number or child.poll() is not None)  # noqa: B023
                os.kill(child.pid, signal.SIGSTOP)
                time.sleep(0.5)  # in which the service goes on: answers wait, jobs end
                os.kill(child.pid, signal.SIGCONT)
            said, _ = child.communicate(timeout=60)
        finally:
            child.kill()
            child.wait()
        entries = Counter(entry.request_sha256 for entry in emu.ledger)
    line = next(line for line in said.splitlines() if line.startswith("stand "))
    assert Counter(json.loads(line.removeprefix("stand "))) == {"completed": POINTS}
    assert len(entries) == POINTS
    assert set(entries.values()) == {1}
