"""Writing a run's table and files elsewhere: parquet, CSV that is safe to open, and one zip.

Files are written aside and renamed, so that a half one is never found.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import InvalidInputError, StoreError
from .accessor import Accessor

if TYPE_CHECKING:
    import pandas as pd

FORMATS: Final = (".csv", ".tsv", ".parquet")


def export(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write a table; the ending of the name chooses the format.

    Raises
    ------
    InvalidInputError
        Another ending, or parquet without pyarrow.
    StoreError
        The file cannot be written.
    """
    target = Path(path).expanduser()
    if target.suffix.lower() not in FORMATS:
        raise InvalidInputError(
            f"The table cannot be exported as {target.suffix or target.name!r}.",
            field="path",
            hint=f"Give a name that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.",
        )
    part = target.with_name(f".{target.stem}.{os.getpid()}{target.suffix}")
    try:
        if target.suffix.lower() == ".parquet":
            _parquet(frame, part)
        else:
            Accessor(frame).export(part)
        part.replace(target)
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror or type(error).__name__}.",
            hint="Give a file name in a folder that exists and that you may write to.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return target


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    try:
        frame.to_parquet(path)
    except ImportError as error:
        raise InvalidInputError(
            "Parquet needs pyarrow, which is not installed.",
            field="path",
            hint="Install it with: pip install 'decart-lab[parquet]', or export a .csv.",
        ) from error
