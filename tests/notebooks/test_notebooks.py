"""The notebooks run from top to bottom, without a key, and are committed clean."""

from __future__ import annotations

import re
import time
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMIT_S = 120


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_without_a_key(path, tmp_path):
    notebook = read(path)
    client = nbclient.NotebookClient(
        notebook,
        timeout=LIMIT_S,
        startup_timeout=LIMIT_S,
        store_widget_state=False,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    started = time.monotonic()
    client.execute()
    assert time.monotonic() - started < LIMIT_S
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    warned = [o for o in outputs if o.get("name") == "stderr" and "Warning" in o["text"]]
    assert warned == []
    assert any("image/png" in o.get("data", {}) or "<" in str(o.get("data")) for o in outputs)
    saved = len(nbformat.writes(notebook))
    assert saved < 5_000_000, f"saved with its outputs it would have {saved} bytes"


def test_there_are_notebooks_and_they_are_numbered():
    numbers = [path.name[:3] for path in NOTEBOOKS]
    assert numbers == [f"{n:02}_" for n in range(1, len(NOTEBOOKS) + 1)]
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_is_committed_clean(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.nbformat_minor >= 5
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert "version" not in notebook.metadata.get("language_info", {})
    assert [c.outputs for c in code(path) if c.outputs] == []
    assert [c.execution_count for c in code(path) if c.execution_count is not None] == []
    assert all(c.metadata == {} for c in notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_holds_no_key_and_no_path_of_somebody_s_machine(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/home/|/Users/|/root/|/tmp/|[A-Z]:\\\\", text)
    assert not re.search(r"\b(sk|dct|ek)[-_][A-Za-z0-9]{8,}", text)


def test_all_begin_and_end_alike():
    assert len({code(path)[0].source for path in NOTEBOOKS}) == 1
    assert {code(path)[-1].source for path in NOTEBOOKS} == {"lab.close()"}
