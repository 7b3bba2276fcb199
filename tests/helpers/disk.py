"""Faults of the machine a sweep runs on: a full disk, a read-only one, a folder that goes.

They are the client's side of the table of faults. The disk is a small file system of its own in
memory, so that the errors are the kernel's and reach every layer, SQLite's included, and so that
root is refused like anybody else.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

MB = 2**20


class Disk:
    """A small file system, mounted at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / ".ballast"

    @property
    def free_bytes(self) -> int:
        """What is left."""
        return shutil.disk_usage(self.path).free

    @contextlib.contextmanager
    def full(self, leave_bytes: int = 0) -> Iterator[None]:
        """Leave so much room, and no more, until the block ends."""
        with self._ballast.open("wb") as file, contextlib.suppress(OSError):
            left = self.free_bytes - leave_bytes
            while left > 0:
                left -= file.write(bytes(min(left, 65_536)))
                file.flush()
        try:
            yield
        finally:
            self._ballast.unlink()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuse every write until the block ends; files must not be open for writing."""
        _mount("-o", "remount,ro", str(self.path))
        try:
            yield
        finally:
            _mount("-o", "remount,rw", str(self.path))


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int = 32 * MB) -> Iterator[Disk]:
    """Mount a file system of that size, or skip the test where that is not allowed."""
    path = folder / "disk"
    path.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a file system of its own cannot be mounted here: {error}")
    try:
        yield Disk(path)
    finally:
        # Lazily, since a database may still be open when a test has failed.
        subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)


@contextlib.contextmanager
def vanished(folder: Path) -> Iterator[None]:
    """Let a folder be gone until the block ends, as when a drive is unplugged."""
    away = folder.with_name(f"{folder.name}.away")
    folder.rename(away)
    try:
        yield
    finally:
        if folder.exists():  # something was made in its place meanwhile
            shutil.rmtree(folder)
        away.rename(folder)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class ClientFault:
    """A row of the client's side: a name, what it does to a run's folder, and how."""

    name: str
    says: str
    strike: Callable[[Disk, Path], AbstractContextManager[None]]


CLIENT_FAULTS = (
    ClientFault("disk_full", "the disk has no room", lambda disk, _: disk.full()),
    ClientFault("read_only", "the disk may not be written", lambda disk, _: disk.read_only()),
    ClientFault("vanished_folder", "the folder is gone", lambda _, folder: vanished(folder)),
)
