"""Clips: frames out of a file, upright and at a constant rate; and the poster of one.

Writing is in :mod:`decart_lab.media.writer`; its ``VideoWriter`` is offered from here as well.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidInputError, MediaError
from . import limits
from .demux import demuxed_file, main_video
from .probe import Probe, probe, show_name
from .writer import VideoWriter

if TYPE_CHECKING:
    import av
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

__all__ = ["VideoWriter", "poster", "read_frames", "to_rgb"]

_TRANSPOSE: Final = {90: ["clock"], 180: ["clock", "clock"], 270: ["cclock"]}
_BT709: Final = 1
_BT601: Final = 5
_UNSPECIFIED: Final = (2, 0)

_scalers = threading.local()
"""Each thread's own converter of pixels."""


def read_frames(
    path: Path,
    *,
    fps: float | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
    field: str = "data",
) -> Iterator[av.VideoFrame]:
    """Decode a clip frame by frame, upright.

    Parameters
    ----------
    path : Path
        An MP4, MOV or WebM file.
    fps : float, optional
        Frames per second to give, by repeating or leaving out frames as their times ask; by
        default every frame of the file, once.
    start_s, end_s : float
        Part of the clip to give, in seconds; the frame shown at ``start_s`` is the first.
    field : str
        The argument to name when it is refused.

    Yields
    ------
    av.VideoFrame
        In the pixel format of the file, with ``time`` in seconds of the clip. Use
        :func:`to_rgb` for an array.

    Raises
    ------
    MediaError
        It is not a clip, is damaged, or turns out larger than its header said.
    """
    if fps is not None and not 0 < fps <= 1000:
        raise InvalidInputError(f"fps must be between 0 and 1000; it is {fps}.", field="fps")
    found = probe(path, field=field)
    if found.kind != "video":
        raise MediaError(
            f"{show_name(path)} is a picture, not a clip.",
            field=field,
            hint="Give an MP4, MOV or WebM file.",
        )
    frames = _decoded(path, found, start_s, end_s, field)
    if fps is not None:
        frames = _at_rate(frames, fps, start_s, end_s)
    return frames


def to_rgb(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Convert a frame to an array of shape (H, W, 3), RGB, uint8.

    A frame that does not name its colour matrix is taken as players take it: BT.709 from 720
    lines up, BT.601 below. Several threads may convert one frame at the same time.
    """
    from av.video.reformatter import VideoReformatter

    # A frame's own converter is shared by everybody who has the frame: two threads in it at once
    # wait for each other for ever, or crash.
    scaler = getattr(_scalers, "own", None)
    if scaler is None:
        scaler = _scalers.own = VideoReformatter()
    matrix = frame.colorspace
    if matrix in _UNSPECIFIED and not frame.format.is_rgb:
        matrix = _BT709 if frame.height >= 720 else _BT601
        converted = scaler.reformat(frame, format="rgb24", src_colorspace=matrix)
    else:
        converted = scaler.reformat(frame, format="rgb24")
    array: Any = converted.to_ndarray()
    result: npt.NDArray[np.uint8] = array
    return result


def poster(path: Path, *, field: str = "data") -> Image.Image:
    """Return the first frame of a clip as an upright RGB picture."""
    from PIL import Image

    frame = next(read_frames(path, field=field), None)
    if frame is not None:
        return Image.fromarray(to_rgb(frame))
    raise MediaError(
        f"{show_name(path)} holds no frame that can be decoded.",
        field=field,
        hint="Copy or download it again.",
    )


def _decoded(
    path: Path, found: Probe, start_s: float, end_s: float | None, field: str
) -> Iterator[av.VideoFrame]:
    name = show_name(path)
    turn = _Turn(found.rotation)
    with demuxed_file(path, name=name, field=field) as container:
        stream = main_video(container)
        assert stream is not None  # probe saw it
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(limits.MAX_CLIP_PIXELS)}
        origin = float((stream.start_time or 0) * (stream.time_base or 0))
        if start_s > 1.0:
            # To the key frame before; what lies between is decoded and dropped.
            container.seek(int((origin + start_s) * 1_000_000))
        last: av.VideoFrame | None = None
        for count, frame in enumerate(container.decode(stream)):
            if count >= limits.MAX_CLIP_FRAMES:
                raise MediaError(
                    f"{name} has more than {limits.MAX_CLIP_FRAMES:,} frames.",
                    field=field,
                    hint="Take a part of it: Media(path).trim(start_s, end_s).",
                )
            time = 0.0 if frame.time is None else frame.time - origin
            if end_s is not None and time >= end_s - 1e-6:
                break
            if time < start_s - 1e-6:
                last = frame
                continue
            if last is not None and time > start_s + 1e-6:
                yield turn(last)  # it is the one on screen at start_s
            last = None
            yield turn(frame)


class _Turn:
    """Turns frames upright; one filter graph for the whole clip."""

    def __init__(self, degrees: int) -> None:
        self._steps = _TRANSPOSE.get(degrees, [])
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        if not self._steps:
            return frame
        if self._graph is None:
            self._graph = self._build(frame)
        self._graph.vpush(frame)
        return self._graph.vpull()

    def _build(self, frame: av.VideoFrame) -> av.filter.Graph:
        from av.filter import Graph

        graph = Graph()
        nodes = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            ),
            *(graph.add("transpose", step) for step in self._steps),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph


def _at_rate(
    frames: Iterator[av.VideoFrame], fps: float, start_s: float, end_s: float | None
) -> Iterator[av.VideoFrame]:
    """Repeat and drop frames so that tick n shows what is on screen at start_s + n / fps."""
    tick = 0
    shown: av.VideoFrame | None = None
    # Times are kept apart from the frames: whoever is given a frame may stamp it anew.
    origin = since = gap = 0.0
    for frame in frames:
        time = frame.time or 0.0
        if shown is None:
            origin = max(time, start_s)  # the first may have come on screen before the start
        else:
            gap = time - since
        # Half a tick of tolerance: rates that are almost equal must not double a frame.
        while shown is not None and (tick + 0.5) / fps <= time - origin:
            yield shown
            tick += 1
        shown, since = frame, time
    if shown is None:
        return
    stop = since - origin + (gap or 1 / fps)
    if end_s is not None:
        stop = min(stop, end_s - start_s)
    while (tick + 0.5) / fps <= stop or tick == 0:
        yield shown
        tick += 1
