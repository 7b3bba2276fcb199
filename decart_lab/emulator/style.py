"""What one request does to frames: fit, palette, grade and looks, as one libavfilter graph.

What belongs here: the order of the steps and their strength. The steps themselves are rows of
:mod:`.looks`, grades of :mod:`.grade` and tables of :mod:`.palette`.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from ..media.video import to_rgb
from .filtergraph import Pump, compose, fill
from .grade import Grade, grade_of, hashed_grade
from .looks import Stage
from .palette import transfer_table
from .prompts import read

_ORDER: Final[tuple[Stage, ...]] = ("medium", "light", "weather")

# How much is seen of a look that is not the first of its prompt. Two media at full strength
# would hide each other; weather lies over everything anyway.
_SECOND: Final[dict[Stage, float]] = {"medium": 0.45, "light": 0.7, "weather": 0.9}

_READABLE: Final = 72.0  # least median luma, of 255, of what is drawn
_SPAN: Final = 130.0  # least width of its luma, without the extremes
_GRAIN: Final = "noise=c0s=5:c0f=t:all_seed={seed}"
_BT601, _BT709, _LIMITED = 5, 1, 1
_MATRIX_NAME: Final = {_BT601: "bt601", _BT709: "bt709"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to every frame of a clip.

    Attributes
    ----------
    parts : tuple of (str, float)
        Filled graphs in their order, with opacities. The first fits frames to size and format.
    side : av.VideoFrame or None
        The still that one of the parts reads as ``side``.
    matrix : int
        FFmpeg's number of the colour matrix that comes out.
    """

    parts: tuple[tuple[str, float], ...]
    side: av.VideoFrame | None
    matrix: int

    def named(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Write into a finished frame what its colours mean."""
        frame.colorspace = frame.color_primaries = frame.color_trc = self.matrix
        frame.color_range = _LIMITED
        return frame


@dataclass(frozen=True, slots=True)
class Style:
    """A prompt, a seed and a reference picture, ready to be applied to frames.

    Attributes
    ----------
    prompt : str
        The effective prompt.
    dice : int
        Seed of all texture: of the model, the prompt and the request's seed together.
    model : str
        Canonical id of the model; each leans a little to colours of its own.
    reference : PIL.Image.Image or None
        RGB; its palette is transferred.
    centred : bool
        Transfer the palette in the middle of the frame only, where a try-on model's person is.
    """

    prompt: str
    dice: int
    model: str
    reference: Image.Image | None = None
    centred: bool = False

    @classmethod
    def of(
        cls,
        prompt: str,
        seed: int,
        model: str,
        reference: Image.Image | None = None,
        *,
        centred: bool = False,
    ) -> Style:
        """Make the style of a request."""
        digest = hashlib.sha256(f"{model}/{seed}/{prompt}".encode()).digest()
        return cls(prompt, int.from_bytes(digest[:6], "big"), model, reference, centred)

    def apply(
        self, frames: Iterable[av.VideoFrame], size: tuple[int, int], fps: Fraction
    ) -> Iterator[av.VideoFrame]:
        """Fit frames to a size, about their centre, and repaint them.

        Parameters
        ----------
        frames : iterable of av.VideoFrame
            All of one size and pixel format.
        size : (int, int)
            Width and height of what comes out, in pixels.
        fps : Fraction
            Frames per second; what moves in a look moves by it.

        Yields
        ------
        av.VideoFrame
            One for each that went in: yuv420p, video range, with its colour matrix named.
        """
        source = iter(frames)
        first = next(source)
        recipe = self.recipe(first, size, fps)
        pump = Pump(
            compose(*recipe.parts),
            first.width,
            first.height,
            fps,
            format=first.format.name,
            side=recipe.side,
        )
        for frame in pump.run(chain((first,), source)):
            yield recipe.named(frame)

    def recipe(self, first: av.VideoFrame, size: tuple[int, int], fps: Fraction) -> Recipe:
        """Look at the first frame of a clip, and say what is to be done to all of them."""
        drawn = first.format.name.startswith(("rgb", "gbr"))
        matrix = first.colorspace
        if matrix not in _MATRIX_NAME or drawn:
            # What players assume where nothing is said; what we draw is HD.
            matrix = _BT709 if drawn or first.height >= 720 else _BT601
        name = _MATRIX_NAME[matrix]
        # The scaler is told where frames come from: tags of decoded frames are often missing.
        told = f":out_color_matrix={name}:out_range=tv"
        if not drawn:
            full = first.color_range == 2 or first.format.name.startswith("yuvj")
            told += f":in_color_matrix={name}:in_range={'pc' if full else 'tv'}"
        width, height = size
        fit = (
            f"scale={width}:{height}:force_original_aspect_ratio=increase:flags=bicubic{told},"
            f"crop={width}:{height},setsar=1,format=yuv420p"
        )
        picture = Image.fromarray(to_rgb(first))
        parts = [(fit, 1.0)]
        side = None
        if self.reference is not None:
            side = transfer_table(picture, self.reference)
            parts.append((_transfer(name, self.centred), 1.0))
        parts += self._repaint(np.asarray(picture.convert("L").reduce(8)))
        filled = tuple(
            (fill(graph, width, height, fps, self.dice + number), opacity)
            for number, (graph, opacity) in enumerate(parts)
            if graph
        )
        return Recipe(filled, side, matrix)

    def _repaint(self, luma: npt.NDArray[np.uint8]) -> list[tuple[str, float]]:
        """List the grade, the looks in the order of their stages, and the grain, with opacities."""
        reading = read(self.prompt)
        looks = [look for look, _ in reading.looks]
        grade = grade_of(reading.words, beside_looks=bool(looks))
        grade += hashed_grade(self.model).scaled(0.08)
        dice = random.Random(self.dice)  # noqa: S311 - a shade, not a secret
        grade += Grade(hue=dice.uniform(-3, 3), light=dice.uniform(-0.02, 0.02))
        ordered = sorted(looks, key=lambda look: _ORDER.index(look.stage))
        drawn = any(look.stage == "medium" for look in looks)
        return [
            (_developed(luma) if drawn else "", 1.0),
            (grade.graph, 1.0),
            # Film has grain; in a drawing it is the subject's, for flat colours must stay flat.
            (_GRAIN if drawn else "", 1.0),
            *((look.graph, 1.0 if look is looks[0] else _SECOND[look.stage]) for look in ordered),
            ("" if drawn else _GRAIN, 1.0),
        ]


def _developed(luma: npt.NDArray[np.uint8]) -> str:
    """Bring a faint or dark picture to a readable range before it is drawn.

    Whoever draws from a photograph does the same; a dark one would give a black drawing.
    """
    low, median, high = (float(value) for value in np.percentile(luma, (2, 50, 98)))
    gain = min(2.5, max(1.0, _SPAN / max(1.0, high - low)))
    gamma = 1.0
    if median < _READABLE:
        gamma = max(0.45, math.log(_READABLE / 255) / math.log(max(4.0, median) / 255))
    if gain == gamma == 1.0:
        return ""
    middle = 16 + median * 219 / 255
    level = f"clip(((val-{middle:.1f})*{gain:.3f}+{middle - 16:.1f})/219,0,1)"
    return f"lutyuv=y='16+219*pow({level},{gamma:.3f})'"


def _transfer(matrix: str, centred: bool) -> str:
    table = (
        f"scale=in_color_matrix={matrix}:in_range=tv,format=rgb24[rgb];[rgb][side]haldclut,"
        f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"
    )
    if not centred:
        return table
    # An upright oval, soft at the rim, drawn once: where the person of a try-on clip stands.
    oval = "255*clip(1.6-1.5*hypot((X-W/2)/(W*0.26),(Y-H*0.55)/(H*0.52)),0,1)"
    return (
        f"split[rim][middle];[middle]{table}[dressed];"
        f"color=c=gray:s={{w}}x{{h}}:r=1,trim=end_frame=1,format=yuv420p,"
        f"geq=lum='{oval}':cb='{oval}':cr='{oval}'[oval];"
        "[rim][dressed][oval]maskedmerge"
    )
