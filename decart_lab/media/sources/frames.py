"""Frames that a program makes: arrays and images, in a list, from a generator or a function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import av
import numpy as np
from PIL import Image

from ...errors import InvalidInputError
from ..arrays import eight_bit
from .base import Item, Source
from .wanted import Wanted

_FIELD = "source"
_LAYOUTS = {1: "gray", 3: "rgb24", 4: "rgba"}
_HINT = "Give (H, W, 3) arrays of uint8 or of floats from 0 to 1, Pillow images or av.VideoFrame."


def matches(value: Any) -> bool:
    """Whether it gives frames one after the other."""
    if isinstance(value, np.ndarray):
        return value.ndim == 4
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping)) or hasattr(value, "read"):
        return False
    return isinstance(value, Iterable) or (callable(value) and not isinstance(value, type))


def open_frames(value: Any, wanted: Wanted) -> Source:
    """Return frames of a program as a source; what cannot be begun again ends."""
    repeatable = isinstance(value, Iterable) and iter(value) is not value
    length = len(value) if hasattr(value, "__len__") else None
    if length == 0:
        raise InvalidInputError("There are no frames in the source.", field=_FIELD, hint=_HINT)

    def items(_: threading.Event) -> Iterator[Item]:
        number = 0
        while True:
            before = number
            for picture in _called(value) if not isinstance(value, Iterable) else value:
                yield Item(number / wanted.fps, as_frame(picture))
                number += 1
            if number == before or not (repeatable and wanted.loop):
                return

    traits = wanted.traits(
        "frames",
        f"frames of {type(value).__name__}",
        duration_s=None if length is None else length / wanted.fps,
        slips=True,
    )
    return Source(traits, items)


def as_frame(value: Any) -> av.VideoFrame:
    """Make a frame of an array, a Pillow image or a frame.

    Raises
    ------
    InvalidInputError
        It is none of these, or an array of another shape or type.
    """
    if isinstance(value, av.VideoFrame):
        return value
    if isinstance(value, Image.Image):
        value = np.asarray(value.convert("RGB"))
    if not isinstance(value, np.ndarray):
        raise InvalidInputError(
            f"A frame cannot be made of {type(value).__name__}.", field=_FIELD, hint=_HINT
        )
    depth = 1 if value.ndim == 2 else value.shape[-1] if value.ndim == 3 else 0
    if depth not in _LAYOUTS or 0 in value.shape:
        raise InvalidInputError(
            f"An array of shape {value.shape} is not a frame.", field=_FIELD, hint=_HINT
        )
    if depth == 1:
        value = value.reshape(value.shape[:2])
    return av.VideoFrame.from_ndarray(eight_bit(value, _FIELD), format=_LAYOUTS[depth])


def _called(make: Callable[[int], Any]) -> Iterator[Any]:
    """Call a function with 0, 1, 2 and so on, until it returns None."""
    number = 0
    while (picture := make(number)) is not None:
        yield picture
        number += 1
