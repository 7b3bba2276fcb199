"""The live view in a real JupyterLab: pictures while cells run, and no session left behind.

Draws are counted in the page, by the canvas itself, and sessions at the emulator: neither is our
own figure.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest

from decart_lab.emulator import Emulator, emulator
from decart_lab.widgets.flow import MOST
from tests.helpers.livenotebook import CELLS, LiveNotebook
from tests.helpers.rest import eventually

pytestmark = pytest.mark.browser

ENDS_S = 5.0 * 3
"""A session must end within five seconds; a loaded machine is given three times that."""
OPEN = "live = lab.live('lucy-2.1', 'anime', source='synthetic', size=(480, 270), fps=20)\nlive"
AT = 1
"""The cell that opens it."""


@pytest.fixture(scope="module")
def emu() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


def going(emu):
    return [session for session in emu.sessions.values() if not session.log.closed]


@pytest.fixture
def shown(lab_server: Any, page: Any, emu: Emulator) -> Iterator[LiveNotebook]:
    """A notebook whose live view draws."""
    connect = f"import decart_lab as dl, os, time\nlab = dl.connect({emu.url!r})"
    name = f"live{time.monotonic_ns()}.ipynb"
    shown = LiveNotebook(page, lab_server, name, connect, OPEN, "print(os.getpid())")
    shown.wait_for_draws()
    yield shown
    if not page.is_closed():
        page.goto("about:blank")
    eventually(lambda: not going(emu), limit_s=60)


def test_the_preview_goes_on_while_a_cell_runs(shown):
    """Shares of the idle rate are measured in benchmarks/preview.py; here it must not freeze."""
    shown.idle(1.5)
    began, idle = shown.now(), shown.idle(4).fps
    rates = {}
    for kind, source in CELLS.items():
        span = shown.run(source.format(s=5))
        rates[kind] = span.fps
        assert span.longest_gap_s < 3.0, kind
    print({"idle": round(idle, 1)} | {kind: round(value, 1) for kind, value in rates.items()})
    assert min(rates.values()) > idle / 3
    owed = [number for _, _, number, _ in shown.between("unanswered", began, shown.now())]
    assert 0 < max(owed) <= MOST
    assert shown.page.broken == []
    assert shown.page.foreign == []


def test_the_button_ends_the_session_and_begins_another(shown, emu):
    shown.page.get_by_role("button", name="Stop", exact=True).click()
    eventually(lambda: not going(emu), limit_s=ENDS_S)
    shown.page.get_by_role("button", name="Start", exact=True).click()
    eventually(lambda: going(emu), limit_s=30)
    shown.wait_for_draws()


def test_running_the_cell_again_keeps_the_session_and_shows_it(shown, emu):
    [session] = going(emu)
    shown.run(OPEN.replace("anime", "ink"), AT)
    shown.wait_for_draws()
    assert going(emu) == [session]
    assert "goes on" in shown.page.inner_text(".jp-Notebook")


def test_running_it_with_another_model_ends_the_old_session(shown, emu):
    [old] = going(emu)
    shown.run(OPEN.replace("lucy-2.1", "lucy-restyle-2"), AT)
    eventually(lambda: old.log.closed, limit_s=ENDS_S)
    assert len(going(emu)) == 1


@pytest.mark.parametrize("how", ["tab", "restart", "kill", "close"])
def test_no_session_outlives(shown, emu, how):
    assert len(going(emu)) == 1
    began = time.monotonic()
    if how == "tab":
        shown.page.on("dialog", lambda dialog: dialog.accept())  # there are changes to save
        with shown.page.expect_event("close"):
            shown.page.close(run_before_unload=True)
    elif how == "restart":
        shown.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    elif how == "kill":
        os.kill(int(shown.outputs[2]["outputs"][0]["text"]), signal.SIGKILL)
    else:
        shown.run("live.close()")
    eventually(lambda: not going(emu), limit_s=ENDS_S)
    print(how, round(time.monotonic() - began, 2), "s")


INTERRUPT = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"
HELD = """with lab.live("lucy-2.1", source="synthetic", size=(480, 270), name="held"):
    time.sleep(60)"""


def test_an_interrupt_ends_a_session_that_a_with_statement_holds(shown, emu):
    shown.run("live.close()")
    eventually(lambda: not going(emu), limit_s=ENDS_S)
    shown.begin(HELD)
    eventually(lambda: going(emu), limit_s=30)
    time.sleep(1.0)
    shown.page.evaluate(INTERRUPT)
    eventually(lambda: not going(emu), limit_s=ENDS_S)


def test_the_saved_notebook_holds_a_poster_and_no_secret(shown, lab_server, emu):
    [session] = going(emu)
    shown.page.get_by_role("button", name="Stop", exact=True).click()
    eventually(lambda: not going(emu), limit_s=ENDS_S)
    time.sleep(1.0)
    shown.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    path = lab_server.folder / shown.name
    eventually(lambda: "data:image/jpeg" in path.read_text())
    text = path.read_text()
    assert len(text.encode()) < 100 * 1024
    assert "anime" in text
    secrets = ("event_token", "subscribe_token", "Bearer ", "X-API-KEY", session.id)
    assert [secret for secret in secrets if secret in text] == []
    assert nbformat.reads(text, 4)
    assert json.loads(text)["metadata"].get("widgets") is None
