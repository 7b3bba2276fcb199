"""The tables of failures, of sweeps and of live sessions: read, checked, and printed."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLES = {"F": "failures.toml", "L": "session_failures.toml"}
OVER_FAULTS = {
    "F": (
        "api/test_faults.py::test_a_fault_that_lasts_is_an_error_of_the_promised_class",
        "sweep/test_faults.py::test_a_point_ends_where_the_fault_says",
    ),
    "L": ("realtime/test_faults.py::test_a_session_ends_up_where_the_fault_says",),
}
"""Parametrised over the emulator's faults: they are tests of every row that names a fault."""


@dataclass(frozen=True)
class Failure:
    """A row; see the head of failures.toml."""

    id: str
    event: str
    outcome: str
    money: str = "none"
    faults: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    uncovered: str = ""

    @property
    def shown_by(self) -> tuple[str, ...]:
        """Every test that covers it."""
        return (*self.tests, *(OVER_FAULTS[self.id[0]] if self.faults else ()))


def load(table: str) -> list[Failure]:
    """Return the rows of the table F or L in their order."""
    rows = tomllib.loads((TESTS / TABLES[table]).read_text(encoding="utf-8"))["failure"]
    return [
        Failure(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
        for row in rows
    ]


@cache
def tests_in(path: str) -> frozenset[str]:
    """Return the test functions of a file under tests/, without importing it."""
    file = TESTS / path
    if not file.is_file():
        return frozenset()

    def named(tree: ast.Module) -> Iterator[str]:
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name
            elif isinstance(node, ast.Assign):  # a state machine becomes a test by assignment
                yield from (t.id for t in node.targets if isinstance(t, ast.Name))

    names = named(ast.parse(file.read_text(encoding="utf-8")))
    return frozenset(name for name in names if name.lower().startswith("test"))


def exists(test: str) -> bool:
    """Whether a test of that name, ``path::function``, can be collected."""
    path, _, name = test.partition("::")
    return name in tests_in(path)


def summary(rows: list[Failure]) -> str:
    """Return how much is covered, and a line for each row that is not, or not wholly."""
    whole = [row for row in rows if row.shown_by and not row.uncovered]
    partly = [row for row in rows if row.shown_by and row.uncovered]
    missing = len(rows) - len(whole) - len(partly)
    counts = f"covered {len(whole)}, in part {len(partly)}, not {missing}"
    lines = [f"failures {rows[0].id[0]}: {len(rows)}; {counts}"]
    lines += [
        f"  {row.id:<4} {'in part' if row.shown_by else 'not    '}  {row.event}: {row.uncovered}"
        for row in rows
        if row.uncovered
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    for table in TABLES:
        print(summary(load(table)))
