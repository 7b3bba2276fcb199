"""The live avatar: a portrait whose mouth opens, and whose room brightens, as the sound grows.

What belongs here: drawing it at a loudness, and hearing how loud sound is. It shows that sound
arrives and when; it does not pretend to form words.
"""

from __future__ import annotations

import math
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from . import motion
from .scenes import compose_scene

AVATAR_MODELS: Final = frozenset({"live_avatar", "live-avatar"})
"""Models that take sound and answer with a picture (wire contract, section 3.1)."""

FPS: Final = 25
STEPS: Final = 16
"""So many states of the mouth, closed and open included."""

_MOUTH: Final = (0.5, 0.62)  # where a mouth is in most portraits, as shares of width and height
_PAINTED_MOUTH: Final = (0.525, 0.55)  # where it is in one of .scenes
_QUIET_DB: Final = -50.0
_LOUD_DB: Final = -12.0
_FALL: Final = 0.6  # how much of the loudness is left a frame later, if silence follows


class Avatar:
    """A portrait in all the states of its mouth.

    Parameters
    ----------
    size : (int, int)
        Width and height in pixels, both even.
    picture : PIL.Image.Image or None
        Who speaks; somebody painted if None.
    seed : int
        Who is painted.
    """

    def __init__(self, size: tuple[int, int], picture: Image.Image | None, seed: int = 0) -> None:
        if picture is None:
            face = compose_scene("portrait of a person", *size, seed).frame(0.0)
        else:
            face = motion.cover(picture.convert("RGB"), size)
        mouth = _PAINTED_MOUTH if picture is None else _MOUTH
        self._states = [
            _planes(_speaking(face, mouth, step / (STEPS - 1))) for step in range(STEPS)
        ]

    def frame(self, loudness: float) -> av.VideoFrame:
        """Return a frame of its own memory: yuv420p, at a loudness from 0 to 1."""
        state = self._states[round(min(1.0, max(0.0, loudness)) * (STEPS - 1))]
        return av.VideoFrame.from_ndarray(state, format="yuv420p")


class Ear:
    """Follows how loud sound is: up at once, down within tenths of a second."""

    def __init__(self) -> None:
        self._heard = 0.0
        self._shown = 0.0

    def hear(self, frame: av.AudioFrame) -> None:
        """Listen to a piece of sound of any format."""
        self._heard = max(self._heard, loudness(frame))

    def next(self) -> float:
        """Return the loudness to be shown by the next frame of the picture, 0 to 1."""
        self._shown = max(self._heard, self._shown * _FALL)
        self._heard = 0.0
        return self._shown


def loudness(frame: av.AudioFrame) -> float:
    """Return how loud a piece of sound is: 0 at -50 dB of full scale, 1 from -12 dB up."""
    samples: npt.NDArray[Any] = frame.to_ndarray()
    if not samples.size:
        return 0.0
    full = float(np.iinfo(samples.dtype).max) if samples.dtype.kind == "i" else 1.0
    power = float(np.mean(np.square(samples.astype(np.float32) / full)))
    if not power > 1e-10:
        return 0.0
    return min(1.0, max(0.0, (10 * math.log10(power) - _QUIET_DB) / (_LOUD_DB - _QUIET_DB)))


def _speaking(face: Image.Image, mouth: tuple[float, float], opened: float) -> Image.Image:
    width, height = face.size
    across, down = mouth[0] * width, mouth[1] * height
    half, gap = 0.055 * height, 0.004 * height + 0.05 * height * opened
    mask = Image.new("L", face.size, 0)
    ImageDraw.Draw(mask).ellipse((across - half, down - gap, across + half, down + gap), fill=235)
    mask = mask.filter(ImageFilter.GaussianBlur(0.006 * height))
    lit = ImageEnhance.Brightness(face).enhance(1 + 0.22 * opened)
    glow = Image.new("L", face.size, 0)
    reach = 0.3 * height
    ImageDraw.Draw(glow).ellipse(
        (across - reach, down - reach, across + reach, down + reach), fill=round(90 * opened)
    )
    glow = glow.resize((64, 36)).filter(ImageFilter.GaussianBlur(5)).resize(face.size)
    warm = Image.composite(Image.new("RGB", face.size, (255, 190, 120)), lit, glow)
    return Image.composite(Image.new("RGB", face.size, (46, 12, 16)), warm, mask)


def _planes(picture: Image.Image) -> npt.NDArray[np.uint8]:
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
    planes: Any = frame.reformat(format="yuv420p").to_ndarray()
    return np.asarray(planes, np.uint8)
