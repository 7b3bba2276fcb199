"""The folder of a run: results by content, thumbnails, and the lock that says what was run.

Everything written here can be looked at with a file browser and copied to another machine. Names
come from hashes and from a closed list of suffixes, never from the service or the user.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import DecartSDKError, StoreError

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
    media, thumb : str
        Paths relative to the folder, with forward slashes; thumb is "" when none could be made.
    sha256 : str
        Of the bytes.
    size_bytes : int
        How many there are.
    """

    path: Path
    media: str
    thumb: str
    sha256: str
    size_bytes: int


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

    def incoming(self, name: str) -> Path:
        """Return where a result of that name may be downloaded to, before it has a hash."""
        with _wrapped("written", self.folder):
            folder = self.folder / "media" / "incoming"
            folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def adopt(self, path: Path) -> Stored:
        """Move a downloaded result to the place its content gives it, and make its thumbnail.

        Blocking. The same content downloaded twice is stored once.

        Raises
        ------
        StoreError
            The disk refused.
        """
        from ..media.sniff import sniff

        with _wrapped("written", self.folder):
            sha256, head, size = _digest(path)
            found = sniff(head)
            suffix = found.suffix if found else ""
            relative = f"media/{sha256[:2]}/{sha256}{suffix}"
            target = self.folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        thumb = self._thumb(target, sha256, is_clip=found is not None and found.kind == "video")
        return Stored(target, relative, thumb, sha256, size)

    def write_lock(self, content: Mapping[str, Any]) -> None:
        """Write what is being run, so that the folder explains itself."""
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        with _wrapped("written", self.folder):
            part = self.folder / f"{LOCK_NAME}.part"
            part.write_text(text + "\n", encoding="utf-8")
            part.replace(self.folder / LOCK_NAME)

    def _thumb(self, path: Path, sha256: str, *, is_clip: bool) -> str:
        from ..media.image import thumbnail
        from ..media.video import poster

        relative = f"thumbs/{sha256}.webp"
        try:
            content = thumbnail(poster(path) if is_clip else path, THUMB_SIZE)
        except DecartSDKError:
            return ""  # the result is what was paid for, with or without a picture of it
        with _wrapped("written", self.folder):
            # Named by chance: equal results of several points are adopted at the same time.
            part = self.folder / f"{relative}.{secrets.token_hex(4)}.part"
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(self.folder / relative)
        return relative


def _digest(path: Path) -> tuple[str, bytes, int]:
    digest, head, size = hashlib.sha256(), b"", 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            head = head or block[:64]
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), head, size


@contextmanager
def _wrapped(verb: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"The run folder {folder} cannot be {verb}: {error.strerror or error}.",
            hint="Check the disk's space and permissions, or set DECART_LAB_RUNS elsewhere.",
        ) from error
