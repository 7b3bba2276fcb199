"""What is in a picture or clip: size, rate, length, codec; read from headers, never by decoding.

Everything that is refused about a file is refused here, with its field and what to do: not media,
cut off, too large, too long. Frames are the business of image and video.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from ..errors import InvalidInputError, MediaError
from . import limits
from .boxes import check_mp4, check_webm
from .demux import demuxed, identify, main_sound, main_video, opened
from .headers import READERS
from .sniff import WEBM, Format, Kind

if TYPE_CHECKING:
    from av.container import InputContainer

# A decoder's name is not always its codec's.
_CODEC_NAMES: Final = {"libdav1d": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file's headers say.

    Parameters
    ----------
    kind : {"image", "video"}
        Picture or clip.
    format : str
        Short name of the container: ``png``, ``jpeg``, ``webp``, ``mp4``, ``mov`` or ``webm``.
    mime : str
        Media type.
    width, height : int
        Size in pixels as shown: after EXIF orientation, or the clip's rotation.
    fps : float or None
        Frames per second on average; None for pictures and when the file does not say.
    frames : int or None
        Number of frames; None for pictures and when the file does not say.
    duration_s : float or None
        Length in seconds; None for pictures and when the file does not say.
    codec : str or None
        Name of the video codec, such as ``h264``; None for pictures.
    has_audio : bool
        Whether there is a sound track that can be decoded.
    size_bytes : int
        Size of the file.
    rotation : int
        Degrees the decoded frames are turned clockwise to stand upright: 0, 90, 180 or 270. The
        frames of :func:`decart_lab.media.video.read_frames` are turned already.
    """

    kind: Kind
    format: str
    mime: str
    width: int
    height: int
    fps: float | None
    frames: int | None
    duration_s: float | None
    codec: str | None
    has_audio: bool
    size_bytes: int
    rotation: int = 0


def probe(source: Path | bytes, *, field: str = "data") -> Probe:
    """Read the headers of a picture or clip.

    Parameters
    ----------
    source : Path or bytes
        The file, or its whole content.
    field : str
        The argument to name when it is refused.

    Raises
    ------
    MediaError
        It is not media of a known format, is cut off, or is larger than the caps of
        :mod:`decart_lab.media.limits`.
    InvalidInputError
        There is no such file, or it is a folder or a device.
    """
    if isinstance(source, bytes):
        name, size = "The given content", len(source)
    else:
        size = regular_file(source, field=field).st_size
        name = show_name(source)
    try:
        with opened(source, buffering=0) as file:
            return probe_open(file, size, name=name, field=field)
    except OSError as error:
        raise unreadable(name, error, field=field) from error


def probe_open(file: BinaryIO, size: int, *, name: str, field: str) -> Probe:
    """Read the headers of an open, seekable file of ``size`` bytes."""
    kind = identify(file, name=name, field=field)
    cap = limits.MAX_PICTURE_BYTES if kind.kind == "image" else limits.MAX_CLIP_BYTES
    if size > cap:
        raise MediaError(
            f"{name} has {size / 1e6:,.0f} MB; the most accepted is {cap / 1e6:,.0f} MB.",
            field=field,
            hint="Make it smaller first.",
        )
    try:
        if kind.kind == "image":
            return _picture(file, size, kind, name=name, field=field)
        return _clip(file, size, kind, name=name, field=field)
    except ValueError as error:
        if isinstance(error, InvalidInputError):
            raise
        raise MediaError(
            f"{name} {error}.", field=field, hint="Copy or download it again."
        ) from error


def regular_file(path: Path, *, field: str) -> os.stat_result:
    """Return the stat of a regular file, or say what is there instead.

    Raises
    ------
    InvalidInputError
        There is no such file, or it is a folder, a pipe or a device.
    """
    name = show_name(path)
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        # A part that is no folder, or a text too long for a name, is a file that is not there too.
        if isinstance(error, PermissionError):
            raise unreadable(name, error, field=field) from error
        raise missing_file(path, field=field) from error
    if stat.S_ISDIR(found.st_mode):
        raise InvalidInputError(f"{name} is a folder.", field=field, hint="Name one file in it.")
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInputError(
            f"{name} is a pipe or a device, not a file.",
            field=field,
            hint="Save it to a file first, or pass an open binary file.",
        )
    return found


def missing_file(path: Path, *, field: str) -> InvalidInputError:
    """Make the error for a file that is not there, naming where it was looked for."""
    return InvalidInputError(
        f"{field} names a missing file: {clip(str(path.absolute()), 300)}.",
        field=field,
        hint="Check the path; a relative one is taken from the folder of the notebook.",
    )


def unreadable(name: str, error: OSError, *, field: str) -> InvalidInputError:
    """Make the error for a file that the system does not let us read."""
    reason = error.strerror or type(error).__name__
    return InvalidInputError(
        f"{name} cannot be read: {reason}.", field=field, hint="Check its permissions."
    )


def show_name(path: Path) -> str:
    """Return a file's name as it may be printed: one line, bounded."""
    return clip(path.name or str(path), 80)


def clip(text: str, most: int) -> str:
    """Bound a text of foreign origin and take what does not print out of it."""
    text = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return text if len(text) <= most else text[: most - 3] + "..."


def _picture(file: BinaryIO, size: int, kind: Format, *, name: str, field: str) -> Probe:
    width, height, orientation = READERS[kind](file, size)
    if width * height > limits.MAX_PICTURE_PIXELS or not width or not height:
        raise MediaError(
            f"{name} says it has {width:,} x {height:,} pixels; the most accepted is "
            f"{limits.MAX_PICTURE_PIXELS // 1_000_000} million.",
            field=field,
            hint="Make it smaller first.",
        )
    if orientation >= 5:
        width, height = height, width
    return Probe("image", kind.name, kind.mime, width, height, None, None, None, None, False, size)


def _clip(file: BinaryIO, size: int, kind: Format, *, name: str, field: str) -> Probe:
    rotation = 0
    if kind is WEBM:
        check_webm(file, size)
    else:
        rotation = check_mp4(file, size)
    with demuxed(file, kind, name=name, field=field) as container:
        stream = main_video(container)
        if stream is None:
            raise MediaError(
                f"{name} holds no video that can be decoded here{_codecs(container)}.",
                field=field,
                hint="Convert it to MP4 (H.264).",
            )
        width, height = stream.width, stream.height
        rate = stream.average_rate or stream.guessed_rate
        duration = None
        if stream.duration and stream.time_base:
            duration = float(stream.duration * stream.time_base)
        elif container.duration:
            duration = container.duration / 1_000_000
        found = Probe(
            kind="video",
            format=kind.name,
            mime=kind.mime,
            width=width if rotation % 180 == 0 else height,
            height=height if rotation % 180 == 0 else width,
            fps=float(rate) if rate else None,
            frames=stream.frames or None,
            duration_s=duration,
            codec=_CODEC_NAMES.get(stream.codec_context.name, stream.codec_context.name),
            has_audio=main_sound(container) is not None,
            size_bytes=size,
            rotation=rotation,
        )
    _check_clip(found, name=name, field=field)
    return found


def _codecs(container: InputContainer) -> str:
    """Name what there is instead, for the message."""
    names = [s.codec_context.name if s.codec_context else s.type for s in container.streams]
    return f" (only {clip(', '.join(names), 60)})" if names else ""


def _check_clip(found: Probe, *, name: str, field: str) -> None:
    sides = f"{found.width} x {found.height}"
    if not found.width or not found.height:
        problem = "does not say how large its frames are"
        hint = "Convert it to MP4 (H.264)."
    elif (
        max(found.width, found.height) > limits.MAX_CLIP_SIDE
        or found.width * found.height > limits.MAX_CLIP_PIXELS
    ):
        problem = f"has frames of {sides} pixels; no side may exceed {limits.MAX_CLIP_SIDE}"
        hint = "Make it smaller first."
    elif (found.duration_s or 0) > limits.MAX_CLIP_S:
        problem = f"is {found.duration_s:,.0f} s long; the most accepted is 30 minutes"
        hint = "Take a part of it: Media(path).trim(start_s, end_s)."
    elif (found.frames or 0) > limits.MAX_CLIP_FRAMES:
        problem = f"has {found.frames:,} frames; the most accepted is {limits.MAX_CLIP_FRAMES:,}"
        hint = "Take a part of it: Media(path).trim(start_s, end_s)."
    else:
        return
    raise MediaError(f"{name} {problem}.", field=field, hint=hint)
