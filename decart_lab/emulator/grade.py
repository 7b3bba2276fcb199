"""Colour grades: what the words that name no look do to light and colour.

Words such as "warm" or "dark" are rows; any other word moves the colours in a way of its own,
derived from its hash, so that different prompts are visibly different and equal ones equal.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import cos, pi, sin
from typing import Final

from .prompts import same_stem


@dataclass(frozen=True, slots=True)
class Grade:
    """A colour grade; all zero leaves the picture alone.

    Attributes
    ----------
    light : float
        Brightness, -1 to 1.
    contrast, saturation : float
        Relative change: 0.2 is 20 % more.
    hue : float
        Rotation of all colours, in degrees.
    low_red, low_blue, high_red, high_blue : float
        Tint of the shadows and of the highlights, -1 to 1.
    """

    light: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    low_red: float = 0.0
    low_blue: float = 0.0
    high_red: float = 0.0
    high_blue: float = 0.0

    def __add__(self, other: Grade) -> Grade:
        return Grade(
            *(getattr(self, field.name) + getattr(other, field.name) for field in fields(self))
        )

    def scaled(self, factor: float) -> Grade:
        """Return the same grade, stronger or weaker."""
        return Grade(*(getattr(self, field.name) * factor for field in fields(self)))

    @property
    def graph(self) -> str:
        """The grade as a libavfilter graph; "" for no grade at all."""
        if self == Grade():
            return ""
        gain = max(0.2, 1 + self.contrast)
        tint = [
            max(-0.6, min(0.6, value))
            for value in (self.low_red, self.low_blue, self.high_red, self.high_blue)
        ]
        saturation = max(0.0, min(3.0, 1 + self.saturation))
        return (
            f"hue=h={self.hue:.3f}:s={saturation:.3f},"
            f"lutyuv=y='clip((val-126)*{gain:.3f}+126+{self.light * 100:.2f},16,235)',"
            "colorcorrect=rl={:.4f}:bl={:.4f}:rh={:.4f}:bh={:.4f}".format(*tint)
        )


_SHADES: Final[dict[str, Grade]] = {
    "warm": Grade(low_red=0.03, low_blue=-0.05, high_red=0.08, high_blue=-0.12),
    "cool": Grade(low_red=-0.04, low_blue=0.06, high_red=-0.08, high_blue=0.10),
    "cold": Grade(saturation=-0.2, low_red=-0.05, low_blue=0.08, high_red=-0.10, high_blue=0.14),
    "bright": Grade(light=0.16, contrast=0.05),
    "sunny": Grade(light=0.14, contrast=0.1, saturation=0.15, high_red=0.05, high_blue=-0.1),
    "noon": Grade(light=0.18, contrast=0.15, saturation=0.1),
    "dark": Grade(light=-0.22, contrast=0.08),
    "gloomy": Grade(light=-0.18, saturation=-0.4, low_blue=0.05, high_blue=0.05),
    "storm": Grade(light=-0.16, saturation=-0.35, contrast=0.15, low_blue=0.06),
    "rain": Grade(light=-0.1, saturation=-0.3, low_blue=0.06, high_blue=0.08),
    "vivid": Grade(saturation=0.55, contrast=0.1),
    "colorful": Grade(saturation=0.7),
    "colourful": Grade(saturation=0.7),
    "vibrant": Grade(saturation=0.6, contrast=0.08),
    "muted": Grade(saturation=-0.45, contrast=-0.1),
    "soft": Grade(contrast=-0.18, light=0.05),
    "dramatic": Grade(contrast=0.4, light=-0.06),
    "dawn": Grade(light=0.06, low_blue=0.1, high_red=0.12, high_blue=-0.04),
    "morning": Grade(light=0.1, high_red=0.04, high_blue=-0.08),
    "spring": Grade(light=0.08, saturation=0.2, low_red=-0.06, high_red=-0.02, high_blue=-0.08),
    "summer": Grade(light=0.08, saturation=0.35, high_red=0.04, high_blue=-0.12),
    "autumn": Grade(saturation=0.15, low_red=0.1, low_blue=-0.1, high_red=0.12, high_blue=-0.2),
    "red": Grade(low_red=0.18, high_red=0.24, low_blue=-0.02),
    "orange": Grade(low_red=0.1, low_blue=-0.14, high_red=0.16, high_blue=-0.26),
    "gold": Grade(low_red=0.06, low_blue=-0.14, high_red=0.1, high_blue=-0.24),
    "yellow": Grade(low_red=0.04, low_blue=-0.18, high_red=0.05, high_blue=-0.28),
    "green": Grade(low_red=-0.16, low_blue=-0.12, high_red=-0.18, high_blue=-0.12),
    "teal": Grade(low_red=-0.2, low_blue=0.06, high_red=-0.18, high_blue=0.04),
    "blue": Grade(low_red=-0.08, low_blue=0.22, high_red=-0.12, high_blue=0.24),
    "purple": Grade(low_red=0.1, low_blue=0.2, high_red=0.1, high_blue=0.2),
    "pink": Grade(light=0.05, low_red=0.12, low_blue=0.06, high_red=0.18, high_blue=0.04),
}


def grade_of(words: Sequence[str], *, beside_looks: bool) -> Grade:
    """Return the grade that the words of a prompt ask for.

    Parameters
    ----------
    words : sequence of str
        What is left of the prompt when the looks are taken out.
    beside_looks : bool
        The prompt names looks too; unknown words then only nudge the colours, or an ink drawing
        of a cat would not be told from another look.

    Examples
    --------
    >>> grade_of((), beside_looks=False) == Grade()
    True
    >>> grade_of(("zyzzyva",), beside_looks=False) == grade_of(("zyzzyva",), beside_looks=False)
    True
    """
    shades = Grade()
    unknown = []
    for word in words:
        known = next((row for stem, row in _SHADES.items() if same_stem(word, stem)), None)
        if known is None:
            unknown.append(word)
        else:
            shades += known
    if unknown:
        shades += hashed_grade(" ".join(unknown)).scaled(0.25 if beside_looks else 1.0)
    return shades


def hashed_grade(text: str) -> Grade:
    """Return a grade of the text's own: a tint for the shadows, another for the highlights."""
    dice = random.Random(hashlib.sha256(text.encode()).digest())  # noqa: S311 - colour, not secrets
    angle = dice.uniform(0, 2 * pi)
    other = angle + dice.uniform(0.55, 1.2) * pi
    low, high = dice.uniform(0.10, 0.18), dice.uniform(0.10, 0.2)
    return Grade(
        light=dice.uniform(-0.1, 0.12),
        contrast=dice.uniform(-0.1, 0.3),
        saturation=dice.uniform(-0.3, 0.4),
        hue=dice.uniform(-24, 24),
        low_red=low * cos(angle),
        low_blue=low * sin(angle),
        high_red=high * cos(other),
        high_blue=high * sin(other),
    )
