"""Taking a run elsewhere as one zip, and clearing away what nobody needs.

What belongs here: which files a run uses, and nothing of what they mean.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import StoreError
from .journal import JOURNAL_NAME
from .lock import INPUTS
from .store import LOCK_NAME

FOLDERS: Final = ("media", "thumbs", INPUTS, "raw")
PART: Final = ".part"


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was cleared away: how many files, and how large they were together."""

    files: int
    size_bytes: int


def used_files(rows: Iterable[Mapping[str, Any]], inputs: Collection[str] = ()) -> set[str]:
    """Return the files that a run's points use, relative to its folder.

    Parameters
    ----------
    rows : iterable of mapping
        The points: ``media`` and ``thumb``.
    inputs : collection of str
        SHA-256 of what is sent; matched by name.
    """
    return {str(row[name]) for row in rows for name in ("media", "thumb") if row.get(name)} | {
        f"{INPUTS}/{sha256}" for sha256 in inputs
    }


def pack(
    folder: Path, path: Path, used: Collection[str], copy_journal: Callable[[Path], object]
) -> Path:
    """Write a run into one zip that unpacks to its folder.

    Media is stored as it is, since it is compressed already. The zip is written beside its place
    and renamed, so that a half one is never found.

    Parameters
    ----------
    folder : Path
        The run's folder.
    path : Path
        The zip to write.
    used : collection of str
        What belongs to it, see :func:`used_files`.
    copy_journal : callable
        Writes a copy of the journal to a path, whole even while a run goes on.

    Raises
    ------
    StoreError
        A file cannot be read or written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        with (
            tempfile.TemporaryDirectory() as aside,
            zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as file,
        ):
            copy = Path(aside) / JOURNAL_NAME
            copy_journal(copy)
            for name, source in ((JOURNAL_NAME, copy), (LOCK_NAME, folder / LOCK_NAME)):
                file.write(source, f"{folder.name}/{name}", zipfile.ZIP_DEFLATED)
            for name in _present(folder, used):
                file.write(folder / name, f"{folder.name}/{name}")
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or type(error).__name__}.",
            hint="Give a file name in a folder that exists and has the space.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def clear(folder: Path, used: Collection[str], *, dry_run: bool = False) -> Cleared:
    """Remove what no point of a run uses: unfinished downloads and results nobody refers to.

    The caller sees to it that nobody is buying into the folder.

    Parameters
    ----------
    folder : Path
        The run's folder.
    used : collection of str
        What is kept, see :func:`used_files`.
    dry_run : bool, default False
        Only count.
    """
    kept = set(_present(folder, used))
    files = size = 0
    for name in list(_files(folder)):
        if name in kept:
            continue
        path = folder / name
        with contextlib.suppress(OSError):
            found = path.stat().st_size
            if not dry_run:
                path.unlink()
            files, size = files + 1, size + found
    return Cleared(files, size)


def _present(folder: Path, used: Collection[str]) -> list[str]:
    """Return what of the used files is there; an input is known by the stem of its name."""
    return [name for name in _files(folder) if name in used or _stem(name) in used]


def _stem(name: str) -> str:
    first, _, last = name.rpartition("/")
    return f"{first}/{last.partition('.')[0]}" if first == INPUTS else name


def _files(folder: Path) -> Iterator[str]:
    for top in FOLDERS:
        for path in sorted((folder / top).rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()
