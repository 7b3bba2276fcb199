"""Attaching to a finished run of 1,000 points: how long, and how many requests that bill.

The run is bought from the emulator in a process of its own; a new kernel then runs the equal
sweep. Promised: under 2 s for that cell, imports excluded, and no new line in the ledger.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from _report import Row, out_argument, report

POINTS = 1000
SECONDS = 2.0

PROGRAM = """
import json, sys, time
import decart_lab as dl, pandas
from decart_lab.media import samples
lab = dl.connect(sys.argv[1])
import decart_lab.lab.opening, tqdm.auto
started = time.monotonic()
sweep = lab.sweep(model="lucy-image-2", prompt="ink", data=samples.path("cat.jpg"),
                  seed=range(int(sys.argv[2])))
run = sweep.run(concurrency=32)
ran = time.monotonic() - started
done = int((run.df["status"] == "completed").sum())
print(json.dumps({"ran_s": ran, "all_s": time.monotonic() - started, "done": done}))
"""


def cell(url: str) -> dict[str, float]:
    """Run the sweep in a new process."""
    command = [sys.executable, "-c", PROGRAM, url, str(POINTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    out = out_argument("attach")
    from decart_lab.emulator import emulator

    with (
        tempfile.TemporaryDirectory() as folder,
        emulator(render="canned", speed=100) as emu,
    ):
        os.environ["DECART_LAB_RUNS"] = folder
        bought = cell(emu.url)
        before = len(emu.ledger)
        attached = cell(emu.url)
        billed = len(emu.ledger) - before
    return report(
        "attach",
        [
            Row("points of the run, completed", attached["done"], "points", POINTS, at_least=True),
            Row("attaching to it, until run() returns", attached["ran_s"], "s", SECONDS),
            Row("and its frame", attached["all_s"], "s"),
            Row("requests that bill", billed, "requests", 0),
            Row("buying it in the first place", bought["ran_s"], "s"),
        ],
        out,
    )


if __name__ == "__main__":
    sys.exit(main())
