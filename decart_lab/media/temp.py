"""Temporary files: one private folder per process, gone at exit.

Spooled file objects, encoded arrays and edited clips live here; nothing that a user was told the
name of, and nothing paid for.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

_lock = threading.Lock()
_numbers = itertools.count(1)
_folders: dict[int, Path] = {}


def new_path(suffix: str) -> Path:
    """Return a path that does not exist yet, in a folder only this user can read."""
    process = os.getpid()
    with _lock:
        folder = _folders.get(process)
        if folder is None or not folder.is_dir():
            folder = Path(tempfile.mkdtemp(prefix="decart-lab-"))
            _folders[process] = folder
        return folder / f"{next(_numbers):06d}{suffix}"


def remove(path: Path) -> None:
    """Delete one file of ours, if it is still there; after a fork, a parent's is not ours."""
    if path.parent == _folders.get(os.getpid()):
        with suppress(OSError):
            path.unlink(missing_ok=True)


@atexit.register
def _remove_folder() -> None:
    # After a fork the child holds its parent's entry too, and must leave it alone.
    folder = _folders.pop(os.getpid(), None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
