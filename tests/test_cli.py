"""The decart-lab command: its words, and how its failures are told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from decart_lab import cli


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "decart_lab", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )


def test_help_lists_every_word_and_nothing_else(capsys):
    assert cli.main([]) == 0
    listed = re.findall(r"^  (\w+) {2,}\w", capsys.readouterr().out, flags=re.MULTILINE)
    assert [word for word in listed if word != "WORD"] == list(cli.WORDS)


@pytest.mark.parametrize("word", cli.WORDS)
def test_every_word_explains_itself(word, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([word, "--help"])
    assert end.value.code == 0
    assert f"usage: decart-lab {word}" in capsys.readouterr().out


def test_the_version_is_one_line():
    assert re.fullmatch(r"decart-lab \d+\.\d+\.\d+\S*\n", run("--version").stdout)


def test_an_unknown_word_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["dmeo"])
    assert end.value.code == 2
    assert "demo" in capsys.readouterr().err


def test_a_failure_is_a_sentence_and_not_a_traceback(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    failed = run("demo", "--out", "taken/here", cwd=tmp_path)
    assert failed.returncode == 1
    assert "decart-lab demo: The folder" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_emulator_serves_until_it_is_interrupted():
    command = [sys.executable, "-m", "decart_lab", "emulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline()
            assert re.fullmatch(r"decart-lab emulator listening on http://127\.0\.0\.1:\d+\n", line)
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


@pytest.mark.slow
def test_the_demo_makes_what_it_promises(tmp_path):
    shown = run("demo", "--out", "out", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("completed") >= 16
    assert "True" in shown.stdout, "it says that the results are simulated"
    for name in ("report.html", "contact_sheet.png"):
        assert str(tmp_path / "out" / name) in shown.stdout
        assert (tmp_path / "out" / name).stat().st_size > 50_000
    media = list(Path(os.environ["DECART_LAB_RUNS"]).glob("*/media/*/*"))
    assert sorted({path.suffix for path in media}) == [".mp4", ".png"]
    assert len(media) == 16
