"""The tests' own ground rules, seen at work on small suites."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def outcome(tmp_path):
    """Run a test file under a copy of our conftest and return what pytest said."""

    def run(source: str, *options: str, **env: str) -> str:
        (tmp_path / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"))
        (tmp_path / "test_small.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", str(tmp_path)]
        command += options
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **env}
        ).stdout

    return run


def test_a_connection_that_leaves_the_machine_fails_the_test_that_swallows_it(outcome):
    said = outcome("""
import socket
def test_it():
    try:
        socket.create_connection(("192.0.2.1", 443), timeout=1)
    except OSError:
        pass
""")
    assert "tried to connect to [('192.0.2.1', 443)]" in said
    assert "1 error" in said


def test_settings_of_the_machine_do_not_reach_a_test(outcome):
    said = outcome(
        """
import asyncio
import os
def test_it(tmp_path):
    assert "DECART_API_KEY" not in os.environ
    assert "DECART_LAB_URL" not in os.environ
    assert os.environ["DECART_LAB_RUNS"].startswith(str(tmp_path))
""",
        DECART_API_KEY="a-real-one",
        DECART_LAB_URL="https://example.com",
    )
    assert "1 passed" in said


@pytest.mark.parametrize("processes", ["0", "2"])
@pytest.mark.parametrize(("required", "result"), [("", "1 skipped"), ("chromium,node", "1 failed")])
def test_a_skip_is_listed_and_for_want_of_a_required_tool_a_failure(
    outcome, required, result, processes
):
    said = outcome(
        'import pytest\ndef test_it():\n    pytest.skip("chromium is not installed")\n',
        *("--numprocesses", processes),
        DECART_LAB_REQUIRE=required,
    )
    assert result in said
    assert "chromium is not installed" in said


def test_other_skips_stay_skips(outcome):
    said = outcome(
        'import pytest\ndef test_it():\n    pytest.skip("the registry cannot be reached")\n',
        DECART_LAB_REQUIRE="chromium,node",
    )
    assert "1 skipped" in said
