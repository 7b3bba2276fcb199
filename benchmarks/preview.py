"""A live preview in a real notebook while cells run: do the pictures keep coming, and how many.

JupyterLab, headless Chromium, the kernel and the emulator (a process of its own) share this
machine. Draws are counted in the page by the canvas itself, notes are read off the panel, and
frames without an answer are counted twice: in the page on the kernel's websocket, and in the kernel
where messages are handed to Jupyter. Each busy cell is compared with the idle rate right before and
right after it, because the machine's own speed changes; shares are medians of several rounds,
gaps, windows and recoveries the worst of all.

Promised at 480x270 and 20 frames a second: 95 % of the idle rate while a cell sleeps, computes with
numpy or awaits, 70 % in a pure-Python loop, no gap over a second, and never more frames on their
way than the largest window. Where comm messages cannot go past a running cell, a note that says so,
and the idle rate again within a second of the cell's end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _report import RESULTS, Row, report
from live_session import emulator

sys.path.insert(0, str(Path(__file__).parents[1]))

from decart_lab.widgets.flow import MOST
from tests.helpers.jupyter import JupyterLab, chromium, jupyterlab
from tests.helpers.livenotebook import CELLS, LiveNotebook, Span, without_subshells

FPS, SIZE = 20, (480, 270)
BUSY_S, IDLE_S, SETTLE_S = 5.0, 5.0, 1.5
SHARES = {"time.sleep": 0.95, "numpy": 0.95, "await": 0.95, "a Python loop": 0.70}
GAP_S = 1.0
BACK_S = 1.0
NOTE = "running cell"

CONNECT = "import decart_lab as dl\nlab = dl.connect({url!r})"
OPEN = f"live = lab.live('lucy-2.1', 'anime', source='synthetic', size={SIZE}, fps={FPS})\nlive"
# What Jupyter is handed and hands back, whatever our own counters say.
COUNT = """
def count(comm, most):
    answered, publish, handle = {}, comm.publish_msg, comm.handle_msg
    def publish_msg(kind, data=None, *args, **more):
        content = (data or {}).get("content") or {}
        if content.get("kind") == "frame":
            views, numbers = content["v"], content["i"]
            pairs = zip(views, numbers) if isinstance(views, list) else [(views, numbers)]
            for view, number in pairs:
                line = view, content["of"]
                most[0] = max(most[0], number - answered.get(line, 0))
        return publish(kind, data, *args, **more)
    def handle_msg(message):
        content = message["content"]["data"].get("content") or {}
        if content.get("kind") == "ack":
            for view, of, number, *_ in content["drawn"]:
                answered[view, of] = max(answered.get((view, of), 0), number)
        return handle(message)
    comm.publish_msg, comm.handle_msg = publish_msg, handle_msg
most = [0]
count(live.view.comm, most)
"""
TOLD = "print(most[0])"


@contextmanager
def notebook(browser: Any, lab: JupyterLab, url: str, name: str) -> Iterator[LiveNotebook]:
    """Open a notebook whose live view draws."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    try:
        shown = LiveNotebook(page, lab, name, CONNECT.format(url=url), OPEN, COUNT, "pass")
        shown.wait_for_draws()
        yield shown
    finally:
        context.close()


def printed(shown: LiveNotebook, source: str) -> str:
    """Run a cell and return what it printed."""
    shown.run(source)
    return str(
        shown.page.evaluate(
            "(at) => jupyterapp.shell.currentWidget.content.model.cells.get(at)"
            ".toJSON().outputs.map((o) => o.text ?? '').join('')",
            4,
        )
    ).strip()


def back_s(shown: LiveNotebook, ended: float, idle_fps: float) -> float:
    """Return how long after ``ended`` a second begins in which nearly all frames are drawn."""
    for late in range(100):
        begins = ended + 50 * late
        if shown.span(begins, begins + 1000).fps >= 0.9 * idle_fps:
            return late * 0.05
    return float("nan")


def past_cells(shown: LiveNotebook, rounds: int) -> list[Row]:
    """Measure what is promised where comm messages go past a running cell."""
    shown.idle(3.0)  # what only the first seconds cost
    began = shown.now()
    idle: list[Span] = [shown.idle(IDLE_S)]
    shares: dict[str, list[float]] = {kind: [] for kind in SHARES}
    busy: dict[str, list[Span]] = {kind: [] for kind in SHARES}
    for _ in range(rounds):
        for kind in SHARES:
            span = shown.run(CELLS[kind].format(s=BUSY_S))
            shown.idle(SETTLE_S)
            idle.append(shown.idle(IDLE_S))
            around = statistics.fmean(one.fps for one in idle[-2:])
            shares[kind].append(span.fps / around)
            busy[kind].append(span)
    owed = [number for _, _, number, _ in shown.between("unanswered", began, shown.now())]
    rows = [
        Row("idle: drawn", statistics.median(one.fps for one in idle), "fps"),
        Row("idle: least of all spans", min(one.fps for one in idle), "fps"),
        Row("idle: longest gap", max(one.longest_gap_s for one in idle), "s", GAP_S),
    ]
    for kind, least in SHARES.items():
        rows += [
            Row(f"{kind}: drawn", statistics.median(s.fps for s in busy[kind]), "fps"),
            Row(
                f"{kind}: of the idle rate",
                statistics.median(shares[kind]),
                "x",
                least,
                at_least=True,
            ),
            Row(f"{kind}: least of all rounds", min(shares[kind]), "x"),
            Row(f"{kind}: longest gap", max(s.longest_gap_s for s in busy[kind]), "s", GAP_S),
        ]
    most = int(printed(shown, TOLD))
    return [
        *rows,
        Row("frames on their way, at most, by the kernel's messages", most, "frames", MOST),
        Row("frames on their way, at most, by the page's", max(owed), "frames", MOST),
    ]


def behind_cells(shown: LiveNotebook, rounds: int) -> list[Row]:
    """Measure what is promised where they wait behind it."""
    shown.idle(3.0)
    told: list[float] = []
    back: list[float] = []
    first: list[float] = []
    busy: list[Span] = []
    for _ in range(rounds):
        for kind in ("time.sleep", "a Python loop"):
            idle = shown.idle(IDLE_S)
            span = shown.run(CELLS[kind].format(s=BUSY_S))
            shown.idle(SETTLE_S + 3.0)
            said = shown.between("said", span.began, span.ended)
            notes = [at for at, text in said if NOTE in text]
            told.append((notes[0] - span.began) / 1000 if notes else float("nan"))
            after = shown.span(span.ended, shown.now()).draws
            first.append((after[0] - span.ended) / 1000 if after else float("nan"))
            back.append(back_s(shown, span.ended, idle.fps))
            busy.append(span)
    left = shown.page.inner_text(".dl-note")
    return [
        Row("no subshells: cells that were told of", sum(at == at for at in told), "cells",
            len(told), at_least=True),
        Row("no subshells: told after, at most", max(told), "s"),
        Row("no subshells: drawn meanwhile", statistics.median(s.fps for s in busy), "fps"),
        Row("no subshells: longest gap", max(s.longest_gap_s for s in busy), "s"),
        Row("no subshells: first picture after the cell, at most", max(first), "s", BACK_S),
        Row("no subshells: idle rate again after, at most", max(back), "s", BACK_S),
        Row("no subshells: idle rate again after, median", statistics.median(back), "s"),
        Row("no subshells: note left over", float(NOTE in left), "notes", 0.0),
    ]  # fmt: skip


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "preview.json")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, emulator() as url, chromium() as browser:
        files, home = Path(folder, "files"), Path(folder, "home")
        files.mkdir()
        home.mkdir()
        with jupyterlab(files, home) as lab:
            with notebook(browser, lab, url, "past.ipynb") as shown:
                rows = past_cells(shown, options.rounds)
            without_subshells(home)
            with notebook(browser, lab, url, "behind.ipynb") as shown:
                rows += behind_cells(shown, max(1, options.rounds // 2))
    return report("preview", rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
