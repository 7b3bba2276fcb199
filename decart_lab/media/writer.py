"""Writing clips: H.264 in MP4 that browsers play, at a constant rate, with another clip's sound.

The same frames give the same bytes: the thread count is fixed and nothing of the time or the
machine is written. The file appears under its name only when it is finished.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from ..errors import MediaError
from .demux import demuxed, identify, opened
from .probe import show_name

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
_UNSPECIFIED: Final = 2
_AUDIO_RATE: Final = 48_000
_AUDIO_BITS: Final = 128_000


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
        A clip whose sound is kept, as AAC, cut where the frames end.
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
        The size is odd or the frames do not fit it.

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
            raise MediaError(f"A clip cannot have {fps} frames per second.")
        self.path = Path(path)
        self.width = width
        self.height = height
        self.fps = Fraction(fps).limit_denominator(1001)
        self.frames = 0
        self._part = self.path.with_name(self.path.name + ".part")
        self._audio_from = audio_from
        self._audio_start_s = audio_start_s
        self._metadata = dict(metadata or {})
        self._options = {"crf": str(crf), "preset": preset, "threads": str(threads)}
        self._threads = threads
        self._stack = ExitStack()
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
            Of the writer's size.
        """
        picture = self._yuv(frame)
        if self._container is None:
            self._open(picture)
        assert self._container is not None
        assert self._video is not None
        picture.pts = self.frames
        picture.time_base = 1 / self.fps
        picture.pict_type = 0  # a decoded frame would impose its own on the encoder
        self.frames += 1
        self._container.mux(self._video.encode(picture))
        if self._sound is not None:
            # Kept beside the picture: the muxer holds back what it cannot interleave.
            self._container.mux(list(self._sound.until(float(self.frames / self.fps))))

    def close(self) -> None:
        """Finish the file and put it in its place."""
        if self._container is None or self._video is None:
            self._abandon()
            raise MediaError(f"{show_name(self.path)} was given no frames.")
        try:
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(list(self._sound.finish(float(self.frames / self.fps))))
            self._container.close()
            self._container = None
        except BaseException:
            self._abandon()
            raise
        self._stack.close()
        self._part.replace(self.path)

    def _open(self, first: av.VideoFrame) -> None:
        import av

        # The name is ours; "file:" keeps the muxer from reading anything else into it. The
        # index is moved to the front (faststart), which needs a name to reopen.
        container = av.open(
            f"file:{self._part.absolute()}",
            "w",
            format="mp4",
            container_options={"movflags": "+faststart", "fflags": "+bitexact"},
        )
        self._container = container
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
        self._video = stream
        if self._audio_from is not None:
            self._sound = self._stack.enter_context(
                _Sound(self._audio_from, container, self._audio_start_s)
            )
            if not self._sound.there:
                self._sound = None

    def _yuv(self, frame: npt.NDArray[np.uint8] | av.VideoFrame) -> av.VideoFrame:
        import av

        if not isinstance(frame, av.VideoFrame):
            height, width = frame.shape[:2]
            self._check(width, height)
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED
            )
            picture.colorspace = picture.color_primaries = picture.color_trc = _BT709
            picture.color_range = _LIMITED
            return picture
        self._check(frame.width, frame.height)
        if frame.format.name != "yuv420p" or frame.color_range == 2:
            return frame.reformat(format="yuv420p", dst_color_range=_LIMITED)
        return frame

    def _check(self, width: int, height: int) -> None:
        if (width, height) != (self.width, self.height):
            raise MediaError(
                f"A frame of {width} x {height} pixels was given to a clip of "
                f"{self.width} x {self.height}."
            )

    def _abandon(self) -> None:
        import av

        if self._container is not None:
            # The half-written file goes away anyway.
            with suppress(av.FFmpegError, ValueError):
                self._container.close()
            self._container = None
        self._stack.close()
        self._part.unlink(missing_ok=True)


class _Sound:
    """The sound of a clip, encoded as AAC as far as it is asked for."""

    def __init__(self, path: Path, container: OutputContainer, start_s: float) -> None:
        self._start_s = start_s
        self._stack = ExitStack()
        name = show_name(path)
        file = self._stack.enter_context(opened(path))
        kind = identify(file, name=name)
        self._source = self._stack.enter_context(demuxed(file, kind, name=name, field="data"))
        self.there = bool(self._source.streams.audio)
        if self.there:
            source = self._source.streams.audio[0]
            layout = "mono" if source.codec_context.layout.nb_channels == 1 else "stereo"
            self._stream: AudioStream = container.add_stream("aac", rate=_AUDIO_RATE)
            self._stream.bit_rate = _AUDIO_BITS
            self._stream.codec_context.layout = layout
            self._frames = self._resampled(layout)
            self._ahead: av.AudioFrame | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def until(self, seconds: float) -> Iterator[Packet[AudioStream]]:
        """Encode what is heard before that moment of the new clip."""
        while True:
            frame = self._ahead or next(self._frames, None)
            self._ahead = None
            if frame is None:
                return
            if (frame.pts or 0) / _AUDIO_RATE >= seconds:
                self._ahead = frame
                return
            yield from self._stream.encode(frame)

    def finish(self, seconds: float) -> Iterator[Packet[AudioStream]]:
        """Encode the rest up to the end of the picture."""
        yield from self.until(seconds)
        yield from self._stream.encode(None)

    def _resampled(self, layout: str) -> Iterator[av.AudioFrame]:
        import av

        resampler = av.AudioResampler(format="fltp", layout=layout, rate=_AUDIO_RATE)
        source = self._source.streams.audio[0]
        origin = float((source.start_time or 0) * (source.time_base or 0))
        if self._start_s > 1.0:
            self._source.seek(int((origin + self._start_s) * 1_000_000))
        pts = 0
        for frame in self._source.decode(source):
            time = 0.0 if frame.time is None else frame.time - origin
            if time + frame.samples / frame.sample_rate <= self._start_s:
                continue
            for piece in resampler.resample(frame):
                piece.pts = pts
                piece.time_base = Fraction(1, _AUDIO_RATE)
                pts += piece.samples
                yield piece
