"""Opening a run of 100,000 finished points and making its table.

A journal is written as a finished sweep leaves it: every column filled, every hash another, a few
changes recorded for each point. A process of its own then opens the folder and makes the frame.
Promised: at most 3 s and 400 MB, the imports not counted.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from _report import Row, out_argument, report

from decart_lab.sweep.journal import JOURNAL_NAME, Journal
from decart_lab.sweep.table import SCHEMA, Column

POINTS = 100_000
EVENTS = 3
"""So many changes of each point are in the journal besides its plan."""

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

OPENING = """
import json, sys, time
import pandas, pydantic
from plan_scale import peak_mb, resident_mb
import decart_lab as dl
import decart_lab.lab.lab, decart_lab.lab.opening
from decart_lab.sweep.table import to_frame
to_frame([])
base = resident_mb()
started = time.perf_counter()
run = dl.open_run(sys.argv[1])
opened = time.perf_counter()
frame = run.df
made = time.perf_counter()
assert (frame["status"] == "completed").all()
print(json.dumps({"open_s": opened - started, "frame_s": made - opened, "mb": peak_mb() - base,
                  "points": len(frame)}))
"""


def value_of(column: Column, number: int) -> Any:
    """What a finished point has in a column: hashes all differ, words repeat, errors are none."""
    name, kind = column.name, column.dtype
    if name.startswith("error") or name == "http_status":
        return None
    if name in ("prompt", "template"):
        return f"a portrait in the style of painter {number % 500}, in the light of a late evening"
    if name == "params":
        return json.dumps({"prompt": f"a portrait {number % 500}", "seed": number})
    if name.endswith(("sha256", "_key")):
        distinct = number % 100 if name.startswith(("input", "reference")) else number
        return hashlib.sha256(f"{name}{distinct}".encode()).hexdigest()
    if name in ("media", "thumb", "job_id"):
        return f"{name}/ab/{hashlib.sha256(f'{name}{number}'.encode()).hexdigest()}"
    if kind in ("string", "category"):
        return f"{name} {number % 3}"
    if kind == "status":
        return "completed"
    if kind == "boolean":
        return number % 2 == 0
    if kind in ("Int16", "Int64"):
        return number % 30_000
    if kind == "Float64":
        return number * 0.001
    return BEGAN + timedelta(seconds=number)


def rows() -> Iterator[dict[str, Any]]:
    """The points."""
    for number in range(POINTS):
        yield {
            "point_id": f"{number:016x}",
            "style": f"style {number % 50}",
            "strength": number % 10 / 10,
            **{column.name: value_of(column, number) for column in SCHEMA},
        }


def main() -> int:
    out = out_argument("open_run")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        axes = {"style": "string", "strength": "Float64"}
        meta = {"run_id": "big", "service": "emulator", "sweep_id": "", "created_at": str(BEGAN)}
        Journal.create(Path(folder), meta, rows(), axes).close()
        with closing(sqlite3.connect(Path(folder) / JOURNAL_NAME)) as db, db:
            db.executemany(
                "INSERT INTO events (at, kind, point_id, changes) VALUES (?, 'status', ?, ?)",
                (
                    (number, f"{number % POINTS:016x}", f'{{"polls":{number},"queue_s":0.25}}')
                    for number in range(EVENTS * POINTS)
                ),
            )
        wrote_s = time.perf_counter() - started
        size_mb = sum(f.stat().st_size for f in Path(folder).iterdir()) / 1e6
        done = subprocess.run(
            [sys.executable, "-c", OPENING, folder],
            cwd=Path(__file__).parent,
            check=True,
            capture_output=True,
            text=True,
        )
        found = json.loads(done.stdout)
    return report(
        "open_run",
        [
            Row("points", found["points"], "points", POINTS, at_least=True),
            Row("opening the run and its table", found["open_s"] + found["frame_s"], "s", 3.0),
            Row("of that, opening", found["open_s"], "s"),
            Row("peak memory of both, over imports", found["mb"], "MB", 400.0),
            Row("making the points and writing their journal", wrote_s, "s"),
            Row("size of the journal", size_mb, "MB"),
        ],
        out,
    )


if __name__ == "__main__":
    sys.exit(main())
