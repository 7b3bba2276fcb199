"""An input that was looked at and found good: what is in it, its hash, and how to read it.

How one is made of paths, arrays and the rest is in :mod:`decart_lab.media.inputs`.
"""

from __future__ import annotations

import hashlib
import io
import os
import weakref
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path

from ..errors import InvalidInputError, MediaError
from . import temp
from .edits import Edit, edit_clip, edit_image, preview
from .probe import Probe, probe, show_name


@dataclass(frozen=True)
class PreparedInput:
    """An input that was looked at and found good.

    Temporary files belong to it: they last as long as it does.

    Parameters
    ----------
    label : str
        A short printable name, for tables and file names in forms.
    probe : Probe
        What is in it.
    path : Path or None
        Where it lies, if it is a file.
    content : bytes or None
        What it holds, if it is in memory.
    edits : tuple of str
        What was done to it before upload, in words.
    """

    label: str
    probe: Probe
    path: Path | None = None
    content: bytes | None = field(default=None, repr=False)
    edits: tuple[str, ...] = ()
    _stamp: tuple[int, int] | None = field(default=None, repr=False, compare=False)

    @property
    def size_bytes(self) -> int:
        """Size of what is sent."""
        return self.probe.size_bytes

    @property
    def mime(self) -> str:
        """Media type of what is sent."""
        return self.probe.mime

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of what is sent, in hexadecimal; read at the first use, then kept."""
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def open(self) -> io.BufferedReader | io.BytesIO:
        """Open the content for one reader, from its start.

        Raises
        ------
        InvalidInputError
            The file was changed or removed since it was checked.
        """
        if self.path is None:
            return io.BytesIO(self.content or b"")
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise InvalidInputError(
                f"{self.label} can no longer be opened: {error.strerror}.",
                hint="Leave inputs in place until the run is over.",
            ) from error
        if self.changed(stamp(os.fstat(file.fileno()))):
            file.close()
            raise InvalidInputError(
                f"{self.label} was changed after it was checked.",
                hint="Prepare it again, and leave inputs alone until the run is over.",
            )
        return file

    def changed(self, found: tuple[int, int]) -> bool:
        """Return whether a stamp of the file is another than when it was checked."""
        return self._stamp is not None and found != self._stamp


@dataclass(frozen=True)
class EditedFile:
    """A file and what is to be done to it: as much of Media as preparing one as an input needs.

    Parameters
    ----------
    path : Path
        The file.
    edits : tuple
        What is done to it before it is shown, saved or sent.
    """

    path: Path
    _: KW_ONLY
    edits: tuple[Edit, ...] = ()

    @cached_property
    def probe(self) -> Probe:
        """What the headers say, edits applied; read at the first use."""
        return preview(probe(self.path), self.edits)

    @cached_property
    def edited(self) -> PreparedInput:
        """The content with the edits applied; made at the first use, gone with this object."""
        return _apply(self.path, self.edits)


def _apply(path: Path, edits: Sequence[Edit]) -> PreparedInput:
    """Crop, resize and trim a file into a prepared input of its own.

    Raises
    ------
    InvalidInputError
        An edit does not fit the file.
    """
    done = tuple(str(edit) for edit in edits)
    found = probe(path)
    preview(found, edits)
    if found.kind == "image":
        content = edit_image(path, edits)
        return PreparedInput(show_name(path), probe(content), content=content, edits=done)
    target = temp.new_path(".mp4")
    edit_clip(path, found, edits, target)
    return owned(target, show_name(path), "data", edits=done)


def owned(path: Path, label: str, field: str, edits: tuple[str, ...] = ()) -> PreparedInput:
    """Take a temporary file over: it goes when the prepared input does, or is refused."""
    try:
        found = probe(path, field=field)
    except MediaError:
        temp.remove(path)
        raise
    prepared = PreparedInput(label, found, path=path, edits=edits, _stamp=stamp(path.stat()))
    weakref.finalize(prepared, temp.remove, path)
    return prepared


def stamp(found: os.stat_result) -> tuple[int, int]:
    """Return what changes when a file is written to."""
    return found.st_size, found.st_mtime_ns
