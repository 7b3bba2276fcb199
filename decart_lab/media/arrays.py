"""Arrays and Pillow images as files: PNG for one picture, MP4 for a stack of frames.

The same pixels give the same file, so that a sweep over an array is recognised when it runs again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidInputError
from .image import png_bytes
from .video import VideoWriter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ARRAY_FPS: Final = 25.0
"""Rate of a clip made of an array, which does not say its own."""

_SHAPES: Final = (
    "Give (H, W, 3) for a picture or (T, H, W, 3) for a clip: uint8, or floats from 0 to 1."
)


def encode_array(
    array: npt.NDArray[Any], out: Path, *, field: str
) -> tuple[bytes | None, tuple[str, ...]]:
    """Encode an array: a picture is returned as PNG, a clip is written to ``out``.

    Parameters
    ----------
    array : ndarray
        Of shape (H, W), (H, W, 3) or (H, W, 4) for a picture, (T, H, W, 3) for a clip; uint8,
        bool, or floats from 0 to 1.
    out : Path
        Where a clip is written.
    field : str
        The argument to name when it is refused.

    Returns
    -------
    content : bytes or None
        The PNG; None when a clip was written.
    done : tuple of str
        What was decided on the way, in words: the rate of a clip, an odd line cut off.

    Raises
    ------
    InvalidInputError
        Another shape or type, or values out of range.
    """
    from PIL import Image

    shape = array.shape
    if not _fits(shape):
        raise InvalidInputError(
            f"An array of shape {shape} is neither a picture nor a clip.", field=field, hint=_SHAPES
        )
    if len(shape) < 4:
        return png_bytes(Image.fromarray(eight_bit(array, field))), ()
    height, width = shape[1] - shape[1] % 2, shape[2] - shape[2] % 2
    # Crisper than for results: what is sent should be what was given.
    with VideoWriter(out, width, height, ARRAY_FPS, crf=12) as writer:
        for frame in array:
            writer.write(eight_bit(frame, field)[:height, :width])
    done: tuple[str, ...] = (f"encode at {ARRAY_FPS:g} fps",)
    if (height, width) != shape[1:3]:
        done = (f"crop {width}x{height} at 0,0", *done)
    return None, done


def _fits(shape: tuple[int, ...]) -> bool:
    if 0 in shape:
        return False
    match shape:
        case (_, _) | (_, _, 3) | (_, _, 4):
            return True
        case (_, height, width, 3):
            return height >= 2 and width >= 2
    return False


def eight_bit(array: npt.NDArray[Any], field: str) -> npt.NDArray[np.uint8]:
    """Return uint8 of uint8, bool, or floats from 0 to 1; the field is named when it is refused."""
    import numpy as np

    result: npt.NDArray[np.uint8]
    if array.dtype == np.uint8:
        result = np.ascontiguousarray(array)
    elif array.dtype == np.bool_:
        result = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # this way round NaN is refused as well
            raise InvalidInputError(
                f"An array of floats holds values from {low:g} to {high:g}.",
                field=field,
                hint=_SHAPES,
            )
        result = np.rint(array * 255).astype(np.uint8)
    else:
        raise InvalidInputError(
            f"An array of type {array.dtype} is not a picture.", field=field, hint=_SHAPES
        )
    return result
