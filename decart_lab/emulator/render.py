"""Turn a request into a finished picture or clip, as the models of the service would.

What belongs here: which source of frames a model's schema asks for, how long the result is, and
the path of the frames from source through looks to file. Everything streams: a clip is never held
as a whole. Rendering blocks; call it in a thread. It shares nothing between calls.

The same request gives the same bytes: dice are seeded from the request, the encoder's thread count
is fixed, and neither time nor job id is written in ``full`` mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
from PIL import Image

from ..contract.models import ModelSpec
from ..errors import MediaError
from ..media.image import open_image, png_bytes
from ..media.probe import probe
from ..media.video import VideoWriter, read_frames, to_rgb
from . import motion
from .canned import canned_clip, canned_picture
from .marks import COMMENT, PNG_TEXT
from .scenes import compose_scene
from .style import Style

# 480p has one documented price and no documented size. Inferred: the aspect of 720p (1280 x 704)
# as near as the multiples of 16 allow that video models work in.
SIZE_480P: Final = (832, 448)

DEFAULT_S: Final = 5.0  # length of a clip that neither the model nor an input determines


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """What to render.

    Attributes
    ----------
    model : ModelSpec
        The registry's row; its schema decides what is made, its size and rate how.
    prompt : str
        The effective prompt; "" where a reference picture or a trajectory says it all.
    seed : int
        Varies the texture, not the look.
    data, start, end, reference : Path or None
        Input files.
    trajectory : tuple of dict or None
        Points with ``frame``, and ``x`` and ``y`` in pixels of the input.
    resolution : {"720p", "480p"}
        480p applies to the models whose schema offers it.
    orientation : {"landscape", "portrait"}
        Of what is painted from words alone.
    mode : {"full", "canned"}
        Canned answers are valid media of the right size, rate and length that cost next to
        nothing and show nothing of the request.
    job_id : str
        Written into canned answers, which makes each unique; at most 64 characters of it.
    input_s : float or None
        Length of the input clip in seconds where the caller knows it; it is probed otherwise.
    """

    model: ModelSpec
    prompt: str = ""
    seed: int = 0
    data: Path | None = None
    start: Path | None = None
    end: Path | None = None
    reference: Path | None = None
    trajectory: tuple[dict[str, Any], ...] | None = None
    resolution: str = "720p"
    orientation: str = "landscape"
    mode: Literal["full", "canned"] = "full"
    job_id: str = ""
    input_s: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the result, in pixels."""
        width, height = self.model.width, self.model.height
        if self.resolution == "480p":
            width, height = SIZE_480P
        if self.orientation == "portrait" and self.model.schema in ("T2I", "T2V"):
            width, height = height, width
        return width, height

    @property
    def follows_clip(self) -> bool:
        """Whether the model edits an input clip."""
        return self.model.kind == "video" and self.model.schema not in _FROM_PICTURES


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was rendered: facts of the finished file.

    Attributes
    ----------
    mime : str
        ``image/png`` or ``video/mp4``.
    width, height : int
        In pixels.
    frames : int
        1 for a picture.
    fps, seconds : float or None
        None for a picture.
    size_bytes : int
        Size of the file.
    """

    mime: str
    width: int
    height: int
    frames: int
    fps: float | None
    seconds: float | None
    size_bytes: int


_FROM_PICTURES: Final = frozenset({"T2V", "I2V", "I2V_DEV", "FLF2V", "MOTION"})


def render(request: RenderRequest, out: Path) -> Rendered:
    """Render a request into a file.

    Parameters
    ----------
    request : RenderRequest
        What to render; its files must be readable media of the kind the schema asks for.
    out : Path
        The file to write; it appears under its name when it is finished.

    Returns
    -------
    Rendered
        Facts of the file.

    Raises
    ------
    MediaError
        An input cannot be decoded.
    """
    width, height = request.size
    if request.model.kind == "image":
        if request.mode == "canned":
            content = canned_picture(width, height, request.job_id)
        else:
            content = _picture(request)
        out.write_bytes(content)
        return Rendered("image/png", width, height, 1, None, None, len(content))
    fps = float(request.model.fps)
    frames = max(1, round(_seconds(request) * fps))
    if request.mode == "canned":
        out.write_bytes(canned_clip(width, height, request.model.fps, frames, request.job_id))
    else:
        try:
            _clip(request, frames, out)
        except av.FFmpegError as error:
            raise MediaError(
                "The input clip changes in a way that cannot be rendered.",
                field="data",
                hint="Export it again with one size and pixel format throughout.",
            ) from error
    size_bytes = out.stat().st_size
    return Rendered("video/mp4", width, height, frames, fps, frames / fps, size_bytes)


def _seconds(request: RenderRequest) -> float:
    """Length of the result: the model's own, cut to that of an input clip."""
    fixed = request.model.output_s
    if not request.follows_clip:
        return fixed or DEFAULT_S
    length = request.input_s
    if length is None and request.data is not None:
        length = probe(request.data).duration_s
    length = length or fixed or DEFAULT_S
    return min(length, fixed) if fixed else length


def _picture(request: RenderRequest) -> bytes:
    width, height = size = request.size
    if request.data is None:
        picture = compose_scene(request.prompt, width, height, request.seed).frame(0.0)
    else:
        picture = motion.cover(open_image(request.data, at_least=size), size)
    frames = _style(request).apply([_frame(picture)], size, Fraction(25))
    styled = Image.fromarray(to_rgb(next(frames)))
    return png_bytes(styled, text=PNG_TEXT)


def _clip(request: RenderRequest, count: int, out: Path) -> None:
    size = request.size
    fps = request.model.fps
    sound: Path | None = None
    source: Iterator[av.VideoFrame]
    if request.follows_clip and request.data is not None:
        sound = request.data
        source = _footage(request.data, fps, count)
    else:
        source = map(_frame, _drawn(request, count))
    with VideoWriter(
        out, *size, fps, audio_from=sound, metadata={"comment": COMMENT}, crf=26, threads=2
    ) as writer:
        for frame in _style(request).apply(source, size, Fraction(fps)):
            writer.write(frame)


def _frame(picture: Image.Image) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")


def _style(request: RenderRequest) -> Style:
    reference = open_image(request.reference, at_least=(96, 64)) if request.reference else None
    model = request.model.canonical
    return Style.of(request.prompt, request.seed, model, reference, centred="vton" in model)


def _footage(path: Path, fps: int, count: int) -> Iterator[av.VideoFrame]:
    """Give exactly ``count`` frames of a clip at a rate; the last holds if there are too few."""
    last: av.VideoFrame | None = None
    given = 0
    for frame in islice(read_frames(path, fps=fps), count):
        given += 1
        last = frame
        yield frame
    while last is not None and given < count:
        given += 1
        yield last


def _drawn(request: RenderRequest, count: int) -> Iterator[Image.Image]:
    """Draw the frames of a model that starts from words or pictures."""
    size = request.size
    if request.start is not None and request.end is not None:
        return motion.dissolve(open_image(request.start), open_image(request.end), size, count)
    if request.data is None:
        return compose_scene(request.prompt, *size, request.seed).frames(count)
    picture = open_image(request.data)
    if request.trajectory:
        return motion.follow(picture, request.trajectory, size, count)
    return motion.animate(picture, size, count, request.seed)
