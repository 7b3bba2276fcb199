"""The browser's own camera in a real JupyterLab: media between page and service, the kernel busy.

Draws are counted in the page by the video element itself; the camera is Chromium's fake one.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import av
import pytest

from decart_lab.emulator import Emulator, emulator
from decart_lab.lab.desk import UNSEEN_S
from decart_lab.media.tally import tally
from tests.helpers.jupyter import CAMERA
from tests.helpers.livenotebook import RUN_CELL, SET_CELL
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
NONE = """
navigator.mediaDevices.getUserMedia = async () => {
  throw new DOMException('Requested device not found', 'NotFoundError');
};
"""
ENDS_S = 5.0 * 3
"""A session ends, and its camera is off, within five seconds; a loaded machine has thrice that."""
BEGIN_S = 1.0
"""A recorder begins with the next picture, and ends with the last slice."""
OFF = "window.tracks.length > 0 && window.tracks.every((track) => track.readyState === 'ended')"
OPEN = "live = lab.live('lucy-2.1', 'anime', source='camera', size=(480, 270), fps=20)\nlive"


@pytest.fixture(scope="module")
def emu() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(scope="module")
def flags() -> list[str]:
    """Two cameras that are none, and the right to use them."""
    return [*CAMERA, "--use-fake-device-for-media-stream=device-count=2"]


def going(emu):
    return [session for session in emu.sessions.values() if not session.log.closed]


@pytest.fixture
def shown(lab_server: Any, page: Any, emu: Emulator) -> Iterator[Any]:
    page.add_init_script(TRACKS)
    connect = f"import decart_lab as dl, os, time\nlab = dl.connect({emu.url!r})\nos.getpid()"
    name = lab_server.write(f"camera{time.monotonic_ns()}.ipynb", connect, OPEN, "pass")
    outputs = lab_server.run(page, name)
    assert not [o for cell in outputs for o in cell["outputs"] if o["output_type"] == "error"]
    page.pid = int(outputs[0]["outputs"][-1]["data"]["text/plain"])
    page.wait_for_function(f"{PLAYED} > 10", timeout=40_000)
    yield page
    page.goto("about:blank")
    eventually(lambda: not going(emu), limit_s=60)


def set_cell(page, at, source):
    page.evaluate(SET_CELL, [at, source])


def run_cell(page, at, source):
    """Run a cell to its end and return its outputs."""
    set_cell(page, at, source)
    page.evaluate(RUN_CELL, at)
    cell = f"jupyterapp.shell.currentWidget.content.model.cells.get({at}).toJSON()"
    outputs = page.evaluate(f"{cell}.outputs")
    assert [o["evalue"] for o in outputs if o["output_type"] == "error"] == []
    return outputs


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
    eventually(lambda: not going(emu), limit_s=ENDS_S)
    shown.wait_for_function(OFF, timeout=ENDS_S * 1000)


def test_a_kernel_that_stands_still_keeps_session_and_pictures(shown, emu):
    """Python's lock is held, as by some C extensions: no thread of the kernel runs."""
    [session] = going(emu)
    run_cell(shown, 2, "import ctypes\nctypes.PyDLL(None).sleep(5)")
    before = shown.evaluate(PLAYED)
    shown.wait_for_function(f"{PLAYED} > {before + 10}", timeout=10_000)
    assert going(emu) == [session]
    assert "kernel is gone" not in shown.inner_text(".dl-note")
    assert not shown.evaluate(OFF)


def test_an_output_that_is_cleared_ends_the_session_when_nothing_shows_it_again(shown, emu):
    shown.evaluate("() => void jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    time.sleep(5.0)
    assert len(going(emu)) == 1, "it may be a cell that is run again"
    eventually(lambda: not going(emu), limit_s=30)
    shown.wait_for_function(OFF, timeout=ENDS_S * 1000)


def test_a_notebook_that_is_closed_takes_its_session_along(shown, emu):
    shown.evaluate("jupyterapp.shell.currentWidget.context.save()")
    shown.evaluate("() => jupyterapp.shell.currentWidget.close()")
    shown.wait_for_function(OFF, timeout=ENDS_S * 1000)
    eventually(lambda: not going(emu), limit_s=30)


def test_the_cell_again_keeps_the_session_and_its_camera(shown, emu):
    [session] = going(emu)
    opened = shown.evaluate("window.tracks.length")
    run_cell(shown, 1, OPEN.replace("anime", "ink"))
    shown.wait_for_function(f"{PLAYED} > 10", timeout=30_000)
    time.sleep(UNSEEN_S + 2.0)
    assert going(emu) == [session]
    assert shown.evaluate("window.tracks.length") == opened


def test_what_the_page_shows_is_recorded_into_a_file_that_plays(shown, emu, lab_server):
    take = lab_server.folder / f"take{time.monotonic_ns()}.mp4"
    began = time.monotonic()
    run_cell(shown, 2, f"live.record({str(take)!r})")
    eventually(lambda: take.exists() and tally(take).seconds > 1.5, limit_s=30)
    live = tally(take)
    assert 1.5 < live.seconds <= time.monotonic() - began, "it plays while it is written"
    run_cell(shown, 2, "live.set(prompt='ink')\ntime.sleep(2)")
    outputs = run_cell(shown, 2, "kept = live.stop_recording()\n[kept.seconds, kept.frames]")
    lasted = time.monotonic() - began
    seconds, frames = json.loads(outputs[0]["data"]["text/plain"])
    with av.open(str(take)) as file:
        times = [frame.time for frame in file.decode(video=0)]
    assert len(times) == frames > 30
    assert times[-1] - times[0] == pytest.approx(seconds, abs=0.2)
    assert lasted - 1.5 - BEGIN_S < seconds < lasted
    words = take.with_suffix(".vtt").read_text()
    assert words.index("anime") < words.index("ink")
    assert "record" in shown.inner_text(".dl-tools").lower()


def test_the_page_gives_a_picture_a_mute_and_another_camera_on_the_same_session(shown, emu):
    [session] = going(emu)
    [output] = run_cell(shown, 2, "(lambda m: [m.width, m.height])(live.snapshot())")
    assert json.loads(output["data"]["text/plain"]) == [480, 270]
    run_cell(shown, 2, "live.mute()")
    sounds = "window.tracks.filter((track) => track.kind === 'audio').map((track) => track.enabled)"
    shown.wait_for_function(f"{sounds}.every((on) => !on)")
    before = shown.evaluate("window.tracks.length")
    menu = shown.locator(".dl-tools select")
    names = menu.locator("option").evaluate_all("options => options.map((o) => o.value)")
    menu.select_option([name for name in names if name.startswith("camera:")][1])
    shown.wait_for_function(f"window.tracks.length > {before}")
    played = shown.evaluate(PLAYED)
    shown.wait_for_function(f"{PLAYED} > {played + 10}", timeout=10_000)
    states = shown.evaluate("window.tracks.map((track) => track.readyState)")
    assert set(states[:before]) == {"ended"}
    assert set(states[before:]) == {"live"}
    assert going(emu) == [session]


HELD = """from IPython.display import display
with lab.live('lucy-2.1', 'anime', source='camera', size=(480, 270), fps=20) as live:
    display(live)
    time.sleep(60)"""


def test_a_view_that_a_running_cell_shows_begins_and_an_interrupt_ends_it(shown, emu):
    run_cell(shown, 1, "live.close()")
    eventually(lambda: not going(emu))
    shown.evaluate("() => { window.tracks.length = 0; }")
    set_cell(shown, 2, HELD)
    shown.evaluate(f"(at) => void ({RUN_CELL})(at)", 2)
    shown.wait_for_function(f"{PLAYED} > 10", timeout=30_000)
    shown.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    eventually(lambda: not going(emu), limit_s=ENDS_S)
    shown.wait_for_function(OFF, timeout=ENDS_S * 1000)


def test_without_a_camera_nothing_is_begun_and_the_reason_is_named(lab_server, page, emu):
    page.add_init_script(NONE)
    before = len(emu.sessions)
    connect = f"import decart_lab as dl\nlab = dl.connect({emu.url!r})"
    lab_server.run(page, lab_server.write(f"none{time.monotonic_ns()}.ipynb", connect, OPEN))
    page.get_by_text("There is no such camera. Plug one in").first.wait_for(timeout=30_000)
    time.sleep(2.0)
    assert len(emu.sessions) == before, "no session was opened, so none is billed"
