"""The browser's own camera in a real JupyterLab: media between page and service, the kernel busy.

Draws are counted in the page by the video element itself; the camera is Chromium's fake one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from decart_lab.emulator import Emulator, emulator
from tests.helpers.jupyter import CAMERA
from tests.helpers.rest import eventually

pytestmark = pytest.mark.browser

TRACKS = """
window.tracks = [];
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await open(wanted);
  window.tracks.push(...stream.getTracks());
  return stream;
};
"""
PLAYED = (
    "document.querySelector('.dl-output video')?.getVideoPlaybackQuality().totalVideoFrames ?? 0"
)
OFF = "window.tracks.length > 0 && window.tracks.every((track) => track.readyState === 'ended')"
OPEN = "live = lab.live('lucy-2.1', 'anime', source='camera', size=(480, 270), fps=20)\nlive"


@pytest.fixture(scope="module")
def emu() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(scope="module")
def flags() -> list[str]:
    """A camera that is none, and the right to use it."""
    return CAMERA


def going(emu):
    return [session for session in emu.sessions.values() if not session.log.closed]


@pytest.fixture
def shown(lab_server: Any, page: Any, emu: Emulator) -> Iterator[Any]:
    page.add_init_script(TRACKS)
    connect = f"import decart_lab as dl, os, time\nlab = dl.connect({emu.url!r})\nos.getpid()"
    name = lab_server.write(f"camera{time.monotonic_ns()}.ipynb", connect, OPEN)
    outputs = lab_server.run(page, name)
    assert not [o for cell in outputs for o in cell["outputs"] if o["output_type"] == "error"]
    page.pid = int(outputs[0]["outputs"][-1]["data"]["text/plain"])
    page.wait_for_function(f"{PLAYED} > 10", timeout=40_000)
    yield page
    page.goto("about:blank")
    eventually(lambda: not going(emu), limit_s=60)


def test_a_busy_kernel_stops_no_picture(shown, emu):
    assert len(going(emu)) == 1
    shown.evaluate(
        "() => void jupyterapp.shell.currentWidget.sessionContext.session.kernel"
        ".requestExecute({code: 't = time.time()\\nwhile time.time() < t + 5: pass'})"
    )
    counts = []
    for _ in range(6):
        counts.append(shown.evaluate(PLAYED))
        time.sleep(1.0)
    steps = [after - before for before, after in pairwise(counts)]
    print(steps)
    assert min(steps) > 0, "a second without a picture"
    assert shown.broken == []


def test_the_camera_goes_off_with_the_session(shown, emu):
    shown.get_by_role("button", name="Stop", exact=True).click()
    eventually(lambda: not going(emu), limit_s=15)
    shown.wait_for_function(OFF, timeout=10_000)


def test_the_camera_goes_off_when_the_kernel_is_killed(shown, emu):
    os.kill(shown.pid, signal.SIGKILL)
    eventually(lambda: not going(emu), limit_s=15)
    shown.wait_for_function(OFF, timeout=60_000)
