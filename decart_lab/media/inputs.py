"""Any input a user may have, as one checked thing that can be hashed and sent.

Paths stay where they are and are read when they are sent; file objects are read once, into memory
or a temporary file; arrays, Pillow images and edited media are encoded once. Everything here may
block: call it in a thread.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ..errors import InvalidInputError, MediaError
from . import limits, temp
from .demux import identify
from .prepared import EditedFile, PreparedInput, owned, stamp
from .probe import clip, probe, regular_file, show_name
from .sniff import HEAD_BYTES

__all__ = ["PreparedInput", "prepare"]

Fetch = Callable[[str], "Path | bytes"]
Wanted = Literal["image", "video", "any"]

_CHUNK = 2**20


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
    if isinstance(value, EditedFile):
        return _of_edited(value, field)
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
        if not value.strip():
            raise InvalidInputError(
                f"{field} is an empty text.", field=field, hint="Give the path of a file."
            )
        path = Path(value)
        with suppress(RuntimeError):  # "~" of a user that does not exist
            path = path.expanduser()
        return _of_path(path, field)
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


def _of_path(path: Path, field: str) -> PreparedInput:
    before = regular_file(path, field=field)
    found = probe(path, field=field)
    # Absolute, because a notebook may change its folder before the file is sent.
    return PreparedInput(show_name(path), found, path=path.absolute(), _stamp=stamp(before))


def _of_bytes(content: bytes, label: str, field: str) -> PreparedInput:
    return PreparedInput(label, probe(content, field=field), content=content)


def _of_file(file: Any, field: str) -> PreparedInput:
    """Read a file object from where it stands, once, and leave it open."""
    name = getattr(file, "name", None)
    label = show_name(Path(name)) if isinstance(name, str) and name else f"{field} (file)"
    held = bytearray()
    target: Path | None = None
    with ExitStack() as stack:
        sink: BinaryIO | None = None
        for block in _blocks(file, label, field):
            held += block
            if sink is None and len(held) > limits.SPOOL_IN_MEMORY_BYTES:
                target = temp.new_path(".spooled")
                stack.callback(temp.remove, target)
                sink = stack.enter_context(target.open("xb"))
            if sink is not None:
                sink.write(held)
                held.clear()
        if sink is None or target is None:
            return _of_bytes(bytes(held), label, field)
        sink.close()
        prepared = owned(target, label, field)
        stack.pop_all()  # the file belongs to the prepared input now
        return prepared


def _blocks(file: Any, label: str, field: str) -> Iterator[bytes]:
    """Read to the end; what is not media, or too much of it, is refused on the way."""
    total = 0
    head = b""
    most = limits.MAX_CLIP_BYTES
    while True:
        try:
            block = file.read(_CHUNK)
        except (OSError, ValueError) as error:
            raise InvalidInputError(
                f"{label} cannot be read: {type(error).__name__}.",
                field=field,
                hint='Pass a file that is open for reading, as open(path, "rb") gives it.',
            ) from error
        if not block and not isinstance(block, str):
            return
        if not isinstance(block, bytes):
            what = "text" if isinstance(block, str) else type(block).__name__
            raise InvalidInputError(
                f"{label} gives {what}, not bytes.",
                field=field,
                hint='Open it with open(path, "rb").',
            )
        if len(head) < HEAD_BYTES:
            head += block[:HEAD_BYTES]
            if len(head) >= HEAD_BYTES:
                kind = identify(io.BytesIO(head), name=label, field=field)
                most = limits.MAX_PICTURE_BYTES if kind.kind == "image" else most
        total += len(block)
        if total > most:
            raise MediaError(
                f"{label} gives more than {most / 1e6:,.0f} MB.",
                field=field,
                hint="Make it smaller first.",
            )
        yield block


def _of_pillow(image: Any, field: str) -> PreparedInput:
    from PIL import Image, ImageOps

    from .image import decoding, png_bytes

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
        content = png_bytes(upright)
    return _of_bytes(content, label, field)


def _of_array(array: Any, field: str) -> PreparedInput:
    from .arrays import encode_array

    target = temp.new_path(".mp4")
    label = f"{field} (array)"
    content, done = encode_array(array, target, field=field)
    if content is not None:
        return _of_bytes(content, label, field)
    return owned(target, label, field, edits=done)


def _of_edited(media: EditedFile, field: str) -> PreparedInput:
    if not media.edits:
        return _of_path(media.path, field)
    probe(media.path, field=field)  # so that what is wrong with the file names this field
    return media.edited
