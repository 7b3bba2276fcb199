"""%decart fault in a real shell, against a real emulator."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

import decart_lab as dl
from decart_lab.emulator.fault_rows import FAULTS
from decart_lab.lab import connect
from tests.magics.test_magics import Cell, offered, one_shell, shell

__all__ = ["one_shell", "shell"]


@pytest.fixture
def connected(shell: InteractiveShell, emu, capsys):
    lab = dl.connect(emu.url)
    capsys.readouterr()
    yield shell
    lab.close()


def test_faults_are_armed_listed_and_cleared_from_a_cell(connected, emu):
    assert "No fault is armed" in repr(Cell(connected, "%decart fault").result)
    shown = Cell(connected, "%decart fault rate_limited:route=jobs,times=3 job_lost").result
    assert [armed.fault.name for armed in emu.faults] == ["rate_limited", "job_lost"]
    lines = repr(shown).splitlines()
    assert lines[1].split() == ["1", "rate_limited", "jobs", "3", "0", "retry_after_s=1"]
    assert lines[2].split() == ["2", "job_lost", "every", "route", "always", "0"]
    assert "<table" in shown.html
    assert "job_lost" not in repr(Cell(connected, "%decart fault --remove 2").result)
    assert "No fault is armed" in repr(Cell(connected, "%decart fault --clear").result)
    assert len(emu.faults) == 0


def test_what_there_is_can_be_listed_without_an_emulator(shell):
    text = repr(Cell(shell, "%decart fault --all").result)
    assert all(name in text for name in FAULTS)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("explode", "there is no fault 'explode'"),
        ("job_lost:route=jobs", "job_lost strikes status"),
        ("--remove 7", "No fault of number 7"),
        ("silence:times=x", "times cannot be 'x'"),
    ],
)
def test_what_cannot_be_armed_is_one_line(connected, emu, line, says):
    said = Cell(connected, f"%decart fault {line}").said
    assert says in said
    assert "Traceback" not in said
    assert len(emu.faults) == 0


def test_without_an_emulator_it_says_so(shell, monkeypatch):
    assert "connect() first" in Cell(shell, "%decart fault").said
    lab = dl.connect(api_key="dct_0123456789")
    try:
        assert "is not one" in Cell(shell, "%decart fault silence").said
    finally:
        lab.close()
        connect._current = None


def test_an_emulator_that_has_gone_is_a_short_message(shell, capsys):
    from decart_lab.emulator import emulator

    with emulator(render="canned") as emu:
        lab = dl.connect(emu.url)
    cell = Cell(shell, "%decart fault")
    lab.close()
    assert "did not answer" in cell.said
    assert "Traceback" not in cell.said


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_names_of_faults_are_completed(shell):
    found = offered(shell, "%decart fault job_", "job_")
    assert sorted(found) == ["job_failed", "job_lost", "job_stuck"]
