"""One JupyterLab server and one Chromium for a module of browser tests: both are slow to start.

Not for the session: as long as playwright's sync face is in use, the main thread counts as being
inside a running event loop, and no other test could call ``asyncio.run``.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
CAMERA = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
]
QUICK = ('dl.connect("emulator")', 'dl.connect("emulator", speed=10)')
START_S = 60
RUN_S = 60


@pytest.fixture(scope="module")
def flags() -> list[str]:
    """What the browser is told besides; a module that needs more has a fixture of this name."""
    return []


@pytest.fixture(scope="module")
def browser(flags: list[str]) -> Iterator[Any]:
    """The machine's own Chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS + flags)
        yield running
        running.close()
    asyncio.run(asyncio.sleep(0))  # fails if that loop were still there, for the tests to come


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that remembers what it asked for outside this machine, and its script errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.foreign, page.broken = [], []
    local = ("http://127.0.0.1:", "ws://127.0.0.1:", "file:", "data:", "blob:")
    page.on("request", lambda r: r.url.startswith(local) or page.foreign.append(r.url))
    page.on("pageerror", lambda error: page.broken.append(str(error)))
    yield page
    context.close()


@dataclass
class JupyterLab:
    """A running JupyterLab and its folder."""

    url: str
    token: str
    folder: Path

    def write(self, name: str, *sources: str) -> str:
        """Put a notebook of these code cells into the folder and return its name."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        # Without a kernel of its own, the notebook opens with a question instead.
        spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(metadata=spec, cells=cells), self.folder / name)
        return name

    def run(self, page: Any, name: str) -> list[dict[str, Any]]:
        """Open a notebook, run all its cells, and return the code cells with their outputs."""
        page.goto(f"{self.url}/lab/tree/{name}?token={self.token}&reset")
        page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.content?.model?.cells")
        page.evaluate("jupyterapp.shell.currentWidget.sessionContext.ready")
        # Not awaited: the command ends only when the last cell has.
        page.evaluate("() => void jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(FINISHED, timeout=RUN_S * 1000)
        return page.evaluate(CELLS)


CELLS = """() => Array.from(jupyterapp.shell.currentWidget.content.model.cells)
  .filter(cell => cell.type === 'code').map(cell => cell.toJSON())"""
# Either every cell has run, or one has failed and the rest were given up.
FINISHED = """() => {
  const cells = Array.from(jupyterapp.shell.currentWidget.content.model.cells)
    .filter(cell => cell.type === 'code');
  const failed = cells.some(cell => cell.toJSON().outputs.some(o => o.output_type === 'error'));
  const ran = cell => cell.executionCount !== null && cell.executionState === 'idle';
  return failed || cells.every(ran);
}"""


@pytest.fixture(scope="module")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    """A JupyterLab over a folder with copies of the notebooks, whose emulator is in a hurry.

    As they are committed they run in tests/notebooks; here only what a browser shows is asked.
    """
    folder = tmp_path_factory.mktemp("notebooks")
    home = tmp_path_factory.mktemp("home")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        quick = path.read_text(encoding="utf-8").replace(
            *(json.dumps(line)[1:-1] for line in QUICK)
        )
        (folder / path.name).write_text(quick, encoding="utf-8")
    settings = {
        # Cells out of sight are kept in the page, so that a test can look at them all.
        "notebook-extension/tracker": {"windowingMode": "none"},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    for plugin, values in settings.items():
        path = home / f"settings/@jupyterlab/{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    env = {name: v for name, v in os.environ.items() if not name.startswith(("DECART_", "JUPYTER"))}
    env |= {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_TOKEN": token,
    }
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,  # else a taken port would lead us to somebody else's server
        "ServerApp.root_dir": folder,
        "LabApp.expose_app_in_browser": True,
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
    }
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
            + [f"--{name}={value}" for name, value in options.items()],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    lab = JupyterLab(f"http://127.0.0.1:{port}", token, folder)
    try:
        wait_until_up(f"{lab.url}/api", server, home / "log")
        yield lab
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until the server answers; show its log when it does not."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")
