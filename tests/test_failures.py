"""The tables of what can go wrong: complete, in order, and every row leads to tests that exist."""

from __future__ import annotations

import pytest

from decart_lab.emulator.fault_rows import FAULTS
from tests.helpers.failures import OVER_FAULTS, exists, load, summary

SWEEPS, SESSIONS = load("F"), load("L")
ROWS = [*SWEEPS, *SESSIONS]


def test_no_failure_is_missing_and_they_are_in_order():
    assert [row.id for row in SWEEPS] == [f"F{number}" for number in range(1, 70)]
    assert [row.id for row in SESSIONS] == [f"L{number}" for number in range(1, 41)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_says_what_happens_what_comes_of_it_and_what_shows_it(row):
    assert row.event
    assert row.outcome
    assert row.money in ("none", "at risk", "spent")
    assert row.shown_by or row.uncovered
    assert [name for name in row.faults if name not in FAULTS] == []
    assert [test for test in row.tests if not exists(test)] == []


def test_the_tests_over_the_table_of_faults_exist():
    assert all(exists(test) for tests in OVER_FAULTS.values() for test in tests)


def test_every_fault_of_the_emulator_belongs_to_a_failure():
    """slow_answer is the one that nothing comes of; those of sessions are no sweep's."""
    named = {name for row in ROWS for name in row.faults}
    of_requests = {name for name, fault in FAULTS.items() if fault.hook != "session"}
    assert of_requests - named == {"slow_answer"}


def test_what_no_test_shows_is_said(capsys):
    with capsys.disabled():
        print(f"\n{summary(SWEEPS)}\n{summary(SESSIONS)}")
