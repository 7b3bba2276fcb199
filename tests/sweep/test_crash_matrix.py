"""A sweep killed at every named place, and sixty times at random, ends as if it had not been.

The harness is the benchmark's, at a size for every day; ``make proof`` runs a thousand kills.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_matrix.py"
KILLS = 60


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="children are watched as on Linux")
def test_kills_lose_nothing_and_buy_nothing_twice(tmp_path):
    out = tmp_path / "kills.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", str(KILLS), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {row["name"]: row["value"] for row in json.loads(out.read_text())["rows"]}
    assert found["violations (lost, bought twice, different)"] == 0
    assert found["named places that no kill has reached"] == 0
    assert found["kills at random times"] >= KILLS
