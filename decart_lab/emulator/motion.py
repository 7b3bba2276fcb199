"""Frames for the models that set pictures in motion: animate one, blend two, move a thing along.

Every function is a generator of RGB pictures of the frame's size and holds one frame at a time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import cos, pi, sin
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageOps

_ROOM: Final = 1.22  # how much larger than the frame a picture is held, for the camera to move in
_PATCH: Final = 0.17  # radius of what MOTION moves, as a share of the frame's height

Size = tuple[int, int]
Floats = npt.NDArray[np.floating[Any]]


def cover(picture: Image.Image, size: Size) -> Image.Image:
    """Scale and crop a picture about its centre until it covers the frame exactly."""
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def animate(picture: Image.Image, size: Size, count: int, seed: int) -> Iterator[Image.Image]:
    """Move a camera over a picture: a slow push in and a drift that the seed picks."""
    dice = random.Random(f"camera/{seed}")  # noqa: S311 - a camera path, not secrets
    angle = dice.uniform(0, 2 * pi)
    inwards = dice.random() < 0.7
    held = cover(picture, _larger(size))
    for index in range(count):
        at = _ease(index, count)
        drift = 0.8 * (2 * at - 1)
        near = 0.25 + 0.75 * (at if inwards else 1 - at)
        yield _shot(held, size, near, drift * cos(angle), drift * sin(angle))


def dissolve(start: Image.Image, end: Image.Image, size: Size, count: int) -> Iterator[Image.Image]:
    """Turn one picture into another: the first frame is the one, the last frame the other."""
    first, last = (cover(picture, _larger(size)) for picture in (start, end))
    for index in range(count):
        at = _ease(index, count)
        # The first camera goes in, the second comes out: each picture is whole where it is alone.
        before, after = _shot(first, size, at, 0, 0), _shot(last, size, 1 - at, 0, 0)
        yield Image.blend(before, after, min(1.0, max(0.0, (at - 0.15) / 0.7)))


def follow(
    picture: Image.Image, trajectory: Sequence[Mapping[str, Any]], size: Size, count: int
) -> Iterator[Image.Image]:
    """Carry what is at the first point of a trajectory along it, over the rest of the picture.

    Parameters
    ----------
    picture : PIL.Image.Image
        The input, RGB.
    trajectory : sequence of mapping
        Points with ``frame`` and, in pixels of the input, ``x`` and ``y``.
    size : (int, int)
        Width and height of the frames.
    count : int
        Number of frames; where the trajectory is shorter, its last point holds.
    """
    base = cover(picture, size)
    width, height = size
    scale = max(width / picture.width, height / picture.height)
    offset = (width - picture.width * scale) / 2, (height - picture.height * scale) / 2
    points = sorted(
        (point["frame"], point["x"] * scale + offset[0], point["y"] * scale + offset[1])
        for point in trajectory
    )
    radius = max(8, round(_PATCH * height))
    x = min(max(round(points[0][1]), radius), width - radius)
    y = min(max(round(points[0][2]), radius), height - radius)
    box = (x - radius, y - radius, x + radius, y + radius)
    patch = base.crop(box)
    mask = Image.new("L", patch.size, 0)
    ImageDraw.Draw(mask).ellipse([radius * 0.2, radius * 0.2, radius * 1.8, radius * 1.8], fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(radius * 0.09))
    # What was behind it is not known: the colours around it flow in.
    around = (x - 2 * radius, y - 2 * radius, x + 2 * radius, y + 2 * radius)
    hole = Image.new("L", (4 * radius, 4 * radius), 0)
    hole.paste(mask.point(lambda value: 255 if value > 2 else 0), (radius, radius))
    filled = _flow_in(base.crop(around), hole).crop((radius, radius, 3 * radius, 3 * radius))
    empty = base.copy()
    empty.paste(filled, box[:2], mask)
    for index in range(count):
        px, py = _along(points, index)
        frame = empty.copy()
        frame.paste(patch, (round(px) - radius, round(py) - radius), mask)
        yield frame


def _flow_in(picture: Image.Image, hole: Image.Image) -> Image.Image:
    """Fill a hole from its rim: average what is known at coarser and coarser sizes, and go back."""
    known = 1.0 - np.asarray(hole, np.float32) / 255
    sheet = np.dstack([np.asarray(picture, np.float32) * known[..., None], known])
    levels: list[Floats] = [sheet]
    while min(levels[-1].shape[:2]) > 2:
        levels.append(_resized(levels[-1], levels[-1].shape[1] // 2, levels[-1].shape[0] // 2))
    colours = levels[-1][..., :3] / np.maximum(levels[-1][..., 3:], 1e-3)
    for level in reversed(levels[:-1]):
        coarse = _resized(colours, level.shape[1], level.shape[0])
        share = np.minimum(level[..., 3:], 1.0)
        colours = level[..., :3] + coarse * (1 - share)
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8))


def _resized(sheet: Floats, width: int, height: int) -> Floats:
    smaller = width < sheet.shape[1]
    method = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
    planes = (
        Image.fromarray(sheet[..., i]).resize((width, height), method)
        for i in range(sheet.shape[2])
    )
    return np.dstack([np.asarray(plane, np.float32) for plane in planes])


def _along(points: Sequence[tuple[int, float, float]], frame: int) -> tuple[float, float]:
    """Place on a polyline at a frame; before its first and after its last point it rests."""
    if frame <= points[0][0]:
        return points[0][1], points[0][2]
    for (start, x0, y0), (end, x1, y1) in pairwise(points):
        if frame < end:
            share = (frame - start) / (end - start)
            return x0 + (x1 - x0) * share, y0 + (y1 - y0) * share
    return points[-1][1], points[-1][2]


def _shot(held: Image.Image, size: Size, near: float, dx: float, dy: float) -> Image.Image:
    """Return what a camera sees of a held picture.

    ``near`` is 0 for all of it and 1 for a part of the frame's own size; dx and dy are shares of
    the room that is left, -1 to 1.
    """
    part = 1 - near * (1 - 1 / _ROOM)
    width, height = held.width * part, held.height * part
    left = (held.width - width) / 2 * (1 + dx)
    top = (held.height - height) / 2 * (1 + dy)
    box = (left, top, left + width, top + height)
    return held.resize(size, Image.Resampling.BILINEAR, box=box)


def _larger(size: Size) -> Size:
    return round(size[0] * _ROOM), round(size[1] * _ROOM)


def _ease(index: int, count: int) -> float:
    """Progress from 0 to 1, gentle at both ends."""
    at = index / max(1, count - 1)
    return at * at * (3 - 2 * at)
