"""A machine that sleeps with requests and downloads open; a stopped process stands in for it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest

from decart_lab.emulator import emulator
from decart_lab.media import samples
from tests.helpers.clips import moving, write_clip
from tests.helpers.rest import eventually
from tests.helpers.sweeping import bench

pytestmark = pytest.mark.anyio

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


async def test_an_intent_from_before_a_sleep_of_hours_is_not_acted_on(tmp_path, monkeypatch):
    """The clock on the wall goes on while the machine sleeps; the others may stand still."""
    really, slept = time.time, [0.0]
    asked = 0

    def now() -> float:
        nonlocal asked
        if sys._getframe(1).f_globals["__name__"] == "decart_lab.sweep.buying":
            asked += 1
            if asked == 2:  # the intent is on the disk, and nothing was sent
                slept[0] += 3 * 3600.0
        return really() + slept[0]

    with emulator(speed=100, render="canned") as emu:
        async with bench(
            emu.url, tmp_path, model="lucy-image-2", prompt="a", data=samples.path("cat.jpg")
        ) as it:
            monkeypatch.setattr(time, "time", now)
            [row] = await it.rows()
            [first, second] = it.journal.attempts()
            spent = it.journal.spent()
        assert len(emu.ledger) == 1
    assert row["status"] == "completed"
    assert (first["status"], second["status"]) == ("planned", "completed")
    assert (spent.reserved, spent.in_doubt) == (0, 0)
    assert asked == 4


class Relay:
    """Stands between a kernel and the service, and can lose every connection, as a router does."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url).port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._name, self._its_name = (u.split("/")[2].encode() for u in (self.url, url))
        self.asked: list[list[bytes]] = []
        """The request lines of each connection, in their order."""
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_all(self) -> None:
        """Hang up every connection, whatever is on its way."""
        lost, self._open = self._open, []
        for one in lost:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            one.close()

    def close(self) -> None:
        self._listening.close()
        self.lose_all()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                lines: list[bytes] = []
                self.asked.append(lines)
                for pair in ((near, far, lines), (far, near, [])):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, lines: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65_536):
                lines += re.findall(rb"(?:GET|POST) /v1/\w+[^ ]* HTTP", content)
                # The emulator serves only its own name; both are of one length.
                target.sendall(content.replace(self._name, self._its_name))
            target.shutdown(socket.SHUT_WR)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes are stopped as on POSIX")
def test_connections_that_were_lost_in_a_sleep_carry_no_paid_request(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", moving(10, 128, 96), fps=20)
    with emulator(speed=20, render="canned") as emu:
        relay = Relay(emu.url)
        command = [sys.executable, "-c", CODE, relay.url, str(samples.path("cat.jpg")), str(clip)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            for number in range(SLEEPS):
                eventually(lambda: len(emu.ledger) > 5 * number or child.poll() is not None)  # noqa: B023
                os.kill(child.pid, signal.SIGSTOP)
                relay.lose_all()
                os.kill(child.pid, signal.SIGCONT)
            said, _ = child.communicate(timeout=90)
        finally:
            child.kill()
            child.wait()
            relay.close()
        entries = Counter(entry.request_sha256 for entry in emu.ledger)
    line = next(line for line in said.splitlines() if line.startswith("stand "))
    stand = Counter(json.loads(line.removeprefix("stand ")))
    assert stand["completed"] + stand["in_doubt"] == POINTS
    assert stand["in_doubt"] <= SLEEPS * 8  # what was on its way when the line went
    assert set(entries.values()) == {1}
    assert max(map(len, relay.asked)) > 1  # questions do share connections
    for lines in relay.asked:
        assert not any(line.startswith(b"POST") for line in lines[1:]), lines
