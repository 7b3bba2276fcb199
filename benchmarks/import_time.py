"""``import decart_lab`` beside ``import pandas``, each in fresh interpreters; the best counts."""

from __future__ import annotations

import subprocess
import sys

from _report import Row, out_argument, report

ROUNDS = 7
CODE = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def _seconds(module: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", CODE.format(module)], capture_output=True, check=True, text=True
    )
    return float(run.stdout)


def main() -> int:
    """Run and report."""
    out = out_argument("import_time")
    ours: list[float] = []
    pandas: list[float] = []
    for _ in range(ROUNDS):
        ours.append(_seconds("decart_lab"))
        pandas.append(_seconds("pandas"))
    rows = [
        Row("import decart_lab", min(ours) * 1000, "ms"),
        Row("import pandas", min(pandas) * 1000, "ms"),
        Row("import decart_lab / import pandas", min(ours) / min(pandas), "x", 0.2),
    ]
    return report("import_time", rows, out)


if __name__ == "__main__":
    sys.exit(main())
