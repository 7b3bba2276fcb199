"""A real JupyterLab and a real Chromium for tests and benchmarks: how they are started and driven.

What belongs here: the two programs, notebooks being written and run. What is looked at in the page
is the business of who looks.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

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
"""A camera that is none, and the right to use it."""
START_S = 60
RUN_S = 60


@contextlib.contextmanager
def chromium(flags: Sequence[str] = ()) -> Iterator[Any]:
    """Run the machine's own Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *flags])
        try:
            yield running
        finally:
            running.close()


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


@contextlib.contextmanager
def jupyterlab(folder: Path, home: Path, **options: object) -> Iterator[JupyterLab]:
    """Run a JupyterLab over a folder, with settings and a token of its own under ``home``.

    Further options are the server's, with ``__`` for the dot: ``ServerApp__ip="127.0.0.1"``.
    """
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
    options = {name.replace("__", "."): value for name, value in options.items()} | {
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
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")
