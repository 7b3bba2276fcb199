"""Opening a clip safely: the one place where a demuxer meets a foreign file.

The demuxer is given bytes, never a name or an address; the container format is forced to what
the first bytes said; anything the file asks it to open besides is refused; frames larger than the
cap are refused by the decoder itself. Source: a text file named .mp4 made PyAV read a sibling
file, and 53 KB of MP4 became 3 GB of RGB, before these rules.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

from ..errors import MediaError
from .limits import MAX_CLIP_PIXELS
from .sniff import ACCEPTED, HEAD_BYTES, Format, looks_like, sniff, sniff_sound

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

# What cameras, phones, browsers and editors write. The demuxer knows hundreds more, and old
# decoders are where the holes are.
VIDEO_CODECS: Final = (
    "h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "mpeg4", "mjpeg",
    "prores",
)  # fmt: skip
SOUND_CODECS: Final = (
    "aac", "mp3float", "mp3", "opus", "libopus", "vorbis", "flac", "alac", "ac3", "eac3",
    "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_f32le", "amrnb", "amrwb",
)  # fmt: skip
_DEMUXERS: Final = {
    "mp4": "mov", "mov": "mov", "webm": "matroska",
    "m4a": "mov", "mp3": "mp3", "wav": "wav", "flac": "flac", "ogg": "ogg",
}  # fmt: skip
_FIX: Final = "Convert it to MP4 (H.264), for example with ffmpeg, and try again."


@contextmanager
def opened(source: Path | bytes, *, buffering: int = -1) -> Iterator[BinaryIO]:
    """Open a path or wrap bytes, as one binary file; unbuffered files read what is asked only."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    with source.open("rb", buffering=buffering) as file:
        yield file


def identify(file: BinaryIO, *, name: str, field: str = "data", sound: bool = False) -> Format:
    """Tell the format of an open file, or refuse it; with ``sound``, files of sound will do."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    found = (sniff_sound(head) if sound else None) or sniff(head)
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

    file.seek(0)
    try:
        with av.open(
            file,
            "r",
            format=_DEMUXERS[kind.name],
            options={
                "max_pixels": str(MAX_CLIP_PIXELS),
                "codec_whitelist": ",".join((*VIDEO_CODECS, *SOUND_CODECS)),
            },
            io_open=_refuse,
            metadata_errors="replace",
        ) as container:
            yield container
    except av.FFmpegError as error:
        raise MediaError(
            f"{name} cannot be read as {kind.name}: {error.strerror}.", field=field, hint=_FIX
        ) from error


@contextmanager
def demuxed_file(
    source: Path | bytes, *, name: str, field: str = "data", sound: bool = False
) -> Iterator[InputContainer]:
    """Open a file's container for reading, of whichever accepted format its content is."""
    with opened(source) as file:
        kind = identify(file, name=name, field=field, sound=sound)
        with demuxed(file, kind, name=name, field=field) as container:
            yield container


def main_video(container: InputContainer) -> VideoStream | None:
    """Return the first stream of moving pictures in an accepted codec; a cover is none."""
    from av.stream import Disposition

    for stream in container.streams.video:
        cover = Disposition.attached_pic in Disposition(stream.disposition)
        if not cover and stream.codec_context and stream.codec_context.name in VIDEO_CODECS:
            return stream
    return None


def main_sound(container: InputContainer) -> AudioStream | None:
    """Return the first sound track in an accepted codec."""
    for stream in container.streams.audio:
        if stream.codec_context and stream.codec_context.name in SOUND_CODECS:
            return stream
    return None


def _refuse(*_: object) -> NoReturn:
    raise PermissionError("a clip may not open other files")
