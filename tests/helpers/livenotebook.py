"""A live view in a notebook of a real JupyterLab, watched in its page and not by our own figures.

What belongs here: an init script that counts the canvas' draws and reads the kernel's messages on
their websocket, cells being run, and the arithmetic of draws. What is promised is the business of
who asks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.helpers.jupyter import JupyterLab

WATCH = """
window.draws = [];  // when the output was drawn, in ms of performance.now()
window.unanswered = [];  // [when, stream, frames that came and were not answered, in what form]
window.frameBytes = 0;  // of messages with frames, as they came
window.said = [];  // [when, what the note under the pictures said]
{
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...args) {
    if (this.canvas.closest('.dl-output')) window.draws.push(performance.now());
    return draw.apply(this, args);
  };
  const answered = {};
  const content = (data) => {  // of v1.kernel.websocket.jupyter.org: channel, 4 parts, buffers
    const view = new DataView(data), at = (n) => Number(view.getBigUint64(8 * n, true));
    const text = new TextDecoder().decode(new Uint8Array(data, at(5), at(6) - at(5)));
    const {data: inner} = JSON.parse(text);
    return inner?.method === 'custom' ? inner.content : null;
  };
  const watch = (data) => {
    const message = data instanceof ArrayBuffer ? content(data) : null;
    if (message?.kind === 'ack') {
      for (const [v, of, i] of message.drawn) answered[v + of] = Math.max(answered[v + of] ?? 0, i);
    } else if (message?.kind === 'frame') {
      window.frameBytes += data.byteLength;
      [message.v].flat().forEach((v, n) => {
        const owed = [message.i].flat()[n] - (answered[v + message.of] ?? 0);
        window.unanswered.push([performance.now(), message.of, owed, message.mode]);
      });
    }
  };
  const Plain = WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', ({data}) => watch(data));
    }
    send(data) {
      watch(data);
      super.send(data);
    }
  };
  setInterval(() => {
    const text = document.querySelector('.dl-note')?.innerText ?? '';
    if (text !== (window.said.at(-1)?.[1] ?? '')) window.said.push([performance.now(), text]);
  }, 50);
}
"""
NOW = "performance.now()"
SET_CELL = """([at, source]) => jupyterapp.shell.currentWidget.content.model.cells.get(at)
  .sharedModel.setSource(source)"""
RUN_CELL = """async (at) => {
  jupyterapp.shell.currentWidget.content.activeCellIndex = at;
  await jupyterapp.commands.execute('notebook:run-cell');
}"""
BETWEEN = "([of, from, to]) => window[of].filter((x) => (x[0] ?? x) >= from && (x[0] ?? x) < to)"
CELLS = {
    "time.sleep": "import time; time.sleep({s})",
    "await": "import asyncio; await asyncio.sleep({s})",
    "numpy": "import numpy as np, time\nt = time.time()\na = np.ones((600, 600))\n"
    "while time.time() < t + {s}: a @ a",
    "a Python loop": "import time\nt = time.time()\nwhile time.time() < t + {s}: pass",
}
"""What keeps a kernel busy for ``s`` seconds."""


@dataclass(frozen=True)
class Span:
    """From when to when, in milliseconds of the page, and when the output was drawn meanwhile."""

    began: float
    ended: float
    draws: Sequence[float]

    @property
    def fps(self) -> float:
        """Draws a second."""
        return len(self.draws) / (self.ended - self.began) * 1000

    @property
    def longest_gap_s(self) -> float:
        """Longest time without a draw, the ends included."""
        edges = (self.began, *self.draws, self.ended)
        return max(b - a for a, b in pairwise(edges)) / 1000


class LiveNotebook:
    """A notebook whose cells are run one by one while its page is watched.

    Parameters
    ----------
    page : Page
        Of playwright; :data:`WATCH` is added to it.
    lab : JupyterLab
        The server.
    name : str
        Of the notebook, which is written.
    *cells : str
        Code cells; all are run. A last one is added for what is run later.
    """

    def __init__(self, page: Any, lab: JupyterLab, name: str, *cells: str) -> None:
        self.page, self.name = page, name
        self._last = len(cells)
        page.add_init_script(WATCH)
        self.outputs = lab.run(page, lab.write(name, *cells, "pass"))
        failed = [
            o for cell in self.outputs for o in cell["outputs"] if o["output_type"] == "error"
        ]
        if failed:
            raise RuntimeError(f"A cell failed: {failed[0]['ename']}: {failed[0]['evalue']}")

    def now(self) -> float:
        """Return the page's time, in milliseconds."""
        return float(self.page.evaluate(NOW))

    def wait_for_draws(self, count: int = 20, timeout_s: float = 30.0) -> None:
        """Wait until so many more pictures of the output were drawn."""
        wanted = self.page.evaluate("window.draws.length") + count
        self.page.wait_for_function(f"window.draws.length >= {wanted}", timeout=timeout_s * 1000)

    def span(self, began: float, ended: float) -> Span:
        """Return what was drawn from then to then."""
        return Span(began, ended, self.between("draws", began, ended))

    def between(self, of: str, began: float, ended: float) -> list[Any]:
        """Return what one of the script's lists holds of that time."""
        found: list[Any] = self.page.evaluate(BETWEEN, [of, began, ended])
        return found

    def idle(self, seconds: float) -> Span:
        """Let so long pass."""
        began = self.now()
        self.page.wait_for_timeout(seconds * 1000)
        return self.span(began, self.now())

    def run(self, source: str, at: int | None = None) -> Span:
        """Run a cell to its end."""
        at = self._last if at is None else at
        self.page.evaluate(SET_CELL, [at, source])
        began = self.now()
        self.page.evaluate(RUN_CELL, at)
        return self.span(began, self.now())

    def begin(self, source: str, at: int | None = None) -> None:
        """Run a cell and do not wait for its end."""
        at = self._last if at is None else at
        self.page.evaluate(SET_CELL, [at, source])
        self.page.evaluate(f"(at) => void ({RUN_CELL})(at)", at)


def without_subshells(home: Path) -> None:
    """Have a JupyterLab, whose settings are under ``home``, send comm messages to the main shell.

    For pages that are opened from now on.
    """
    path = home / "settings/@jupyterlab/apputils-extension/kernels-settings.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"commsOverSubshells": "disabled"}))
