"""A client for the emulator under test, and the smallest inputs that pass for media."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from decart_lab.emulator import Emulator, emulator
from tests.helpers.clips import moving, still, write_clip
from tests.helpers.rest import KEY


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A small PNG."""
    return still("PNG")


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of moving picture."""
    path = tmp_path_factory.mktemp("clips") / "tiny.mp4"
    return write_clip(path, moving(10, 128, 96), fps=20)


@pytest.fixture(scope="module")
def shared_emu() -> Iterator[Emulator]:
    """One emulator for the tests of a module that do not count anything."""
    with emulator(speed=200.0, render="canned", allow_origins=["https://app.example"]) as running:
        yield running


@pytest.fixture(scope="module")
def shared(shared_emu: Emulator) -> Iterator[httpx.Client]:
    """A client of the module's emulator."""
    with httpx.Client(base_url=shared_emu.url, headers=KEY, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def stranger(shared_emu: Emulator) -> Iterator[httpx.Client]:
    """A client of the module's emulator that has no key."""
    with httpx.Client(base_url=shared_emu.url, timeout=30) as client:
        yield client


@pytest.fixture
def http(emu: Emulator) -> Iterator[httpx.Client]:
    """A client of the test's own emulator."""
    with httpx.Client(base_url=emu.url, headers=KEY, timeout=30) as client:
        yield client
