"""How grids behave at scale: planning 100,000 points, counting and sampling a billion.

Promised: 100,000 points checked, named and priced in at most 5 s, in at most 400 MB over what the
imports take; a grid of 10^9 points with filters counted, and 500 of its points drawn, in under
100 ms and in memory that does not grow with the grid.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd  # noqa: F401  (so that its memory counts among the imports)
from _report import Row, out_argument, report

import decart_lab.media.probe  # noqa: F401
from decart_lab.media import samples
from decart_lab.sweep.grid import Grid
from decart_lab.sweep.plan import build_plan
from decart_lab.sweep.template import template

POINTS = 100_000
ROUNDS = 5


def seconds(job: Callable[[], Any]) -> tuple[float, Any]:
    """How long a job takes, and what it gives."""
    started = time.perf_counter()
    found = job()
    return time.perf_counter() - started, found


def resident_mb(line: str = "VmRSS:") -> float:
    """Resident size of this process, in MB of 10**6 bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(text.split()[1]) * 1024 / 1e6 for text in status if text.startswith(line))


def peak_mb() -> float:
    """Largest resident size of this process so far."""
    return resident_mb("VmHWM:")


def sweep_grid() -> Grid:
    """A hundred thousand points of a template, pictures and seeds."""
    look = template(
        "a {style} look in {light} light",
        style=[f"style {number}" for number in range(50)],
        light=[f"light {number}" for number in range(10)],
    )
    pictures = [samples.path(name) for name in samples.names() if name.endswith(".jpg")][:2]
    return Grid.of(model="lucy-image-2", prompt=look, data=pictures, seed=range(100))


def billion() -> Grid:
    """Nine axes of ten values, with filters of one axis, of two, and of a function."""
    grid = Grid.of(**{f"axis{number}": range(10) for number in range(9)})
    grid = grid.where("not (axis0 == 3 and axis1 in [2, 5])").where("axis2 != 7")
    return grid.where(lambda axis3, axis4: axis3 != axis4)


def wide() -> Grid:
    """Three axes of a thousand values, filtered on one and on two of them."""
    grid = Grid.of(alpha=range(1000), beta=range(1000), gamma=range(1000))
    return grid.where("alpha < 500").where("beta < gamma")


def main() -> int:
    out = out_argument("plan_scale")
    rows = []

    base = resident_mb()
    took, plan = seconds(lambda: build_plan(sweep_grid(), service="emulator"))
    assert len(plan.points) == len(plan.runnable) == POINTS
    rows += [
        Row("planning 100,000 points", took, "s", 5.0),
        Row("memory of the plan, over imports", resident_mb() - base, "MB", 400.0),
    ]
    took, _ = seconds(plan.frame)
    rows += [
        Row("the plan's table", took, "s"),
        Row("memory with the table, over imports", resident_mb() - base, "MB"),
    ]

    counted, drawn, both = [], [], []
    for number in range(ROUNDS):
        count_s, count = seconds(lambda: billion().count())
        draw_s, points = seconds(lambda number=number: list(billion().sample(500, number).points()))
        assert count == 98 * 9 * 90 * 10**4
        assert len(points) == 500
        counted.append(count_s)
        drawn.append(draw_s)
        both.append(count_s + draw_s)
    rows += [
        Row("counting 10^9 points under three filters", median(counted) * 1000, "ms"),
        Row("sampling 500 of them", median(drawn) * 1000, "ms"),
        Row("both", median(both) * 1000, "ms", 100.0),
    ]
    tracemalloc.start()
    billion().count()
    list(billion().sample(500).points())
    rows.append(
        Row("memory of both, at the most", tracemalloc.get_traced_memory()[1] / 1e6, "MB", 5)
    )
    tracemalloc.stop()

    took, bounds = seconds(lambda: wide().bounds())
    rows.append(Row("bounds of 10^9 points where filters share long axes", took * 1000, "ms", 100))
    print(f"    ({bounds})")
    took, _ = seconds(lambda: list(wide().sample(500).points()))
    rows.append(Row("sampling 500 of them", took * 1000, "ms", 100))
    return report("plan_scale", rows, out)


if __name__ == "__main__":
    sys.exit(main())
