"""Move a picture's colours to those of a reference picture.

The linear map that carries one colour distribution to another with the least movement (the
Monge-Kantorovich solution for Gaussians: Pitié and Kokaram, "The linear Monge-Kantorovitch linear
colour mapping for example-based colour transfer", 2007) is computed from two small samples and
handed to the ``haldclut`` filter as a table, so that a clip pays for it per frame in C.
"""

from __future__ import annotations

from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

_LEVEL: Final = 5  # a table of 25 steps per channel, 125 x 125 pixels
_TO_YUV: Final = np.array(
    [[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float64
)
_FROM_YUV: Final = np.linalg.inv(_TO_YUV)
_STRENGTH: Final = np.array([0.55, 0.95, 0.95])  # luma moves less: the picture stays readable

Floats = npt.NDArray[np.floating[Any]]


def transfer_table(source: Image.Image, reference: Image.Image) -> av.VideoFrame:
    """Return the table, an RGB frame for ``haldclut``, that gives ``source`` the other's palette.

    Parameters
    ----------
    source, reference : PIL.Image.Image
        RGB, of any size.
    """
    steps = _LEVEL * _LEVEL
    axis = np.linspace(0, 255, steps)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    colours = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    moved = _move(colours, _sample(source), _sample(reference))
    side = _LEVEL**3
    table = np.clip(np.rint(moved), 0, 255).astype(np.uint8).reshape(side, side, 3)
    return av.VideoFrame.from_ndarray(table, format="rgb24")


def _sample(image: Image.Image) -> Floats:
    small = image.convert("RGB").resize((96, 64), Image.Resampling.BOX)
    return np.asarray(small, np.float64).reshape(-1, 3) @ _TO_YUV.T


def _move(colours: Floats, source: Floats, target: Floats) -> Floats:
    yuv = colours @ _TO_YUV.T
    # The floor keeps a grey source from being stretched without bound.
    floor = np.diag([40.0, 12.0, 12.0])
    spread, wanted = np.cov(source.T) + floor, np.cov(target.T) + floor
    root = _root(spread)
    inverse = np.linalg.inv(root)
    linear = inverse @ _root(root @ wanted @ root) @ inverse
    moved = (yuv - source.mean(0)) @ linear.T + target.mean(0)
    mixed: Floats = yuv + (moved - yuv) * _STRENGTH
    return mixed @ _FROM_YUV.T


def _root(matrix: Floats) -> Floats:
    """Square root of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root
