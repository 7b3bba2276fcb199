"""connect(): where it goes, what it says, what it never sends, and the child it keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from decart_lab import config
from decart_lab.errors import (
    EmulatorError,
    InvalidAPIKeyError,
    InvalidBaseURLError,
    InvalidInputError,
    NetworkError,
)
from decart_lab.lab import child
from decart_lab.lab import connect as module
from decart_lab.lab.connect import connect, last_lab
from decart_lab.media import samples
from tests.helpers.serve import serve

CAT = samples.path("cat.jpg")


@pytest.fixture(autouse=True)
def tidy():
    yield
    if (lab := last_lab()) is not None:
        lab.close()
    child.end_all()


class Recorder:
    """A server that is no emulator and remembers the headers it was sent."""

    def __init__(self):
        self.headers = []
        routes = [Route("/{path:path}", self._any, methods=["GET", "POST"])]
        self.app = Starlette(routes=routes)

    async def _any(self, request):
        self.headers.append(dict(request.headers))
        return JSONResponse({"limit": None, "active": 0, "remaining": None})

    def keys(self):
        return [headers.get("x-api-key") for headers in self.headers]


def test_a_key_leads_to_the_hosted_api_and_is_never_shown(monkeypatch, capsys):
    monkeypatch.setenv("DECART_API_KEY", "dct_secret")
    monkeypatch.setenv("DECART_LAB_URL", "http://127.0.0.1:9")
    lab = connect()
    said = capsys.readouterr().out
    assert said == "Connected to https://api.decart.ai with your API key; what you run is billed.\n"
    assert (lab.service, lab.has_key, lab.simulated) == ("decart", True, None)
    assert "dct_secret" not in said + repr(lab) + str(lab._repr_mimebundle_()) + repr(vars(lab))


def test_without_a_key_the_embedded_emulator_starts_once_and_is_reused(capsys):
    first, second = connect(), connect("emulator")
    said = capsys.readouterr().out.splitlines()
    assert first.url == second.url
    assert said[0] == (
        f"No DECART_API_KEY: connected to the embedded emulator at {first.url}; "
        "results are simulated."
    )
    assert len(said) == 2
    assert first.simulated is True
    assert not first.has_key
    assert last_lab() is second
    first.close()


def test_an_address_in_the_environment_is_used_without_a_key(monkeypatch, capsys, emu):
    monkeypatch.setenv("DECART_LAB_URL", emu.url)
    lab = connect()
    assert lab.url == emu.url
    assert lab.service == "emulator"
    assert "results are simulated" in capsys.readouterr().out
    assert lab.process("lucy-image-2", "ink", data=CAT).simulated


def test_the_key_of_the_environment_goes_to_nobody_but_decart(monkeypatch, emu):
    monkeypatch.setenv("DECART_API_KEY", "dct_secret")
    recorder = Recorder()
    with serve(recorder.app) as url:
        for lab in (connect(url), connect(proxy=url)):
            lab.realtime.quota()
            lab.close()
        assert recorder.keys() == [None] * len(recorder.headers)
        lab = connect(url, api_key="other")
        lab.realtime.quota()
        assert recorder.keys()[-1] == "other"
        assert lab.service == url
        lab.close()


def test_the_embedded_emulator_never_sees_our_key(monkeypatch):
    monkeypatch.setenv("DECART_API_KEY", "dct_secret")
    lab = connect("emulator")
    assert lab._client._key == config.Secret(module.ANY_KEY)


def test_the_child_is_started_without_our_key(monkeypatch):
    monkeypatch.setenv("DECART_API_KEY", "dct_secret")
    lab = connect("emulator")
    pid = next(c.process.pid for c in child._children.values() if c.url == lab.url)
    environ = Path(f"/proc/{pid}/environ")
    if not environ.exists():
        pytest.skip("no /proc on this system")
    assert b"dct_secret" not in environ.read_bytes()


def test_a_proxy_stands_for_the_service_behind_it():
    recorder = Recorder()
    with serve(recorder.app) as url:
        assert connect(proxy=url).service == "decart"
        assert connect(url).service == "decart"


def test_an_address_where_nobody_answers_is_said_only_when_it_is_used():
    lab = connect("http://127.0.0.1:9")
    assert lab.url == "http://127.0.0.1:9"
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1"):
        lab.realtime.quota()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"target": "emulater"}, InvalidInputError, "does not know 'emulater'"),
        ({"target": "ftp://x"}, InvalidBaseURLError, "not an absolute"),
        ({"target": "http://x", "proxy": "http://y"}, InvalidInputError, "both given"),
        ({"api_key": "k", "proxy": "http://y"}, InvalidInputError, "both given"),
        ({"speed": 2}, InvalidInputError, "embedded emulator only"),
        ({"target": "emulator", "speed": 0}, InvalidInputError, "greater than 0"),
        ({"api_key": " "}, InvalidAPIKeyError, "empty"),
        ({"proxy": "/api/decart"}, InvalidBaseURLError, "not known"),
    ],
)
def test_contradictions_are_refused_before_anything_starts(arguments, error, says):
    with pytest.raises(error, match=says):
        connect(**arguments)
    assert not child._children


def test_each_speed_has_an_emulator_of_its_own():
    slow, fast = connect("emulator"), connect("emulator", speed=50)
    assert slow.url != fast.url
    with urllib.request.urlopen(f"{fast.url}/health") as answer:
        assert json.load(answer)["speed"] == 50
    slow.close()


def test_an_emulator_that_died_is_replaced():
    first = connect("emulator")
    [running] = child._children.values()
    running.process.kill()
    running.process.wait()
    second = connect("emulator")
    assert second.process("lucy-image-2", "ink", data=CAT).simulated
    first.close()


def test_an_emulator_that_does_not_start_says_why(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DECART_LAB_RUNS", str(tmp_path / "file"))
    with pytest.raises(EmulatorError, match="cannot be made"):
        connect()
    monkeypatch.setenv("DECART_LAB_RUNS", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(broken_python(tmp_path)))
    with pytest.raises(EmulatorError, match=r"status 3.*It said: no such module"):
        connect()


def broken_python(folder):
    path = folder / "python"
    path.write_text("#!/bin/sh\necho no such module >&2\nexit 3\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_the_child_ends_with_its_parent_however_that_ends(how, tmp_path):
    program = (
        "import os, signal, sys\n"
        "from decart_lab.lab import child\n"
        "from decart_lab.lab.connect import connect\n"
        "connect()\n"
        "print([c.process.pid for c in child._children.values()][0], flush=True)\n"
        "if sys.argv[1] == 'kill': os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, how],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"DECART_LAB_RUNS": str(tmp_path)},
    )
    pid = int(done.stdout.splitlines()[-1])
    assert "Unclosed" not in done.stderr
    until = time.monotonic() + 15
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # an orphan that nobody reaps is a zombie, and dead
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def test_labs_left_open_are_closed_at_the_end():
    lab = connect("http://127.0.0.1:9")
    module._close_all()
    assert lab.closed
    assert last_lab() is None
