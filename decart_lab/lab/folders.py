"""Which folder a run lives in, from its id.

What belongs here: a small memory of the runs this process has made or opened, and the rule for all
others, ``<runs root>/<run id>``. It does not read or write the folders.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ..config import runs_root
from ..errors import StoreError

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_known: dict[str, Path] = {}


def check_run_id(run_id: str) -> str:
    """Return the id, or refuse one that could name a path outside the runs root.

    Raises
    ------
    StoreError
        Not the id of a run.
    """
    if not isinstance(run_id, str) or not _RUN_ID.match(run_id) or ".." in run_id:
        raise StoreError(
            f"{str(run_id)[:80]!r} is not the id of a run.",
            hint="Use a DataFrame that comes from run.df.",
        )
    return run_id


def remember(run_id: str, path: Path) -> None:
    """Note where a run of this process lives."""
    _known[check_run_id(run_id)] = Path(path).absolute()


def folder_of(run_id: str) -> Path:
    """Return the folder of a run, whether or not it exists.

    Raises
    ------
    StoreError
        Not the id of a run.
    """
    run_id = check_run_id(run_id)
    return _known.get(run_id) or (runs_root() / run_id).absolute()
