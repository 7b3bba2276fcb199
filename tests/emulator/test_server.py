"""Starting and ending: inside this process, and as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from decart_lab.emulator import Emulator, emulator
from decart_lab.emulator.world import World
from decart_lab.errors import EmulatorError, InvalidInputError
from tests.helpers.clips import moving, write_clip
from tests.helpers.rest import KEY, submit

LINE = re.compile(r"decart-lab emulator listening on (http://127\.0\.0\.1:\d+)\n\Z")


def test_it_comes_up_on_a_free_port_and_leaves_no_thread_behind(threads):
    with emulator() as emu:
        assert emu.port > 0
        assert emu.url == f"http://127.0.0.1:{emu.port}"
        assert emu.ws_url == f"ws://127.0.0.1:{emu.port}"
        assert httpx.get(f"{emu.url}/health").status_code == 200
        assert emu.running
    assert not emu.running
    assert not threads.new("decart-lab")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{emu.url}/health")


def test_two_live_side_by_side_with_a_world_each(picture):
    with emulator(render="canned", speed=200) as one, emulator(render="canned") as two:
        httpx.post(
            f"{one.url}/v1/generate/lucy-image-2",
            headers=KEY,
            data={"prompt": "ink"},
            files={"data": picture},
        )
        assert (len(one.ledger), len(two.ledger)) == (1, 0)


def test_it_can_be_started_again_on_the_same_port():
    emu = emulator()
    with pytest.raises(EmulatorError, match="not been started"):
        _ = emu.url
    emu.start()
    url = emu.url
    with pytest.raises(EmulatorError, match="running already"):
        emu.start()
    emu.stop()
    emu.stop()
    with emu:
        assert emu.url == url


def test_a_taken_port_is_an_emulator_error():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmulatorError, match=str(port)):
            emulator(port).start()


@pytest.mark.parametrize(
    "setting",
    [
        {"speed": 0},
        {"speed": float("nan")},
        {"render": "none"},
        {"credits": -1},
        {"capacity": 0},
        {"session_limit": 0},
        {"tick_s": 0},
        {"session_s": float("inf")},
        {"idle_s": -1},
        {"restart_s": float("nan")},
        {"first_frame_s": -1},
        {"restarts": "sometimes"},
        {"server_candidates": "none"},
        {"ice_urls": ["http://example.com"]},
        {"max_upload_bytes": 0},
        {"render_threads": 0},
        {"allow_origins": ["example.com"]},
        {"api_keys": [""]},
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting):
    [name] = setting
    with pytest.raises(InvalidInputError) as caught:
        emulator(**setting)
    assert caught.value.field == name


def test_the_package_can_be_called_like_the_function():
    """Importing a submodule puts the package where notebooks expect the function."""
    import decart_lab.emulator.settings

    with decart_lab.emulator(render="canned") as emu:
        assert isinstance(emu, Emulator)


def test_a_request_in_flight_does_not_keep_it_from_ending(picture):
    emu = emulator(speed=0.001, render="canned").start()
    answered = threading.Event()

    def ask() -> None:
        with suppress(httpx.HTTPError):
            httpx.post(
                f"{emu.url}/v1/generate/lucy-image-2",
                headers=KEY,
                data={"prompt": "ink"},
                files={"data": picture},
                timeout=60,
            )
        answered.set()

    threading.Thread(target=ask).start()
    while not len(emu.ledger):
        time.sleep(0.01)
    emu.stop()
    assert answered.wait(30)


@contextmanager
def process(*arguments: str, **options: object) -> Iterator[tuple[subprocess.Popen, str]]:
    """The emulator as a child; its address, read from the line it prints."""
    child = subprocess.Popen(
        [sys.executable, "-m", "decart_lab", "emulator", "--port", "0", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        line = child.stdout.readline()
        match = LINE.match(line)
        assert match, (line, child.poll(), child.stderr.read() if child.poll() is not None else "")
        yield child, match[1]
    finally:
        child.kill()
        child.communicate()


def test_the_process_says_where_it_listens_and_ends_with_its_standard_input(tmp_path):
    arguments = ("--parent-pipe", "--speed", "10", "--state", str(tmp_path), "--render", "canned")
    with process(*arguments) as (child, url):
        assert httpx.get(f"{url}/health").json()["speed"] == 10
        child.stdin.close()
        child.stdin = None
        assert child.wait(15) == 0
        assert child.stderr.read() == ""
    assert (tmp_path / ".emulator" / "world-1" / "world.sqlite").is_file()


def test_it_ends_when_its_parent_is_killed(tmp_path):
    """SIGKILL leaves the parent no time to say anything; the closed pipe says it."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'decart_lab', 'emulator', '--port', '0',"
        " '--parent-pipe'], stdin=subprocess.PIPE)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        url = LINE.match(parent.stdout.readline())[1]
        assert httpx.get(f"{url}/health").status_code == 200
    finally:
        parent.kill()
        parent.wait()
    # The emulator holds the other end of this pipe: it ends when the emulator does.
    ended = threading.Event()
    threading.Thread(target=lambda: (parent.stdout.read(), ended.set()), daemon=True).start()
    assert ended.wait(15)
    parent.stdout.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def test_what_was_accepted_survives_a_kill(tmp_path, tiny_clip):
    """The acceptance is on disk before it is answered."""
    arguments = ("--state", str(tmp_path), "--speed", "0.001", "--render", "canned")
    with process(*arguments) as (child, url), httpx.Client(base_url=url, headers=KEY) as http:
        ids = [submit(http, "lucy-2.1", {"data": tiny_clip.read_bytes()}) for _ in range(20)]
        child.kill()
        child.wait()
    with emulator(state=tmp_path, render="canned") as emu:
        assert list(emu.world.jobs) == ids
        assert [entry.job_id for entry in emu.ledger] == ids


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_on_a_signal(number):
    with process() as (child, _):
        child.send_signal(number)
        assert child.wait(15) == 0
        assert "Traceback" not in child.stderr.read()


def test_answers_are_not_held_back_to_be_sent_together():
    """asyncio turns Nagle's algorithm off only for sockets that name their protocol."""
    with emulator() as emu, socket.create_connection(("127.0.0.1", emu.port)):
        assert emu._socket.proto == socket.IPPROTO_TCP


def test_it_does_not_wait_for_media_work_when_told_to_end(tmp_path):
    """A clip that is being rendered is taken up at the next start instead."""
    path = write_clip(tmp_path / "long.mp4", moving(400, 64, 48), fps=10)
    with process("--state", str(tmp_path), "--speed", "100", "--parent-pipe") as (child, url):
        with httpx.Client(base_url=url, headers=KEY) as http:
            content = path.read_bytes()
            ids = [submit(http, "lucy-2.1", {"data": content}, prompt="ink") for _ in range(4)]
            while http.get(f"/v1/jobs/{ids[1]}").json()["status"] == "pending":
                time.sleep(0.01)
        child.stdin.close()
        child.stdin = None
        assert child.wait(6) == 0  # promised: two seconds; the work takes a multiple
    world = World.open(tmp_path)
    assert [job.id for job in world.jobs.values() if not job.final] == ids
    world.close()


def test_the_process_takes_only_the_keys_it_was_given():
    with process("--api-key", "one", "--credits", "0", "--render", "canned") as (_, url):
        quota = f"{url}/v1/realtime/quota"
        assert httpx.get(quota, headers={"x-api-key": "one"}).status_code == 200
        assert httpx.get(quota, headers={"x-api-key": "two"}).status_code == 401
        broke = httpx.post(
            f"{url}/v1/jobs/lucy-clip", headers={"x-api-key": "one"}, data={"prompt": "x"}
        )
        assert broke.status_code == 422, "what is wrong is told before what it would cost"


def test_what_cannot_be_started_is_a_sentence_and_not_a_traceback():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "decart_lab", "emulator", "--port", port],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "error::DeprecationWarning:decart_lab"},
            check=False,
        )
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr
