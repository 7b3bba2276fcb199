"""Crop, resize and trim: what they do to sizes, and to pictures and clips.

Edits are values: they are checked and described without touching a file, and applied once, when
the content is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInputError, MediaError
from .image import open_image, png_bytes
from .probe import Probe
from .video import VideoWriter, read_frames, to_rgb

if TYPE_CHECKING:
    import av
    from PIL import Image

_DEFAULT_FPS = 25.0


@dataclass(frozen=True, slots=True)
class Crop:
    """Keep a rectangle.

    Parameters
    ----------
    left, top : int
        Its upper left corner, in pixels.
    width, height : int
        Its size, in pixels; rounded down to even numbers for clips.
    """

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"crop {self.width}x{self.height} at {self.left},{self.top}"

    def after(self, before: Probe) -> Probe:
        """Return what a file is like after the crop, or refuse it."""
        for name in ("left", "top", "width", "height"):
            _whole(getattr(self, name), name, least=0 if name in ("left", "top") else 1)
        if self.left + self.width > before.width or self.top + self.height > before.height:
            raise InvalidInputError(
                f"The crop reaches {self.left + self.width} x {self.top + self.height}, beyond "
                f"the {before.width} x {before.height} pixels there are.",
                field="crop",
                hint="Give left, top, width, height in pixels, inside the picture.",
            )
        return _sized(before, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Resize:
    """Scale to a size.

    Parameters
    ----------
    width, height : int
        New size in pixels; rounded down to even numbers for clips.
    """

    width: int
    height: int

    def __str__(self) -> str:
        return f"resize {self.width}x{self.height}"

    def after(self, before: Probe) -> Probe:
        """Return what a file is like after the resize, or refuse it."""
        for name in ("width", "height"):
            _whole(getattr(self, name), name, least=1 if before.kind == "image" else 2, most=8192)
        return _sized(before, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Trim:
    """Keep a part of a clip.

    Parameters
    ----------
    start_s, end_s : float
        Its beginning and end, in seconds.
    """

    start_s: float
    end_s: float

    def __str__(self) -> str:
        return f"trim {self.start_s:g}-{self.end_s:g} s"

    def after(self, before: Probe) -> Probe:
        """Return what a clip is like after the trim, or refuse it."""
        if before.kind != "video":
            raise InvalidInputError(
                "A picture has no length to trim.", field="trim", hint="Trim clips only."
            )
        length = before.duration_s if before.duration_s is not None else math.inf
        if not 0 <= self.start_s < self.end_s or self.start_s >= length:
            raise InvalidInputError(
                f"A trim from {self.start_s:g} s to {self.end_s:g} s is not a part of a clip of "
                f"{length:.2f} s.",
                field="trim",
                hint="Give start_s and end_s in seconds, the start before the end.",
            )
        end_s = min(self.end_s, length)
        fps = before.fps or _DEFAULT_FPS
        frames = max(1, round((end_s - self.start_s) * fps))
        return replace(before, duration_s=frames / fps, frames=frames)


Edit = Crop | Resize | Trim


def preview(found: Probe, edits: Sequence[Edit]) -> Probe:
    """Return what a file will be like after the edits, without doing them.

    Raises
    ------
    InvalidInputError
        An edit does not fit what is there when its turn comes.
    """
    for edit in edits:
        found = edit.after(found)
    return found


def edit_image(source: Path | bytes, edits: Sequence[Edit]) -> bytes:
    """Apply edits to a picture and return it as PNG."""
    from PIL import Image

    image = open_image(source)
    for edit in edits:
        if isinstance(edit, Crop):
            right, bottom = edit.left + edit.width, edit.top + edit.height
            image = image.crop((edit.left, edit.top, right, bottom))
        elif isinstance(edit, Resize):
            image = image.resize((edit.width, edit.height), Image.Resampling.LANCZOS)
    return png_bytes(image)


def first_frame(path: Path, found: Probe, edits: Sequence[Edit]) -> Image.Image:
    """Return what an edited clip begins with, without editing all of it."""
    from PIL import Image

    start_s, end_s = _window(edits)
    frames = read_frames(path, start_s=start_s, end_s=end_s)
    frame = next(_shaped(frames, edits, found), None)
    if frame is None:
        raise MediaError("The part that is left of the clip holds no frame.", field="trim")
    return Image.fromarray(to_rgb(frame))


def edit_clip(path: Path, found: Probe, edits: Sequence[Edit], out: Path) -> None:
    """Apply edits to a clip and write it as MP4, its sound kept and cut with it."""
    after = preview(found, edits)
    fps = found.fps or _DEFAULT_FPS
    start_s, end_s = _window(edits)
    frames = read_frames(path, fps=fps, start_s=start_s, end_s=end_s)
    with VideoWriter(
        out,
        after.width - after.width % 2,
        after.height - after.height % 2,
        fps,
        audio_from=path if found.has_audio else None,
        audio_start_s=start_s,
        crf=18,
    ) as writer:
        for frame in _shaped(frames, edits, found):
            writer.write(frame)


def _window(edits: Sequence[Edit]) -> tuple[float, float | None]:
    """Return the part that is left by all trims, each counted from the start of the one before."""
    start_s, end_s = 0.0, None
    for edit in edits:
        if isinstance(edit, Trim):
            stop = start_s + edit.end_s
            end_s = stop if end_s is None else min(stop, end_s)
            start_s += edit.start_s
    return start_s, end_s


def _shaped(
    frames: Iterator[av.VideoFrame], edits: Sequence[Edit], found: Probe
) -> Iterator[av.VideoFrame]:
    from av.filter import Graph

    steps: list[tuple[str, str]] = []
    for edit in edits:
        if isinstance(edit, Crop):
            width, height = edit.width - edit.width % 2, edit.height - edit.height % 2
            steps.append(("crop", f"{width}:{height}:{edit.left}:{edit.top}:exact=1"))
        elif isinstance(edit, Resize):
            width, height = edit.width - edit.width % 2, edit.height - edit.height % 2
            steps.append(("scale", f"{width}:{height}:flags=lanczos"))
    if found.width % 2 or found.height % 2:
        steps.append(("crop", "trunc(iw/2)*2:trunc(ih/2)*2"))
    if not steps:
        yield from frames
        return
    graph: Graph | None = None
    for frame in frames:
        if graph is None:
            graph = Graph()
            source = graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            )
            nodes = [graph.add(name, args) for name, args in steps]
            graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
        graph.vpush(frame)
        yield graph.vpull()


def _sized(before: Probe, width: int, height: int) -> Probe:
    if before.kind == "video":
        width, height = width - width % 2, height - height % 2
    if not width or not height:
        raise InvalidInputError(
            "Nothing would be left of the clip: its sides are even numbers of pixels.",
            field="crop",
            hint="Keep at least 2 x 2 pixels.",
        )
    return replace(before, width=width, height=height)


def _whole(value: object, name: str, *, least: int, most: int = 2**31) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInputError(
            f"{name} must be a whole number of pixels from {least}; it is {value!r}.", field=name
        )
