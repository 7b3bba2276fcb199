"""What a session's wish has become: filter graphs behind each other, ready for frames.

What belongs here: the wish itself and the graphs of one; when they are made and replaced is decided
in :mod:`.live`. FFmpeg holds Python's lock while it configures a graph (5 to 25 ms where a look
computes tables), so every part of a style gets a graph of its own, with room for others in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
from PIL import Image

from .corner import plane
from .filtergraph import Pump, compose
from .style import Recipe

REVIEW: Final = 25
"""Frames between two looks at the light."""
OTHER_LIGHT: Final = 40.0
"""Levels of mean luma, of 255, beyond which a look is made anew: cameras begin in the dark."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a session is to show: words, a picture, and whether the words may be extended."""

    prompt: str
    image: Image.Image | None
    enhance: bool


class Chain:
    """The graphs that fulfil a wish, for frames of one shape.

    Parameters
    ----------
    wish : Wish
        What it fulfils.
    recipe : Recipe or None
        What is done to frames; None only makes them planar YUV, which most are already.
    first : av.VideoFrame
        A frame of that shape.
    rate : Fraction
        Frames per second; what moves in a look moves by it.
    """

    def __init__(
        self, wish: Wish, recipe: Recipe | None, first: av.VideoFrame, rate: Fraction
    ) -> None:
        self.wish = wish
        self._shape = _shape(first)
        self._light = _light(first)
        self._painted = 0
        self._recipe = recipe
        self._pumps = []
        width, height, form = self._shape
        parts = recipe.parts if recipe else (("format=yuv420p", 1.0),)
        for graph, opacity in parts:
            side = recipe.side if recipe and "[side]" in graph else None
            steps = compose((graph, opacity))
            self._pumps.append(Pump(steps, width, height, rate, format=form, side=side))
            form = "yuv420p"

    def fits(self, frame: av.VideoFrame) -> bool:
        """Whether a frame has the size and format these graphs were made for."""
        return _shape(frame) == self._shape

    def stale(self, frame: av.VideoFrame) -> bool:
        """Whether the light has become another than that which the graphs were made for."""
        self._painted += 1
        if self._recipe is None or self._painted % REVIEW:
            return False
        return abs(_light(frame) - self._light) > OTHER_LIGHT

    def paint(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Paint a frame, whose time is lost by it."""
        for pump in self._pumps:
            (frame,) = pump.feed(frame)  # no look holds frames back
        return self._recipe.named(frame) if self._recipe else frame


def _light(frame: av.VideoFrame) -> float:
    return float(plane(frame, 0)[::8, ::8].mean())


def _shape(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
