"""One JupyterLab server and one Chromium for a module of browser tests: both are slow to start.

Not for the session: as long as playwright's sync face is in use, the main thread counts as being
inside a running event loop, and no other test could call ``asyncio.run``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.jupyter import CHROMIUM, JupyterLab, chromium, jupyterlab

ROOT = Path(__file__).parents[2]
QUICK = ('dl.connect("emulator")', 'dl.connect("emulator", speed=10)')


@pytest.fixture(scope="module")
def flags() -> list[str]:
    """What the browser is told besides; a module that needs more has a fixture of this name."""
    return []


@pytest.fixture(scope="module")
def browser(flags: list[str]) -> Iterator[Any]:
    """The machine's own Chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with chromium(flags) as running:
        yield running
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
    with jupyterlab(folder, home) as lab:
        yield lab
