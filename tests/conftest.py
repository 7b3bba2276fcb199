"""What holds for every test: a clean environment, no outside network, real inputs, honest skips."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# An example may take as long as a busy machine needs for it.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

KEPT = ("DECART_LAB_TEST_DATA", "DECART_LAB_REQUIRE")
REPORTED = (
    "ipykernel",
    "ipywidgets",
    "anywidget",
    "pandas",
    "aiortc",
    "av",
    "httpx",
    "httpx-aiohttp",
    "nest-asyncio",
    "nest-asyncio2",
)
OURS = ("decart", "emulator")
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::ffff:127.")


def pytest_report_header() -> str:
    """Name the versions that bug reports turn on."""
    versions = []
    for name in REPORTED:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} absent")
    required = os.environ.get("DECART_LAB_REQUIRE") or "nothing"
    data = os.environ.get("DECART_LAB_TEST_DATA") or "the bundled samples"
    libraries = ", ".join([*versions, f"SQLite {sqlite3.sqlite_version}"])
    return f"{libraries}\ninputs: {data}; must run: {required}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    """Turn a skip for want of something in DECART_LAB_REQUIRE into a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2])
        required = os.environ.get("DECART_LAB_REQUIRE", "").replace(",", " ").split()
        missing = [tool for tool in required if tool.lower() in reason.lower()]
        if missing:
            report.outcome = "failed"
            report.longrepr = f"DECART_LAB_REQUIRE names {', '.join(missing)}, but: {reason}"
    return report


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio, as everything else here does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's machine reaches a test, and runs land in its own folder."""
    for name in list(os.environ):
        if (name.startswith("DECART_") and name not in KEPT) or name == "JUPYTER_SERVER_URL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("DECART_LAB_RUNS", str(tmp_path / "decart_runs"))


def outside(address: object) -> bool:
    """Say whether a socket address leaves this machine."""
    host = address[0] if isinstance(address, tuple) and address else ""
    return isinstance(host, str) and host != "" and not host.startswith(LOOPBACK)


@pytest.fixture(autouse=True)
def outside_attempts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Refuse connections that leave the machine, and fail the test that tried.

    The refusal alone would not do: the code under test may well handle it. A test that means to
    try clears the list.
    """
    attempts: list[object] = []
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse(address: object) -> bool:
        if outside(address):
            attempts.append(address)
            return True
        return False

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if refuse(address):
            raise ConnectionRefusedError(f"The tests do not leave this machine: {address!r}")
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        return 111 if refuse(address) else connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    yield attempts
    assert not attempts, f"this test tried to connect to {attempts}"


@pytest.fixture(scope="session")
def data_dir() -> Path | None:
    """Folder of real inputs, when the machine has one; None means the bundled samples."""
    folder = os.environ.get("DECART_LAB_TEST_DATA", "").strip()
    if not folder:
        return None
    path = Path(folder).expanduser().resolve()
    assert path.is_dir(), f"DECART_LAB_TEST_DATA is not a folder: {path}"
    return path


def real_or_sample(data_dir: Path | None, real: str, sample: str) -> Path:
    """Path of a real input, or of the bundled sample that stands in for it."""
    if data_dir is not None:
        path = data_dir / real
        assert path.is_file(), f"DECART_LAB_TEST_DATA holds no {real}"
        return path
    from decart_lab.media import samples

    names = samples.names()
    return samples.path(next((n for n in names if n.startswith(sample)), names[0]))


@pytest.fixture(scope="session")
def photo(data_dir: Path | None) -> Path:
    """A landscape photograph."""
    return real_or_sample(data_dir, "image.png", "coffee")


@pytest.fixture(scope="session")
def portrait(data_dir: Path | None) -> Path:
    """An upright photograph."""
    return real_or_sample(data_dir, "person.webp", "rocket")


@pytest.fixture(scope="session")
def clip(data_dir: Path | None) -> Path:
    """A few seconds of video."""
    return real_or_sample(data_dir, "video.mp4", "clip")


@pytest.fixture
def emu() -> Iterator[Any]:
    """A fresh emulator on a port of its own, quick and with canned pictures."""
    from decart_lab.emulator import emulator

    with emulator(port=0, speed=100.0, render="canned") as running:
        yield running


class Threads:
    """The threads that have begun since this was made.

    A test counts its own: those of the test before it may still be ending.
    """

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def new(self, *prefixes: str) -> list[str]:
        """Return the names of new threads that still run; ours, when no beginning is given."""
        new = set(threading.enumerate()) - self._before
        return sorted(thread.name for thread in new if thread.name.startswith(prefixes or OURS))


@pytest.fixture
def threads() -> Threads:
    """The threads that begin during a test."""
    return Threads()
