"""The parts of the front ends that need no page, under node's own test runner."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from decart_lab.display.html import money, plural, seconds
from decart_lab.widgets import livepage
from decart_lab.widgets.runtable import RunTable
from decart_lab.widgets.sweeppanel import SweepPanel

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "decart_lab/widgets/static"
AMOUNTS = [None, 0.0, 0.02, 0.0042, 0.32, 1234.5, 0.125, -0.5]
DURATIONS = [None, 0.0421, 0.996, 12.38, 99.94, 754, 3600 * 3 + 61]


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    return found


def run(*command: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


@pytest.mark.parametrize("path", sorted(p.name for p in HERE.glob("*.test.mjs")))
def test_the_modules_do_what_their_own_tests_say(node, path):
    figures = {
        "money": [[value, money(value)] for value in AMOUNTS],
        "seconds": [[value, seconds(value)] for value in DURATIONS],
        "points": [[value, plural(value, "point")] for value in (0, 1, 1200)],
    }
    environment = {**os.environ, "FIGURES": json.dumps(figures)}
    done = run(node, "--test", str(HERE / path), env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


JOINED = {
    "run table": (RunTable._esm, "w.render", "export default { render };"),
    "sweep panel": (SweepPanel._esm, "w.render", "export default { render };"),
    "live": (livepage.ESM, "w().initialize", "export default () => {"),
}


@pytest.mark.parametrize(("source", "hook", "export"), JOINED.values(), ids=list(JOINED))
def test_the_joined_module_is_one_that_a_front_end_can_load(node, source, hook, export, tmp_path):
    joined = tmp_path / "widget.mjs"
    joined.write_text(source, encoding="utf-8")
    look = f"import w from {joined.as_uri()!r}; console.log(typeof {hook})"
    done = run(node, "--input-type=module", "-e", look)
    assert done.stdout == "function\n", done.stderr
    assert "import" not in re.findall(r"^\w+", source, re.MULTILINE)
    assert re.findall(r"^export .*", source, re.MULTILINE) == [export]
    assert not re.search(r"^[ \t]*(//|/\*)|^[ \t]", source, re.MULTILINE), "comments stay at home"


def test_what_is_sent_with_a_live_view_is_small():
    assert len(livepage.ESM.encode()) < 60_000
    assert len(livepage.CSS.encode()) < 15_000
    assert ".dl-grid" not in livepage.CSS, "what galleries need is not sent with it"


def test_no_module_writes_markup_or_asks_another_server():
    sources = {path.name: path.read_text(encoding="utf-8") for path in STATIC.iterdir()}
    for name, source in sources.items():
        # Indentation is taken away when files are joined, which would change a text of many lines.
        assert all(line.count("`") % 2 == 0 for line in source.splitlines()), name
        for banned in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "http:", "https:"):
            assert banned not in source, f"{name} holds {banned}"
