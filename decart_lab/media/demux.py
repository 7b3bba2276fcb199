"""Opening a clip safely: the one place where a demuxer meets a foreign file.

The demuxer is given bytes, never a name or an address; the container format is forced to what
the first bytes said; anything the file asks it to open besides is refused; frames larger than the
cap are refused by the decoder itself. Source: a text file named .mp4 made PyAV read a sibling
file, and 53 KB of MP4 became 3 GB of RGB, before these rules.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

from ..errors import MediaError
from .limits import MAX_CLIP_PIXELS
from .sniff import ACCEPTED, HEAD_BYTES, Format, looks_like, sniff

if TYPE_CHECKING:
    from av.container import InputContainer

_DEMUXERS: Final = {"mp4": "mov", "mov": "mov", "webm": "matroska"}
_FIX: Final = "Convert it to MP4 (H.264), for example with ffmpeg, and try again."


@contextmanager
def opened(source: Path | bytes) -> Iterator[BinaryIO]:
    """Open a path or wrap bytes, as one binary file."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    with source.open("rb") as file:
        yield file


def identify(file: BinaryIO, *, name: str, field: str = "data") -> Format:
    """Tell the format of an open file, or refuse it with its field and a fix."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    found = sniff(head)
    if found is not None:
        return found
    if not head:
        raise MediaError(
            f"{name} is empty.", field=field, hint="Give a file with a picture or clip."
        )
    guess = looks_like(head)
    raise MediaError(
        f"{name} is not {ACCEPTED}" + (f"; it looks like {guess}." if guess else "."),
        field=field,
        hint="Convert it, or check that it is the file you meant; its name is not considered.",
    )


@contextmanager
def demuxed(file: BinaryIO, kind: Format, *, name: str, field: str) -> Iterator[InputContainer]:
    """Open a container for reading; whatever goes wrong inside becomes a MediaError."""
    import av

    logging.getLogger("libav").setLevel(logging.CRITICAL)
    file.seek(0)
    try:
        with av.open(
            file,
            "r",
            format=_DEMUXERS[kind.name],
            options={"max_pixels": str(MAX_CLIP_PIXELS)},
            io_open=_refuse,
            metadata_errors="replace",
        ) as container:
            yield container
    except av.FFmpegError as error:
        raise MediaError(
            f"{name} cannot be read as {kind.name}: {error.strerror}.", field=field, hint=_FIX
        ) from error


def _refuse(*_: object) -> NoReturn:
    raise PermissionError("a clip may not open other files")
