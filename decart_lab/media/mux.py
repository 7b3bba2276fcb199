"""Writing encoded frames into a file that can be played whenever the writing stops.

What belongs here: fragmented MP4 (H.264) and WebM (VP8), each with Opus, from frames as they were
received; nothing is decoded but the first key frame, for its size. When to begin a file, what to
call it and what a frame's time is, is :mod:`decart_lab.realtime.recorder`'s.

A piece of at most half a second is kept in memory and then appended as one fragment (MP4) or
cluster (WebM). The first eight bytes of a piece, which say that there is one, are written last, so
that a process that dies while it writes leaves a file that ends before the piece.
"""

from __future__ import annotations

import errno
import io
import os
import struct
from contextlib import ExitStack, suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import av
import numpy as np

from ..errors import MediaError, StoreError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

Track = Literal["video", "audio", "input"]

TICKS: Final = 90_000
"""Ticks per second of the times in a file."""
SUFFIXES: Final = {"h264": ".mp4", "vp8": ".webm"}
"""Which file holds which codec."""

_PIECE_S: Final = 0.5
_INTERLEAVE_S: Final = 0.1  # one track waits so long for another, and is then written without it
_HEAD: Final = 8
_OPTIONS: Final = {
    "mp4": {
        "movflags": "empty_moov+default_base_moof+frag_keyframe",
        "frag_duration": str(round(_PIECE_S * 1e6)),
    },
    "webm": {"cluster_time_limit": str(round(_PIECE_S * 1e3))},
}


def frame_size(codec: str, key_frame: bytes) -> tuple[int, int]:
    """Return width and height in pixels of a key frame.

    Raises
    ------
    MediaError
        It cannot be decoded.
    """
    if codec == "vp8":
        # RFC 6386, 9.1: a start code, then fourteen bits of each, and two of scaling.
        if len(key_frame) < 10 or key_frame[3:6] != b"\x9d\x01\x2a":
            raise MediaError("The received picture is damaged: it is no VP8 key frame.")
        width, height = struct.unpack_from("<HH", key_frame, 6)
        return width & 0x3FFF, height & 0x3FFF
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    try:
        pictures = [*decoder.decode(av.Packet(key_frame)), *decoder.decode(None)]
    except av.FFmpegError as error:
        raise MediaError(f"The received picture is damaged: {error.strerror}.") from error
    if not pictures:
        raise MediaError("The received picture is damaged: it cannot be decoded.")
    return pictures[0].width, pictures[0].height


class Muxer:
    """A file of encoded frames.

    Parameters
    ----------
    path : Path
        File to write; must not be there yet.
    codec : {"h264", "vp8"}
        Codec of the pictures; decides on MP4 or WebM.
    key_frame : bytes
        The first picture, H.264 with its parameter sets; only looked at.
    audio : bool
        Whether there will be sound (Opus at 48 kHz).
    input_key_frame : bytes, optional
        First picture of a second track, of the same codec.

    Raises
    ------
    StoreError
        The file cannot be written.
    MediaError
        The first picture is damaged.
    """

    def __init__(
        self,
        path: Path,
        codec: str,
        key_frame: bytes,
        *,
        audio: bool = True,
        input_key_frame: bytes | None = None,
    ) -> None:
        self.path = path
        self._last: dict[str, int] = {}
        self._streams: dict[str, Stream] = {}
        kind = SUFFIXES[codec].removeprefix(".")
        with ExitStack() as stack:
            # A container gives a stream its parameters, which cannot be set one by one.
            templates: list[tuple[Track, Any]] = [("video", _pictures(codec, key_frame))]
            if input_key_frame is not None:
                templates.append(("input", _pictures(codec, input_key_frame)))
            if audio:
                templates.append(("audio", av.open(io.BytesIO(_opus()), format="ogg")))
            for _, template in templates:
                stack.callback(template.close)
            try:
                self._file = _Pieces(path)
            except OSError as error:
                raise _unwritable(path, error) from error
            try:
                self._container = av.open(
                    self._file,
                    "w",
                    format=kind,
                    container_options={
                        **_OPTIONS[kind],
                        "flush_packets": "1",
                        "max_interleave_delta": str(round(_INTERLEAVE_S * 1e6)),
                        "fflags": "+bitexact",
                    },
                )
                for track, template in templates:
                    stream = self._container.add_stream_from_template(
                        template.streams[0], opaque=True
                    )
                    stream.time_base = Fraction(1, TICKS)
                    self._streams[track] = stream
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, track: Track, data: bytes, time_s: float, *, key: bool) -> None:
        """Add a frame, shown at a time of the file; times of a track that go back are moved on.

        Raises
        ------
        StoreError
            The file cannot be written.
        """
        ticks = max(round(time_s * TICKS), self._last.get(track, -1) + 1)
        self._last[track] = ticks
        packet = av.Packet(data)
        packet.pts = packet.dts = ticks
        packet.time_base = Fraction(1, TICKS)
        packet.is_keyframe = key
        packet.stream = self._streams[track]
        try:
            self._container.mux(packet)
            self._file.commit()
        except (OSError, av.FFmpegError) as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Finish the file; it can be played without this too, up to the last half second."""
        try:
            self._container.close()
            self._file.commit()
        except (OSError, av.FFmpegError) as error:
            raise _unwritable(self.path, error) from error
        finally:
            self._file.close()


class _Pieces:
    """A file that grows by whole pieces: what the muxer writes until :meth:`commit`."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        self._path = path
        self._file: int | None = None  # there is no file before there is something to play
        self._piece = bytearray()
        self._at = 0  # where the piece begins, and otherwise where is written next
        self._end = 0
        self._header = 0

    def write(self, data: bytes) -> int:
        self._piece += data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go back to fill in what was not known; only at the end of a recording."""
        self.commit(last=True)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at + len(self._piece)

    def commit(self, *, last: bool = False) -> None:
        """Write the piece, its beginning last when it makes the file longer."""
        piece = bytes(self._piece)
        if not piece:
            return
        if self._file is None:
            self._header = self._header or len(piece)
            if len(piece) == self._header and not last:
                return  # nothing to play yet
            self._file = self._create(piece)
        elif self._at == self._end and len(piece) > _HEAD:
            self._put(self._file, piece[_HEAD:], self._at + _HEAD)
            self._put(self._file, piece[:_HEAD], self._at)
        else:
            self._put(self._file, piece, self._at)
        self._piece.clear()
        self._at += len(piece)
        self._end = max(self._end, self._at)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # everything that matters has been written, or reported
                os.close(file)

    def _create(self, piece: bytes) -> int:
        """Make the file with its header and first fragment; its name appears when it is whole."""
        part = self._path.with_name(f".{self._path.name}.part")
        file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            self._put(file, piece, 0)
        except OSError:
            os.close(file)
            part.unlink(missing_ok=True)
            raise
        if os.name == "nt":  # where an open file cannot be renamed
            os.close(file)
            part.replace(self._path)
            return os.open(self._path, os.O_RDWR)
        part.replace(self._path)
        return file

    def _put(self, file: int, data: bytes, at: int) -> None:
        while data:
            count = _write_at(file, data, at)
            data, at = data[count:], at + count


def _write_at(file: int, data: bytes, at: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(file, data, at)
    os.lseek(file, at, os.SEEK_SET)  # Windows
    return os.write(file, data)


def _pictures(codec: str, key_frame: bytes) -> InputContainer:
    """Open a key frame as a file of its own."""
    try:
        if codec == "h264":
            return av.open(io.BytesIO(key_frame), "r", format="h264")
        width, height = frame_size(codec, key_frame)
        head = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"VP80", width, height, TICKS, 1, 1, 0)
        frame = struct.pack("<IQ", len(key_frame), 0) + key_frame
        return av.open(io.BytesIO(head + frame), "r", format="ivf")
    except av.FFmpegError as error:
        raise MediaError(f"The received picture is damaged: {error.strerror}.") from error


@lru_cache(maxsize=1)
def _opus() -> bytes:
    """Return a moment of silence as Ogg Opus: 48 kHz, stereo, as WebRTC always announces."""
    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000)
        stream.codec_context.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1920), np.int16), format="s16", layout="stereo"
        )
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def _unwritable(path: Path, error: OSError | av.FFmpegError) -> StoreError:
    reason = error.strerror or type(error).__name__
    return StoreError(
        f"The recording {path.name} cannot be written: {reason}.",
        hint="Check the folder and the space that is left; what was written before can be played.",
    )
