"""Still pictures as sources: one picture, again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from PIL import Image

from ..image import open_image, upright_rgb
from ..inputs import prepare
from ..prepared import PreparedInput
from .base import Item, Source
from .fit import Fit
from .frames import as_frame
from .heads import format_of
from .wanted import Wanted


def matches(value: Any) -> bool:
    """Whether it is one picture: a Pillow image, an array of one, a file or its content."""
    if isinstance(value, np.ndarray):
        return value.ndim in (2, 3)
    if isinstance(value, (Image.Image, av.VideoFrame)):
        return True
    found = format_of(value)
    return found is not None and found.kind == "image"


def open_still(value: Any, wanted: Wanted) -> Source:
    """Return a picture as a source without end."""
    if isinstance(value, Image.Image):
        value = upright_rgb(value)
    elif not isinstance(value, (np.ndarray, av.VideoFrame)):
        return still(prepare(value, field="source", kind="image"), wanted)
    return _repeated(as_frame(value), "a picture", wanted)


def still(prepared: PreparedInput, wanted: Wanted) -> Source:
    """Return a picture that was prepared as a source."""
    picture = open_image(prepared.path or prepared.content or b"", field="source")
    return _repeated(as_frame(picture), prepared.label, wanted)


def _repeated(frame: av.VideoFrame, label: str, wanted: Wanted) -> Source:
    fitted = Fit(wanted.size)(frame)  # once; what is left for each repetition costs nothing

    def items(_: threading.Event) -> Iterator[Item]:
        number = 0
        while True:
            yield Item(number / wanted.fps, fitted)
            number += 1

    return Source(wanted.traits("image", label), items)
