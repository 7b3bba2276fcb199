"""The live table of a run of 10,000 points: what it costs the kernel, and whether the page waits.

The journal is a real one on the disk; the page is the widget's own module in Chromium, scrolled
from end to end. Promised: no task of the page over 200 ms, and looking for changes in under 50 ms,
at most four times a second.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from _report import Row, out_argument, report

sys.path.insert(0, str(Path(__file__).parents[1]))

POINTS = 10_000
TASK_MS = 200.0
LOOK_MS = 50.0

TAKE = "message => { const t = performance.now(); tell(message); return performance.now() - t }"
SORT = """() => {
  const t = performance.now();
  document.querySelectorAll('.dl-row-head button')[1].click();
  return performance.now() - t;
}"""


def kernel_side(folder: Path) -> list[Row]:
    """Measure making the table, looking for changes, and the first message."""
    from decart_lab.sweep.journal import Journal
    from decart_lab.widgets.columns import shown_columns, wanted, whole
    from decart_lab.widgets.runtable import RunTable
    from tests.browser.test_widgets import AXES, run_of

    axes = {"style": AXES["style"]}
    with Journal.create(folder / "run", {"run_id": "run"}, run_of(POINTS), axes) as journal:
        began = time.perf_counter()
        table = RunTable(journal, folder / "run", axes, lambda: False)
        made = time.perf_counter() - began
        table._closed.set()
        looks = []
        for _ in range(9):
            began = time.perf_counter()
            table.refresh()
            looks.append(time.perf_counter() - began)
        held = journal.columns_of(wanted(axes))
        message = json.dumps(whole(held, shown_columns(held, axes)))
        table.close()
    return [
        Row("make the table and its first message", 1000 * made, "ms"),
        Row("look for changes, median of 9", 1000 * sorted(looks)[4], "ms", LOOK_MS),
        Row("first message", len(message) / 1e6, "MB"),
    ]


def page_side() -> list[Row]:
    """Measure taking all rows, sorting them, and scrolling through them."""
    from decart_lab.widgets.runtable import RunTable
    from tests.browser.test_widgets import MOUNT, SCROLL, everything, run_of
    from tests.helpers.jupyter import chromium

    with chromium() as browser:
        page = browser.new_page()
        page.set_content("<!doctype html><body><div id=root></div>")
        page.evaluate(MOUNT, [RunTable._esm, RunTable._css])
        taken = page.evaluate(TAKE, everything(run_of(POINTS)))
        page.wait_for_selector(".dl-space .dl-row")
        sorted_ms = page.evaluate(SORT)
        seen = page.evaluate(SCROLL)
    return [
        Row("page: take all rows", taken, "ms", TASK_MS),
        Row("page: sort by a text", sorted_ms, "ms", TASK_MS),
        Row("page: longest task while scrolling", seen["task"], "ms", TASK_MS),
        Row("page: longest gap between frames while scrolling", seen["gap"], "ms", TASK_MS),
        Row("page: elements in the table", seen["nodes"], "nodes", 500),
    ]


def main() -> int:
    out = out_argument("live_table")
    with tempfile.TemporaryDirectory() as folder:
        rows = kernel_side(Path(folder))
    return report("live_table", [*rows, *page_side()], out)


if __name__ == "__main__":
    sys.exit(main())
