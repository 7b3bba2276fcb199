"""Any input a user may have, as one checked thing that can be hashed and sent.

Paths stay where they are and are read when they are sent; file objects are read once, into memory
or a temporary file; arrays, Pillow images and edited media are encoded once. Everything here may
block: call it in a thread.
"""

from __future__ import annotations

import hashlib
import io
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from ..errors import InvalidInputError, MediaError
from . import limits, temp
from .edits import edit_clip, edit_image, preview
from .probe import Probe, clip, missing_file, probe, regular_file, show_name

if TYPE_CHECKING:
    from .media import Media

Fetch = Callable[[str], "Path | bytes"]
Wanted = Literal["image", "video", "any"]

_CHUNK = 2**20


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
        if self._stamp is not None and _stamp(os.fstat(file.fileno())) != self._stamp:
            file.close()
            raise InvalidInputError(
                f"{self.label} was changed after it was checked.",
                hint="Prepare it again, and leave inputs alone until the run is over.",
            )
        return file


def prepare(
    value: Any, *, field: str = "data", kind: Wanted = "any", fetch: Fetch | None = None
) -> PreparedInput:
    """Check an input of any supported type and make it ready to hash and send.

    Parameters
    ----------
    value : str, Path, bytes, binary file, PIL image, ndarray, Media or PreparedInput
        The input. A ``str`` is a path or an http(s) address. A file is read from where it
        stands, once, and not closed. Arrays are (H, W), (H, W, 3) or (H, W, 4) for a picture and
        (T, H, W, 3) for a clip, uint8 or floats from 0 to 1.
    field : str
        The argument to name when it is refused.
    kind : {"any", "image", "video"}
        What the model takes there.
    fetch : callable, optional
        Called with an address, returns the path or content it leads to.

    Returns
    -------
    PreparedInput

    Raises
    ------
    InvalidInputError
        Missing, not a file, of an unsupported type, or of the wrong kind.
    MediaError
        Not media, cut off, damaged, or over the caps.
    """
    prepared = _prepare(value, field, fetch)
    if kind not in ("any", prepared.probe.kind):
        wanted, given = ("a picture", "a clip") if kind == "image" else ("a clip", "a picture")
        accepted = "PNG, JPEG or WebP" if kind == "image" else "MP4, MOV or WebM"
        raise InvalidInputError(
            f"{field} takes {wanted} here, and {prepared.label} is {given}.",
            field=field,
            hint=f"Give {accepted}, or choose a model that takes {given}.",
        )
    return prepared


def _prepare(value: Any, field: str, fetch: Fetch | None) -> PreparedInput:
    if isinstance(value, PreparedInput):
        return value
    if isinstance(value, Path):
        return _of_path(value, field)
    if isinstance(value, str):
        return _of_text(value, field, fetch)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(value), f"{field} (bytes)", field)
    if isinstance(value, os.PathLike):
        return _of_path(Path(os.fsdecode(value)), field)
    from .media import Media

    if isinstance(value, Media):
        return _of_media(value, field)
    # Arrays and Pillow images are recognised by name first, so that neither library is loaded
    # for those who use neither.
    libraries = {base.__module__.partition(".")[0] for base in type(value).__mro__}
    if "PIL" in libraries:
        return _of_pillow(value, field)
    if "numpy" in libraries:
        return _of_array(value, field)
    if callable(getattr(value, "read", None)):
        return _of_file(value, field)
    raise InvalidInputError(
        f"{field} cannot be made of {type(value).__name__}.",
        field=field,
        hint="Give a path, bytes, a binary file, an http(s) address, a Pillow image, an array "
        "or Media.",
    )


def _of_text(value: str, field: str, fetch: Fetch | None) -> PreparedInput:
    scheme = value.partition("://")[0].lower() if "://" in value else ""
    if scheme not in ("http", "https"):
        if scheme:
            raise InvalidInputError(
                f"{field} is an address of a kind that is not fetched: {clip(scheme, 20)}.",
                field=field,
                hint="Give an http or https address, or the path of a file.",
            )
        return _of_path(Path(value).expanduser(), field)
    if fetch is None:
        raise InvalidInputError(
            f"{field} is an address, and addresses are not fetched here.",
            field=field,
            hint="Download it first and give its path.",
        )
    found = fetch(value)
    if isinstance(found, Path):
        return _of_path(found, field)
    return _of_bytes(found, f"{field} (fetched)", field)


def _of_path(path: Path, field: str, label: str | None = None) -> PreparedInput:
    if "\0" in str(path):
        raise missing_file(Path(str(path).replace("\0", "?")), field=field)
    before = regular_file(path, field=field)
    found = probe(path, field=field)
    # Absolute, because a notebook may change its folder before the file is sent.
    return PreparedInput(
        label or show_name(path), found, path=path.absolute(), _stamp=_stamp(before)
    )


def _of_bytes(content: bytes, label: str, field: str) -> PreparedInput:
    return PreparedInput(label, probe(content, field=field), content=content)


def _of_file(file: Any, field: str) -> PreparedInput:
    """Read a file object from where it stands, once, and leave it open."""
    name = getattr(file, "name", None)
    label = show_name(Path(name)) if isinstance(name, str) and name else f"{field} (file)"
    held = bytearray()
    target: Path | None = None
    sink: BinaryIO | None = None
    total = 0
    try:
        while block := file.read(_CHUNK):
            if not isinstance(block, bytes):
                raise InvalidInputError(
                    f"{field} is a file opened as text.",
                    field=field,
                    hint='Open it with open(path, "rb").',
                )
            total += len(block)
            if total > limits.MAX_CLIP_BYTES:
                raise MediaError(
                    f"{label} gives more than {limits.MAX_CLIP_BYTES / 1e6:,.0f} MB.", field=field
                )
            held += block
            if sink is None and len(held) > limits.SPOOL_IN_MEMORY_BYTES:
                target = temp.new_path(".spooled")
                sink = target.open("xb")
            if sink is not None:
                sink.write(held)
                held.clear()
    except BaseException as error:
        if sink is not None and target is not None:
            sink.close()
            temp.remove(target)
        if isinstance(error, (OSError, ValueError)) and not isinstance(error, InvalidInputError):
            raise InvalidInputError(
                f"{label} cannot be read: {type(error).__name__}.",
                field=field,
                hint='Pass a file that is open for reading, as open(path, "rb") gives it.',
            ) from error
        raise
    if sink is None or target is None:
        return _of_bytes(bytes(held), label, field)
    sink.close()
    return _owned(target, label, field)


def _of_pillow(image: Any, field: str) -> PreparedInput:
    from PIL import Image, ImageOps

    from .image import decoding

    if not isinstance(image, Image.Image):
        raise InvalidInputError(
            f"{field} cannot be made of {type(image).__name__}.",
            field=field,
            hint="Give a Pillow Image.",
        )
    label = f"{field} (Pillow image)"
    if image.width * image.height > limits.MAX_PICTURE_PIXELS:
        raise MediaError(
            f"{label} has {image.width:,} x {image.height:,} pixels.",
            field=field,
            hint="Make it smaller first.",
        )
    with decoding(name=label, field=field):
        upright = ImageOps.exif_transpose(image)
        if upright.mode not in ("L", "RGB", "RGBA"):
            upright = upright.convert("RGBA" if "transparency" in upright.info else "RGB")
        from .image import png_bytes

        content = png_bytes(upright)
    return _of_bytes(content, label, field)


def _of_array(array: Any, field: str) -> PreparedInput:
    from .arrays import encode_array

    target = temp.new_path(".mp4")
    content = encode_array(array, target, field=field)
    if content is not None:
        return _of_bytes(content, f"{field} (array)", field)
    return _owned(target, f"{field} (array)", field)


def _of_media(media: Media, field: str) -> PreparedInput:
    if not media.edits:
        return _of_path(media.path, field)
    done = tuple(str(edit) for edit in media.edits)
    found = probe(media.path, field=field)
    label = show_name(media.path)
    preview(found, media.edits)
    if found.kind == "image":
        content = edit_image(media.path, media.edits)
        return PreparedInput(label, probe(content, field=field), content=content, edits=done)
    target = temp.new_path(".mp4")
    edit_clip(media.path, found, media.edits, target)
    return _owned(target, label, field, edits=done)


def _owned(path: Path, label: str, field: str, edits: tuple[str, ...] = ()) -> PreparedInput:
    """Take a temporary file over: it goes when the prepared input does, or is refused."""
    try:
        found = probe(path, field=field)
    except MediaError:
        temp.remove(path)
        raise
    prepared = PreparedInput(label, found, path=path, edits=edits, _stamp=_stamp(path.stat()))
    weakref.finalize(prepared, temp.remove, path)
    return prepared


def _stamp(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
