"""No session outlives its process, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import pytest

PROGRAM = """
import sys, time
import decart_lab as dl
lab = dl.connect(sys.argv[1])
session = lab.session("lucy-2.1", "ink", size=(320, 176), dialect=sys.argv[2])
print("up", flush=True)
if sys.argv[3] == "forks":
    import os
    if os.fork() == 0:  # holds every pipe of its parent open
        time.sleep(20)
        os._exit(0)
    print("forked", flush=True)
if sys.argv[3] != "exit":
    time.sleep(60)
"""
PROMISED_S = 2.0


# A forked child also holds the socket of the WebSocket dialect, which the service then ends only by
# its limit on inactivity; nothing here could end it sooner.
CASES = [("http", "forks")] + [
    (dialect, end)
    for dialect in ("http", "websocket")
    for end in ("kill", "term", "interrupt", "exit")
]


@pytest.mark.parametrize(("dialect", "end"), CASES)
def test_a_session_ends_with_its_process(emu: Any, dialect: str, end: str) -> None:
    command = [sys.executable, "-c", PROGRAM, emu.url, dialect, end]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as p:
        assert p.stdout is not None
        wanted = "forked" if end == "forks" else "up"
        assert any(wanted in line for line in p.stdout)
        session = list(emu.sessions.values())[-1]
        signals = {"kill": signal.SIGKILL, "forks": signal.SIGKILL, "term": signal.SIGTERM}
        if end != "exit":
            p.send_signal(signals.get(end, signal.SIGINT))
        began = time.monotonic()
        while not session.reason and time.monotonic() - began < 3 * PROMISED_S:
            time.sleep(0.02)
        assert session.reason
        p.kill()
