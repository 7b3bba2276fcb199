"""How every benchmark reports: printed lines, and a file with date and machine in results/."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One promised figure.

    Parameters
    ----------
    name : str
        What was measured, in words.
    value : float
        The figure.
    unit : str
        "ms", "MB", "x", ...
    target : float, optional
        What it must not exceed, or fall below with ``at_least``; None for context only.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """Whether the promise is kept; NaN keeps none."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target


def out_argument(name: str) -> Path:
    """Parse ``--out``: where to write the JSON; by default results/<name>.json."""
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--out", type=Path, default=RESULTS / f"{name}.json")
    out: Path = parser.parse_args().out
    return out


def report(name: str, rows: Sequence[Row], out: Path | None = None) -> int:
    """Print one line per figure, write them with date and machine; 1 when a promise is broken."""
    for row in rows:
        limit = ""
        if row.target is not None:
            sign = ">=" if row.at_least else "<="
            limit = f"  {sign} {row.target:g} {row.unit}  {'ok' if row.ok else 'MISSED'}"
        print(f"{row.name:<60} {row.value:>10.4g} {row.unit}{limit}")
    out = out or RESULTS / f"{name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": sys.version.split()[0],
        },
        "rows": [
            asdict(row) | {"value": None if math.isnan(row.value) else row.value, "ok": row.ok}
            for row in rows
        ],
    }
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row.ok for row in rows) else 1
