"""A little space kept free beside the journal, for job ids that a full disk would lose.

The blocks are written before anything is bought, so that writing into them needs no more. What is
found in them goes into the journal when somebody takes the run again.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Final

RESERVE_NAME: Final = "job-ids.reserve"
SIZE_BYTES: Final = 65_536


class Reserve:
    """Space for job ids in a run's folder; blocking.

    Parameters
    ----------
    folder : Path
        The run's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESERVE_NAME
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Take the space, and forget what was in it; a disk that refuses is found out soon."""
        with self._lock, contextlib.suppress(OSError):
            old = self._path.stat().st_size if self._path.exists() else 0
            with self._path.open("r+b" if old else "wb") as file:
                file.write(b"\n" * max(SIZE_BYTES, old))
                file.flush()
                os.fsync(file.fileno())

    def keep(self, attempt: int, job_id: str) -> None:
        """Write a job id into the space; what cannot be written stays in the service's hands."""
        line = json.dumps([attempt, job_id]).encode() + b"\n"
        with self._lock, contextlib.suppress(OSError), self._path.open("r+b") as file:
            file.seek(len(file.read().rstrip(b"\n")))
            file.write(b"\n" + line)
            file.flush()
            os.fsync(file.fileno())

    def kept(self) -> list[tuple[int, str]]:
        """Return the attempts and job ids that are in the space."""
        found: list[tuple[int, str]] = []
        with self._lock, contextlib.suppress(OSError):
            for line in self._path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError, TypeError):
                    attempt, job_id = json.loads(line)
                    found.append((int(attempt), str(job_id)))
        return found
