"""The folder of a run: inputs and results by content, thumbnails, and what was to be run.

A file gets its last name only when it is whole and synced, and the folder is synced before anybody
is told. Everything written here can be looked at with a file browser and copied to another machine.
Names come from hashes and from a closed list of suffixes, never from the service or the user.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import DecartSDKError, StoreError
from ..media.sniff import FORMATS, sniff
from ._crashpoints import here
from ._schema import sync_folder

if TYPE_CHECKING:
    from ..media.prepared import PreparedInput

LOCK_NAME: Final = "run.lock.json"
THUMB_SIZE: Final = 320
IGNORE_ALL: Final = "# Results are bought, not written: keep them out of version control.\n*\n"


@dataclass(frozen=True, slots=True)
class Stored:
    """One result in the store.

    Attributes
    ----------
    path : Path
        Where it lies.
    media : str
        The same relative to the folder, with forward slashes.
    sha256 : str
        Of the bytes.
    size_bytes : int
        How many there are.
    is_clip : bool
        Whether it moves.
    """

    path: Path
    media: str
    sha256: str
    size_bytes: int
    is_clip: bool = False


class Store:
    """Results under one folder, each once, named after its content.

    Parameters
    ----------
    folder : Path
        The run's folder.
    root : Path
        The folder of all runs, which is kept out of version control.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.root = root
        self._kept: dict[str, Path] = {}
        self._synced: set[Path] = set()
        self._keeping = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def create(self) -> None:
        """Make the folder, and keep version control out of the root.

        Raises
        ------
        StoreError
            The folder cannot be made.
        """
        with _wrapped("made", self.folder):
            (self.folder / "media").mkdir(parents=True, exist_ok=True)
            (self.folder / "thumbs").mkdir(exist_ok=True)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text(IGNORE_ALL, encoding="utf-8")

    def incoming_path(self, name: str) -> Path:
        """Return where a result of that name is downloaded to, before it has its place."""
        return self.folder / "media" / "incoming" / name

    def arrival_path(self, point_id: str, number: int) -> Path:
        """Return where the result of one attempt at a point is downloaded to.

        Each attempt has a name of its own: a picture answered at once is evidence of the attempt
        that it answers, see :mod:`decart_lab.sweep.arrivals`.
        """
        return self.incoming_path(f"{point_id}.{number}")

    def incoming(self, name: str) -> Path:
        """Return the same, and make the folder; blocking.

        Raises
        ------
        StoreError
            The disk refuses, which is better known before something is bought.
        """
        with _wrapped("written", self.folder):
            (self.folder / "media" / "incoming").mkdir(parents=True, exist_ok=True)
        return self.incoming_path(name)

    def adopt(self, path: Path, sha256: str | None = None) -> Stored:
        """Move a downloaded, synced result to the place its content gives it.

        Blocking. The same content downloaded twice is stored once; one that is in its place
        already, because a kernel died just then, is left there.

        Parameters
        ----------
        sha256 : str, optional
            Of the bytes, where it was computed while they came in.

        Raises
        ------
        StoreError
            The disk refused.
        """
        with _wrapped("written", self.folder):
            with path.open("rb") as file:
                found = sniff(file.read(64))
            sha256 = sha256 or digest_of(path)
            target = self.folder / media_name(sha256, found.suffix if found else "")
            size = path.stat().st_size
            target.parent.mkdir(parents=True, exist_ok=True)
            here("rename.before")
            path.replace(target)
            here("rename.after")
            sync_folder(target.parent)
            if target.parent not in self._synced:  # a new folder's own name, once
                sync_folder(target.parent.parent)
                self._synced.add(target.parent)
            here("sync.after")
        is_clip = found is not None and found.kind == "video"
        return Stored(target, target.relative_to(self.folder).as_posix(), sha256, size, is_clip)

    def held(self, sha256: str) -> Path | None:
        """Return a result that is in its place by its hash; its bytes are looked at."""
        for path in sorted((self.folder / "media" / sha256[:2]).glob(f"{sha256}.*")):
            if digest_of(path) == sha256:
                return path
        return None

    def keeps(self, item: PreparedInput) -> bool:
        """Return whether what is sent is in the run's folder, as far as is known without a look."""
        return item.sha256 in self._kept

    def keep_input(self, item: PreparedInput) -> Path:
        """Copy what is sent into the run's folder, once, so that the folder alone can go on.

        A copy and not a link: a link would change with the original.

        Raises
        ------
        StoreError
            The disk refused.
        InvalidInputError
            The file is not what it was when it was checked.
        """
        sha256 = item.sha256
        kept = self._kept.get(sha256)
        if kept is not None:
            return kept
        target = self.folder / "inputs" / f"{sha256}{_suffix(item)}"
        with self._keeping, _wrapped("written", self.folder):
            if not target.exists():
                here("input.before")
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_name(f".{sha256}.{os.getpid()}.part")
                with item.open() as source, part.open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(target)
                sync_folder(target.parent)
                here("input.after")
        self._kept[sha256] = target
        return target

    def write_lock(self, content: Mapping[str, Any]) -> None:
        """Write what is being run, so that the folder explains itself."""
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        with _wrapped("written", self.folder):
            part = self.folder / f"{LOCK_NAME}.part"
            with part.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())  # without it no point can be bought after a power cut
            part.replace(self.folder / LOCK_NAME)
            sync_folder(self.folder)

    # -- thumbnails ----------------------------------------------------------------------------

    def thumb_later(self, stored: Stored, made: Callable[[str], object]) -> None:
        """Make the thumbnail of a result in a thread of its own, and tell its name then.

        Nobody waits for it: the result is what was paid for, with or without a picture of it.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="decart-lab-thumbs")

        def work() -> None:
            thumb = self.make_thumb(stored.path, stored.sha256, is_clip=stored.is_clip)
            if thumb:
                made(thumb)

        self._pool.submit(work)

    def finish_thumbs(self) -> None:
        """Wait until the thumbnails that were asked for are made; blocking."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)

    def make_thumb(self, path: Path, sha256: str, *, is_clip: bool) -> str:
        """Make a thumbnail; return its path relative to the folder, "" when there can be none."""
        from ..media.image import thumbnail
        from ..media.video import poster

        relative = f"thumbs/{sha256}.webp"
        if (self.folder / relative).exists():
            return relative
        try:
            content = thumbnail(poster(path) if is_clip else path, THUMB_SIZE)
            with _wrapped("written", self.folder):
                # Named by chance: equal results of several points arrive at the same time.
                part = self.folder / f"{relative}.{secrets.token_hex(4)}.part"
                part.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(content)
                part.replace(self.folder / relative)
        except DecartSDKError:
            return ""  # the result is what was paid for, with or without a picture of it
        return relative


def media_name(sha256: str, suffix: str) -> str:
    """Return where content lies, relative to the folder.

    Examples
    --------
    >>> media_name("ab12", ".png")
    'media/ab/ab12.png'
    """
    return f"media/{sha256[:2]}/{sha256}{suffix}"


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _suffix(item: PreparedInput) -> str:
    return next((row.suffix for row in FORMATS if row.name == item.probe.format), "")


@contextmanager
def _wrapped(verb: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"The run folder {folder} cannot be {verb}: {error.strerror or error}.",
            hint="Check the disk's space and permissions, or set DECART_LAB_RUNS elsewhere.",
        ) from error
