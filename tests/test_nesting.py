"""allow_asyncio_run(): in processes of their own, because the patch cannot be undone."""

from __future__ import annotations

import subprocess
import sys

CELL = """
import asyncio, sys
{before}
from decart_lab import allow_asyncio_run
async def main(): return 5
async def cell():
    allow_asyncio_run()
    print(asyncio.run(main()))
    allow_asyncio_run()
asyncio.run(cell())
"""


def lines(program):
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=30, capture_output=True, text=True
    )
    return (done.stdout + done.stderr).splitlines()


def test_asyncio_run_works_inside_a_running_loop_and_one_line_says_how():
    first, result, again = lines(CELL.format(before=""))
    assert first.startswith("asyncio.run() is now allowed in cells, through nest_asyncio")
    assert result == "5"
    assert again == "asyncio.run() is already allowed in cells."


def test_the_original_library_serves_where_the_fork_is_missing():
    first, result, _ = lines(CELL.format(before="sys.modules['nest_asyncio2'] = None"))
    assert first == "asyncio.run() is now allowed in cells, through nest_asyncio."
    assert result == "5"


def test_without_either_library_the_error_names_the_other_way():
    before = "sys.modules['nest_asyncio'] = sys.modules['nest_asyncio2'] = None"
    last = lines(CELL.format(before=before))[-1]
    assert "Neither nest_asyncio2 nor nest_asyncio" in last
    assert "await main()" in last


def test_a_loop_that_cannot_be_patched_is_named():
    before = """
import types
class Fixed(asyncio.SelectorEventLoop): pass
def refuse(loop): raise ValueError("Can't patch loop of type " + str(type(loop)))
sys.modules["nest_asyncio2"] = types.SimpleNamespace(apply=refuse)
"""
    text = lines(CELL.format(before=before))[-1]
    assert "cannot patch this event loop" in text


def test_outside_a_loop_nothing_is_patched():
    program = """
import asyncio
from decart_lab import allow_asyncio_run
allow_asyncio_run()
print(hasattr(asyncio, "_nest_patched"))
"""
    assert lines(program) == [
        "No event loop is running here: asyncio.run() works as it is.",
        "False",
    ]
