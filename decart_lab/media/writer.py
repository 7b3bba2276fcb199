"""Writing clips: H.264 in MP4 that browsers play, at a constant rate, with another clip's sound.

The same frames give the same bytes: the thread count is fixed and nothing of the time or the
machine is written. The file appears under its name only when it is finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from ..errors import MediaError
from .probe import show_name
from .sound import SOUND_RATE, channels, read_sound

if TYPE_CHECKING:
    import av
    import numpy as np
    import numpy.typing as npt
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_BT709: Final = 1
_LIMITED: Final = 1
_FULL: Final = 2
_SOUND_BITS: Final = 128_000


class VideoWriter:
    """Write a clip frame by frame.

    Parameters
    ----------
    path : Path
        File to write; replaced when the writer closes without an error, untouched otherwise.
    width, height : int
        Size in pixels; both even, as yuv420p asks.
    fps : float
        Constant frames per second.
    audio_from : Path, optional
        A clip whose sound is kept, as AAC, cut where the frames end. One without sound is fine.
    audio_start_s : float
        Where in that clip the sound begins, in seconds.
    metadata : mapping, optional
        ``title`` and ``comment`` of the file.
    crf : int
        x264's quality, 0 (lossless) to 51; 23 is its default.
    preset : str
        x264's trade of time for size, from ``ultrafast`` to ``veryslow``.
    threads : int
        Fixed, because x264's output depends on it.

    Raises
    ------
    MediaError
        The size is odd, a frame does not fit it, no frame was given, or the file cannot be written.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "grey.mp4"
    >>> with VideoWriter(path, 64, 48, fps=25) as writer:
    ...     for _ in range(5):
    ...         writer.write(np.full((48, 64, 3), 128, np.uint8))
    >>> from decart_lab.media.probe import probe
    >>> probe(path).frames
    5
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float,
        *,
        audio_from: Path | None = None,
        audio_start_s: float = 0.0,
        metadata: Mapping[str, str] | None = None,
        crf: int = 23,
        preset: str = "veryfast",
        threads: int = 2,
    ) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise MediaError(
                f"A clip of {width} x {height} pixels cannot be written: both must be even.",
                hint="Crop or resize by one pixel.",
            )
        if not 0 < fps <= 1000:
            raise MediaError(
                f"A clip cannot have {fps} frames per second.", hint="Give a rate from 1 to 1000."
            )
        self.path = Path(path)
        self.width = width
        self.height = height
        self.fps = Fraction(fps).limit_denominator(1001)
        self.frames = 0
        self._part = self.path.with_name(self.path.name + ".part")
        self._audio_from = audio_from
        self._audio_start_s = audio_start_s
        self._metadata = dict(metadata or {})
        self._options = {"crf": str(crf), "preset": preset}
        self._threads = threads
        self._container: OutputContainer | None = None
        self._video: VideoStream | None = None
        self._sound: _Sound | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    def write(self, frame: npt.NDArray[np.uint8] | av.VideoFrame) -> None:
        """Add one frame.

        Parameters
        ----------
        frame : ndarray of shape (H, W, 3), uint8, RGB; or av.VideoFrame
            Of the writer's size. A VideoFrame is stamped with its time in the new clip.
        """
        with self._writing():
            picture = self._yuv(frame)
            if self._container is None or self._video is None:
                self._container, self._video = self._open(picture)
            picture.pts = self.frames
            picture.time_base = 1 / self.fps
            picture.pict_type = 0  # a decoded frame would impose its own on the encoder
            self.frames += 1
            self._container.mux(self._video.encode(picture))
            if self._sound is not None:
                # Kept beside the picture: the muxer holds back what it cannot interleave.
                for packet in self._sound.until(float(self.frames / self.fps)):
                    self._container.mux(packet)

    def close(self) -> None:
        """Finish the file and put it in its place."""
        if self._container is None or self._video is None:
            raise MediaError(f"{show_name(self.path)} was given no frames.")
        with self._writing():
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._sound.rest())
            self._container.close()
            self._container = None
            self._part.replace(self.path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        import av

        try:
            yield
        except BaseException as error:
            self._abandon()
            if isinstance(error, (av.FFmpegError, OSError)):
                raise MediaError(
                    f"{show_name(self.path)} cannot be written: {error.strerror}.",
                    hint="Check the folder and the space that is left.",
                ) from error
            raise

    def _open(self, first: av.VideoFrame) -> tuple[OutputContainer, VideoStream]:
        import av

        # The name is ours; "file:" keeps the muxer from reading anything else into it. The
        # index is moved to the front (faststart), which needs a name to reopen.
        container = av.open(
            f"file:{self._part.absolute()}",
            "w",
            format="mp4",
            container_options={"movflags": "+faststart", "fflags": "+bitexact"},
        )
        container.metadata.update(self._metadata)
        stream = container.add_stream("libx264", rate=self.fps, options=self._options)
        stream.width = self.width
        stream.height = self.height
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.thread_count = self._threads
        context.time_base = 1 / self.fps
        context.color_range = _LIMITED
        context.colorspace = first.colorspace
        context.color_primaries = first.color_primaries
        context.color_trc = first.color_trc
        count = channels(self._audio_from) if self._audio_from is not None else 0
        if self._audio_from is not None and count:
            layout = "mono" if count == 1 else "stereo"
            self._sound = _Sound(container, self._audio_from, layout, self._audio_start_s)
        return container, stream

    def _yuv(self, frame: npt.NDArray[np.uint8] | av.VideoFrame) -> av.VideoFrame:
        import av
        import numpy as np

        if isinstance(frame, av.VideoFrame):
            self._check((frame.height, frame.width, 3))
            if frame.format.is_rgb:
                return _from_rgb(frame)
            if frame.color_range == _FULL:
                return frame.reformat(format="yuv420p", dst_color_range=_LIMITED)
            return frame
        self._check(frame.shape)
        if frame.dtype != np.uint8:
            raise MediaError(
                f"A frame of type {frame.dtype} cannot be written.", hint="Give uint8."
            )
        return _from_rgb(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape != (self.height, self.width, 3):
            raise MediaError(
                f"A frame of shape {shape} was given to a clip of frames of shape "
                f"{(self.height, self.width, 3)}."
            )

    def _abandon(self) -> None:
        import av

        if self._container is not None:
            # The half-written file goes away anyway.
            with suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
            self._container = None
        self._part.unlink(missing_ok=True)


def _from_rgb(frame: av.VideoFrame) -> av.VideoFrame:
    picture = frame.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)
    picture.colorspace = picture.color_primaries = picture.color_trc = _BT709
    picture.color_range = _LIMITED
    return picture


class _Sound:
    """The sound track of the file that is being written."""

    def __init__(self, out: OutputContainer, path: Path, layout: str, start_s: float) -> None:
        self._stream: AudioStream = out.add_stream("aac", rate=SOUND_RATE)
        self._stream.bit_rate = _SOUND_BITS
        self._stream.codec_context.layout = layout
        self._frames = read_sound(path, layout, start_s=start_s)
        self._ahead: av.AudioFrame | None = None

    def until(self, seconds: float) -> Iterator[Packet[AudioStream]]:
        """Encode what is heard before that moment of the new clip."""
        while True:
            frame = self._ahead or next(self._frames, None)
            self._ahead = None
            if frame is None:
                return
            if (frame.pts or 0) >= seconds * SOUND_RATE:
                self._ahead = frame
                return
            yield from self._stream.encode(frame)

    def rest(self) -> list[Packet[AudioStream]]:
        """Finish: give what the encoder still holds."""
        return self._stream.encode(None)
