"""Five minutes of a live preview in a real notebook: memory of kernel and page must not grow.

JupyterLab, headless Chromium, the kernel and the emulator share this machine. Looked at every five
seconds: the memory that the kernel's process and the page's renderer have to themselves. Growth is
the slope over the time after the first minute, in which everything is used once. Of the page's heap
of JavaScript it is the difference between two collections, after that minute and in the end.
Chromium's compositor shares memory with the renderer besides, a pool of its own that it fills in
half a minute, without a graphics card to some 500 MB, whatever is drawn.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import RESULTS, Row, report
from live_session import emulator
from preview import notebook, printed

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.jupyter import chromium, jupyterlab

LOOK_S = 5.0
FIRST_S = 60.0
GROWTH = {"kernel": 1.0, "page's renderer": 1.0, "page's heap": 0.5}
"""Largest growth that counts as none, in MB a minute: what the measurement itself varies by."""


def own_mb(pid: int, kind: str = "RssAnon") -> float:
    """Return the memory a process has to itself, or shares by files (``RssFile``)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(kind))) / 1024


def renderer(browser: Any) -> int:
    """Return the process of the page, which is the renderer that has worked most."""
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return int(max((p for p in found if p["type"] == "renderer"), key=lambda p: p["cpuTime"])["id"])


def heap_mb(devtools: Any) -> float:
    """Return the page's heap of JavaScript, after a collection."""
    devtools.send("HeapProfiler.collectGarbage")
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return float(next(m["value"] for m in metrics if m["name"] == "JSHeapUsedSize")) / 1e6


def slope(looks: list[tuple[float, float]]) -> float:
    """Return the growth in MB a minute, by least squares."""
    times, values = zip(*((at / 60, value) for at, value in looks if at >= FIRST_S), strict=True)
    return statistics.linear_regression(times, values).slope


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "preview_memory.json")
    parser.add_argument("--seconds", type=float, default=300.0)
    options = parser.parse_args()
    looks: dict[str, list[tuple[float, float]]] = {name: [] for name in GROWTH}
    with tempfile.TemporaryDirectory() as folder, emulator() as url, chromium() as browser:
        files, home = Path(folder, "files"), Path(folder, "home")
        files.mkdir()
        home.mkdir()
        with (
            jupyterlab(files, home) as lab,
            notebook(browser, lab, url, "memory.ipynb") as shown,
        ):
            kernel = int(printed(shown, "import os; print(os.getpid())"))
            devtools = shown.page.context.new_cdp_session(shown.page)
            devtools.send("Performance.enable")
            page, began, first = renderer(browser), time.monotonic(), shown.now()
            while (now := time.monotonic() - began) < options.seconds:
                looks["kernel"].append((now, own_mb(kernel)))
                looks["page's renderer"].append((now, own_mb(page)))
                if now >= FIRST_S and not looks["page's heap"]:
                    looks["page's heap"].append((now, heap_mb(devtools)))
                # What the watching itself keeps is not the page's.
                shown.page.evaluate("window.unanswered.length = window.said.length = 0")
                shown.page.wait_for_timeout(LOOK_S * 1000)
            looks["page's heap"].append((now, heap_mb(devtools)))
            shared = own_mb(page, "RssFile")
            drawn = shown.span(first, shown.now())
    rows = [Row("drawn meanwhile", drawn.fps, "fps")]
    for name, most in GROWTH.items():
        rows += [
            Row(f"{name}: growth", slope(looks[name]), "MB/min", most),
            Row(f"{name}: in the end", looks[name][-1][1], "MB"),
        ]
    rows.append(Row("page's renderer: shared with the compositor", shared, "MB"))
    return report("preview_memory", rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
