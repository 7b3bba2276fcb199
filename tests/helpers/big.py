"""A picture that no socket holds as a whole, so that a break in the middle is seen as one."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def big_picture(side: int = 1800) -> bytes:
    """A PNG of noise, some 10 MB, that nothing compresses."""
    noise = np.random.default_rng(7).integers(0, 256, (side, side, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=0)
    return out.getvalue()
