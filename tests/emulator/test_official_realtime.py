"""The last official SDK with WebRTC of its own, unmodified, is the judge of realtime sessions.

PyPI decart 0.0.40 cannot share a venv with the newer one, so it has its own, kept between runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from decart_lab.emulator import Emulator, emulator

PACKAGE = "decart[realtime]==0.0.40"
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "sdk40"
SCRIPT = ROOT / "tests" / "helpers" / "sdk40.py"


def python_of(folder: Path) -> Path:
    """Return the interpreter of a venv."""
    windows = os.name == "nt"
    return folder / ("Scripts/python.exe" if windows else "bin/python")


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter that has the SDK; installed once, and kept."""
    found = python_of(FOLDER)
    if not (FOLDER / "complete").is_file():
        venv.create(FOLDER, with_pip=True, clear=True)
        done = subprocess.run(
            [str(found), "-m", "pip", "install", "--quiet", PACKAGE],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"{PACKAGE} cannot be installed: {done.stderr[-500:]}")
        (FOLDER / "complete").write_text(f"{PACKAGE} for {sys.version}\n")
    return found


@pytest.fixture(scope="module")
def running():
    with emulator() as emu:
        yield emu


@pytest.fixture(scope="module")
def seen(python: Path, running: Emulator, clip: Path, portrait: Path) -> dict:
    """What the SDK saw."""
    done = subprocess.run(
        [str(python), str(SCRIPT), running.url, running.ws_url, str(clip), str(portrait)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_it_is_the_release_that_was_agreed(python):
    asked = "import importlib.metadata as m; print(m.version('decart'), m.version('aiortc'))"
    done = subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "0.0.40"


def test_it_connects_and_frames_come_back_in_order(seen):
    assert seen["session_id"].startswith("rs_")
    assert seen["before"] >= 8
    assert seen["in_order"] is True
    assert seen["sizes"] == [[640, 352]]
    assert seen["connect_s"] < 9
    assert "generating" in seen["states"]


def test_it_changes_prompt_and_image_while_frames_flow(seen):
    assert seen["before"] < seen["prompted"] < seen["imaged"] < seen["after"]
    assert seen["errors"] == []


def test_it_reads_ticks(seen):
    assert seen["ticks"] == list(range(seen["ticks"][0], seen["ticks"][-1] + 1))


def test_moderation_refuses_a_prompt_and_the_session_goes_on(seen):
    assert "moderation" in seen["moderated"]
    assert seen["connected"] is True


def test_its_viewer_watches(seen):
    assert seen["watched"] >= 8


def test_it_disconnects_and_that_ends_the_session(seen, running):
    assert seen["disconnected"] == "disconnected"
    [entry] = running.ledger
    assert (entry.session_id, entry.reason) == (seen["session_id"], "disconnect")
    assert entry.seconds >= seen["ticks"][-1]
    assert entry.enhanced_prompt.startswith("this character")


def test_a_refused_key_is_not_tried_again(seen):
    assert "Invalid API key" in seen["key"]["error"]
    assert seen["key"]["seconds"] < 3
