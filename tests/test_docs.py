"""The README and CONTRIBUTING name everything there is, and the README's code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import decart_lab
from decart_lab import cli, config, errors
from decart_lab.contract import models, prices
from decart_lab.magics.words import WORDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
QUOTED = set(re.findall(r"`([^`\n]+)`", README))


@pytest.mark.parametrize("name", decart_lab.__all__)
def test_every_public_name_is_in_the_readme(name):
    assert name in QUOTED


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n != "combined"])
def test_every_error_is_in_the_readme(name):
    assert name in QUOTED


@pytest.mark.parametrize("name", sorted({*models.names("image"), *models.names("video")}))
def test_every_current_model_is_in_the_readme_with_its_size_and_price(name):
    row = models.find(name, "image", "video")
    [line] = [line for line in README.splitlines() if line.startswith("|") and f"`{name}`" in line]
    assert f"{row.width}x{row.height}" in line
    assert row.kind == "image" or f"{row.fps} fps" in line
    price = prices.price_of(row.canonical)
    amounts = [f"{usd:g}" for _, usd in price.per_image] or [f"{price.per_s:g}"]
    said = line.split("|")[-2]
    assert all(amount in said for amount in amounts) or (amounts == ["nan"] and "unknown" in said)


@pytest.mark.parametrize("name", [v for n, v in vars(config).items() if n.startswith("ENV_")])
def test_every_setting_is_in_the_readme(name):
    assert name in QUOTED


def test_no_module_reads_a_setting_behind_the_table_s_back():
    found = set()
    for path in (ROOT / "decart_lab").rglob("*.py"):
        found |= set(re.findall(r"\bDECART_[A-Z_]+\b", path.read_text(encoding="utf-8")))
    assert found - {"DECART_ERROR"} <= QUOTED


@pytest.mark.parametrize("word", cli.WORDS)
def test_every_command_is_in_the_readme(word):
    assert f"decart-lab {word}" in QUOTED


@pytest.mark.parametrize("word", WORDS.values(), ids=lambda word: word.name or "bare")
def test_every_magic_word_is_in_the_readme(word):
    assert f"{'%%' if word.cell else '%'}decart {word.name}".rstrip() in QUOTED


def test_every_notebook_is_in_the_readme():
    linked = set(re.findall(r"\(notebooks/(\w+\.ipynb)\)", README))
    assert linked == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_every_make_word_is_in_contributing():
    words = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert [word for word in words if f"`make {word}`" not in CONTRIBUTING] == []


def test_every_package_and_module_of_the_house_is_on_the_map():
    units = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "decart_lab").iterdir()
        if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists())
    }
    assert [unit for unit in sorted(units) if unit not in CONTRIBUTING] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_a_document_links_to_what_exists_and_has_one_sentence_per_line(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (ROOT / link).exists()] == []
    prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    crowded = [
        ln for ln in prose.splitlines() if not ln.startswith("|") and re.search(r"\w\. [A-Z]", ln)
    ]
    assert crowded == []


def test_the_readme_s_python_runs(tmp_path, monkeypatch):
    """Block after block in one namespace, as a reader would; the emulator answers."""
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) >= 2
    assert len([ln for ln in blocks[0].splitlines() if ln.strip()]) == 8
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    try:
        for block in blocks:
            exec(compile(block, "README.md", "exec"), names)
    finally:
        names["lab"].close()
    run = names["run"]
    assert list(run.df["status"]) == ["completed"] * 4
    assert (tmp_path / "output.mp4").stat().st_size > 10_000
