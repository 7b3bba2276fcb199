"""Draw the layers of a painted scene: sky, sun, clouds, ridges, towers, trees, water, figures.

What belongs here: shapes and light, from dice and a set of colours. Which layers a prompt gets is
decided in :mod:`.scenes`.
"""

from __future__ import annotations

import colorsys
import random
from dataclasses import dataclass
from functools import cached_property
from math import pi
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours of one hour: zenith, horizon, sun, far ground and near ground."""

    zenith: Colour
    horizon: Colour
    sun: Colour
    far: Colour
    near: Colour
    accent: Colour


_HOURS: Final[dict[str, tuple[tuple[float, float, float], ...]]] = {
    # hue (turns), saturation, value of each colour above
    "day": ((0.57, 0.62, 0.86), (0.55, 0.16, 0.98), (0.13, 0.25, 1.0), (0.58, 0.32, 0.70),
            (0.33, 0.52, 0.34), (0.02, 0.75, 0.90)),
    "dusk": ((0.73, 0.55, 0.42), (0.06, 0.62, 1.0), (0.11, 0.45, 1.0), (0.88, 0.42, 0.55),
             (0.78, 0.55, 0.18), (0.98, 0.70, 0.85)),
    "night": ((0.63, 0.80, 0.13), (0.60, 0.62, 0.36), (0.14, 0.10, 0.98), (0.62, 0.55, 0.30),
              (0.65, 0.60, 0.09), (0.13, 0.65, 1.0)),
    "grey": ((0.58, 0.16, 0.62), (0.57, 0.06, 0.88), (0.15, 0.05, 1.0), (0.58, 0.14, 0.66),
             (0.45, 0.20, 0.28), (0.03, 0.45, 0.70)),
}  # fmt: skip


def colours(hour: str, dice: random.Random) -> Colours:
    """Pick the colours of an hour, each prompt with a leaning of its own."""
    lean = dice.uniform(-0.05, 0.05)
    depth = dice.uniform(0.9, 1.1)

    def rgb(hue: float, saturation: float, value: float) -> Colour:
        r, g, b = colorsys.hsv_to_rgb((hue + lean) % 1, min(1, saturation * depth), value)
        return round(r * 255), round(g * 255), round(b * 255)

    return Colours(*(rgb(*spec) for spec in _HOURS[hour]))


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours; ``share`` of the second, 0 to 1."""
    r, g, b = (round(a + (c - a) * share) for a, c in zip(first, second, strict=True))
    return r, g, b


class Kit:
    """Everything that layers of one scene share: size, dice and colours.

    Parameters
    ----------
    width, height : int
        Size of a layer in pixels; wider than the frame, for the camera to move.
    dice : random.Random
        Where things stand.
    tones : Colours
        The colours of the hour.
    """

    def __init__(self, width: int, height: int, dice: random.Random, tones: Colours) -> None:
        self.width = width
        self.height = height
        self.dice = dice
        self.tones = tones

    @cached_property
    def _noise(self) -> np.random.Generator:
        return np.random.default_rng(self.dice.randrange(2**32))

    def sky(self, *, stars: bool, dense: bool) -> Image.Image:
        """Paint a vertical gradient, with stars at night and a nebula in space."""
        tones = self.tones
        share = np.linspace(0, 1.25, self.height)[:, None].clip(0, 1) ** 1.4
        top = np.array(tones.zenith, float)
        bottom = np.array(blend(tones.zenith, tones.horizon, 0.25) if dense else tones.horizon)
        column = top + (bottom - top) * share
        rgb = np.repeat(column[:, None, :], self.width, axis=1)
        if dense:
            cloud = self._cloud(6)[..., None] ** 2
            rgb = rgb + cloud * np.array(tones.accent, float) * 0.55
            rgb = rgb + self._cloud(4)[..., None] ** 2 * np.array((40.0, 70.0, 150.0))
        # A grain of one level hides the bands of a slow gradient.
        rgb = rgb + self._noise.uniform(-1, 1, rgb.shape)
        image = Image.fromarray(rgb.clip(0, 255).astype(np.uint8))
        if stars:
            draw = ImageDraw.Draw(image)
            for _ in range(700 if dense else 260):
                x, y = self.dice.uniform(0, self.width), self.dice.uniform(0, 0.75) ** 1.2
                size = self.dice.uniform(0.4, 1.7 if dense else 1.3) * self.height / 704
                level = self.dice.randint(130, 255)
                y *= self.height
                draw.ellipse((x - size, y - size, x + size, y + size), fill=(level,) * 3)
        return image

    def sun(self) -> Image.Image:
        """Paint the sun or moon with its glow."""
        x = self.dice.uniform(0.3, 0.62) * self.width
        y = self.dice.uniform(0.2, 0.42) * self.height
        radius = self.height * self.dice.uniform(0.045, 0.075)
        ys, xs = np.mgrid[0 : self.height, 0 : self.width]
        distance = np.hypot(xs - x, ys - y) / radius
        disc = np.clip((1 - distance) * radius + 0.5, 0, 1)
        glow = 0.55 * np.exp(-((distance / 2.6) ** 1.1))
        return self._sheet(self.tones.sun, np.maximum(disc, glow))

    def planet(self) -> Image.Image:
        """Paint a banded planet, lit from one side."""
        x, y = self.dice.uniform(0.4, 0.65) * self.width, self.dice.uniform(0.42, 0.6) * self.height
        radius = self.height * self.dice.uniform(0.22, 0.32)
        ys, xs = np.mgrid[0 : self.height, 0 : self.width]
        dx, dy = (xs - x) / radius, (ys - y) / radius
        inside = np.hypot(dx, dy)
        depth = np.sqrt(np.clip(1 - inside**2, 0, 1))
        light = np.clip(-0.55 * dx - 0.45 * dy + 0.7 * depth, 0.03, 1)
        bands = 0.5 + 0.5 * np.sin(dy * self.dice.uniform(9, 16) + 1.4 * self._cloud(5))
        first, second = np.array(self.tones.accent, float), np.array(self.tones.horizon, float)
        rgb = (first + (second - first) * bands[..., None]) * light[..., None]
        alpha = np.clip((1 - inside) * radius + 0.5, 0, 1) * 255
        return _rgba(rgb, alpha)

    def clouds(self) -> Image.Image:
        """Paint wisps, stretched along the horizon."""
        wisps = self._cloud(5, stretch=4)
        fade = np.linspace(1, 0, self.height)[:, None].clip(0.25, 1) - 0.25
        alpha = np.clip((wisps - 0.52) * 2.4, 0, 0.75) * fade
        return self._sheet(blend(self.tones.horizon, (255, 255, 255), 0.45), alpha)

    def ridge(
        self, top: float, rise: float, calm: float, near: float, *, snow: bool = False
    ) -> Image.Image:
        """Paint a range of hills.

        Parameters
        ----------
        top, rise : float
            Mean height of the skyline from the top, and how far it moves, as shares of the height.
        calm : float
            0 for jagged, 1 for dunes.
        near : float
            0 far and hazy, 1 near and dark.
        snow : bool
            White tops.
        """
        line = top * self.height - self._skyline(calm) * rise * self.height
        ys = np.arange(self.height)[:, None]
        alpha = np.clip(ys - line[None, :] + 0.5, 0, 1)
        base = np.array(blend(self.tones.far, self.tones.near, near), float)
        haze = np.array(blend(self.tones.horizon, self.tones.far, 0.35 + 0.65 * near), float)
        below = np.clip((ys - line[None, :]) / (self.height * 0.38), 0, 1)[..., None]
        rgb = base + (haze - base) * below * (0.7 - 0.4 * near)
        # Light from one side: slopes that face it are brighter.
        slope = np.gradient(line)
        slope = np.convolve(slope, np.ones(25) / 25, mode="same")
        light = 0.26 * np.tanh(slope * 1.2)[None, :, None]
        rgb = rgb * (1 + light * np.exp(-6 * below))
        if snow:
            jag = self._skyline(0.25) * 0.02 * self.height
            cap = line.min() + (line - line.min()) * 0.55 + 0.12 * self.height + jag
            white = np.clip((cap[None, :] - ys) / 6, 0, 1)[..., None] * 0.9
            rgb = rgb + (np.array(blend(self.tones.horizon, (255, 255, 255), 0.7)) - rgb) * white
        return _rgba(rgb, alpha * 255)

    def towers(self, foot: float, *, far: bool = False) -> Image.Image:
        """Paint a row of buildings with lit windows."""
        tones, dice = self.tones, self.dice
        body = blend(tones.far, tones.near, 0.15 if far else 0.8)
        image = Image.new("RGBA", (self.width, self.height), (*body, 0))
        draw = ImageDraw.Draw(image)
        unit = self.height / 704
        x = -20.0
        while x < self.width:
            wide = dice.uniform(34, 96) * unit * (0.8 if far else 1.15)
            tall = dice.uniform(0.12, 0.5 if far else 0.42) * self.height
            top = foot * self.height - tall
            shade = blend(body, tones.horizon, dice.uniform(0, 0.16))
            draw.rectangle((x, top, x + wide, self.height), fill=(*shade, 255))
            if dice.random() < 0.25:
                draw.rectangle((x + wide * 0.47, top - 40 * unit, x + wide * 0.53, top),
                               fill=(*shade, 255))  # fmt: skip
            step = 13 * unit * (0.8 if far else 1.1)
            rows = int((self.height - top) / step)
            for row in range(1, rows):
                for column in range(1, int(wide / step)):
                    if dice.random() < 0.36:
                        lit = blend(shade, tones.accent if dice.random() < 0.3 else tones.sun,
                                    0.35 if far else dice.uniform(0.4, 1.0))  # fmt: skip
                        left, up = x + column * step, top + row * step
                        draw.rectangle((left, up, left + step * 0.45, up + step * 0.5),
                                       fill=(*lit, 255))  # fmt: skip
            x += wide + dice.choice((0, 0, 0, 9)) * unit
        return image

    def trees(self, foot: float, tall: float, *, far: bool = False) -> Image.Image:
        """Paint a row of conifers."""
        dice = self.dice
        mask = Image.new("L", (self.width * 2, self.height * 2), 0)
        draw = ImageDraw.Draw(mask)
        draw.rectangle((0, foot * mask.height, mask.width, mask.height), fill=255)
        for _ in range(34 if far else 15):
            x = dice.uniform(-0.02, 1.02) * mask.width
            high = tall * dice.uniform(0.55, 1.1) * mask.height
            base = (foot + dice.uniform(0, 0.05)) * mask.height
            half = high * dice.uniform(0.16, 0.22)
            for tier in range(6):
                up = base - high * (1 - tier * 0.15)
                spread = half * (0.28 + 0.16 * tier)
                drop = high * 0.27
                droop = dice.uniform(0.9, 1.1)
                draw.polygon([(x, up), (x - spread * droop, up + drop), (x + spread, up + drop)],
                             fill=255)  # fmt: skip
            draw.rectangle(
                (x - half * 0.1, base - high * 0.1, x + half * 0.1, mask.height), fill=255
            )
        colour = blend(self.tones.far, self.tones.near, 0.55 if far else 1.0)
        return self._sheet(colour, np.asarray(mask.reduce(2), float) / 255)

    def water(self, sky: Image.Image, land: list[Image.Image]) -> Image.Image:
        """Paint the lower third: what stands above it, mirrored, with ripples and glints."""
        shore = round(self.height * 0.68)
        above = sky.convert("RGBA")
        for sheet in land:
            above.alpha_composite(sheet)
        mirror = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        mirror = mirror.crop((0, self.height - shore, self.width, 2 * self.height - 2 * shore))
        mirror = mirror.filter(ImageFilter.GaussianBlur(2.2 * self.height / 704))
        rgb = np.asarray(mirror.convert("RGB"), float)
        rows, columns = rgb.shape[:2]
        depth = np.linspace(0, 1, rows)[:, None]
        ripple = self._noise.normal(0, 1, (rows, columns // 24 + 2))
        ripple = np.asarray(
            Image.fromarray(ripple.astype(np.float32)).resize((columns, rows), 3), float
        )
        shift = np.rint(ripple * (2 + 10 * depth)).astype(int)
        rgb = rgb[
            np.arange(rows)[:, None], (np.arange(columns)[None, :] + shift).clip(0, columns - 1)
        ]
        tint = np.array(blend(self.tones.zenith, self.tones.near, 0.3), float)
        rgb = rgb + (tint - rgb) * (0.18 + 0.4 * depth[..., None])
        glint = np.clip(ripple - 1.35, 0, 1)[..., None] * 0.5 * (1 - 0.6 * depth[..., None])
        rgb = rgb + (np.array(self.tones.sun, float) - rgb) * glint
        pixels = np.zeros((self.height, self.width, 4), np.uint8)
        pixels[shore:, :, :3] = rgb.clip(0, 255)
        pixels[shore:, :, 3] = 255
        return Image.fromarray(pixels)

    def flowers(self) -> Image.Image:
        """Paint a meadow: grass and round flowers, nearer ones larger."""
        dice, tones = self.dice, self.tones
        image = Image.new("RGBA", (self.width, self.height), (*tones.near, 0))
        draw = ImageDraw.Draw(image)
        for _ in range(260):
            near = dice.random() ** 0.7
            y = (0.78 + 0.24 * near) * self.height
            x = dice.uniform(0, self.width)
            size = (3 + 11 * near) * self.height / 704
            stem = blend(tones.near, (60, 140, 60), 0.4)
            draw.line((x, y, x + dice.uniform(-4, 4), y + size * 5), fill=(*stem, 255),
                      width=max(1, round(size / 5)))  # fmt: skip
            petal = blend(tones.accent, dice.choice((tones.sun, tones.accent, (250, 250, 250))),
                          dice.uniform(0, 0.8))  # fmt: skip
            draw.ellipse((x - size, y - size, x + size, y + size), fill=(*petal, 255))
            core = size * 0.4
            draw.ellipse((x - core, y - core, x + core, y + core), fill=(*tones.sun, 255))
        return image

    def figure(self) -> Image.Image:
        """Paint head and shoulders in the middle, lit from the left."""
        height = self.height
        x = self.width * 0.42
        skin = _tan(self.dice)
        cloth = self.tones.accent
        shapes = (
            ((x - 0.36 * height, 0.74 * height, x + 0.36 * height, 1.5 * height), cloth),
            ((x - 0.075 * height, 0.56 * height, x + 0.075 * height, 0.82 * height),
             blend(skin, (60, 20, 10), 0.25)),
            ((x - 0.185 * height, 0.16 * height, x + 0.185 * height, 0.60 * height), (42, 30, 28)),
            ((x - 0.15 * height, 0.22 * height, x + 0.15 * height, 0.66 * height), skin),
        )  # fmt: skip
        return self._modelled(shapes, x)

    def animal(self) -> Image.Image:
        """Paint a sitting animal with two ears, seen from behind, lit from the left."""
        height = self.height
        x = self.width * 0.42
        fur = self.dice.choice(((214, 150, 84), (120, 110, 108), (70, 56, 52), (226, 214, 196)))
        dark = blend(fur, (20, 14, 10), 0.25)
        shapes: tuple[tuple[tuple[float, float, float, float], Colour], ...] = (
            ((x + 0.10 * height, 0.80 * height, x + 0.42 * height, 0.90 * height), dark),
            ((x - 0.21 * height, 0.48 * height, x + 0.21 * height, 1.04 * height), fur),
            ((x - 0.15 * height, 0.26 * height, x - 0.05 * height, 0.46 * height), dark),
            ((x + 0.05 * height, 0.26 * height, x + 0.15 * height, 0.46 * height), dark),
            ((x - 0.16 * height, 0.32 * height, x + 0.16 * height, 0.60 * height), fur),
        )
        return self._modelled(shapes, x)

    def _modelled(
        self, shapes: tuple[tuple[tuple[float, float, float, float], Colour], ...], x: float
    ) -> Image.Image:
        """Draw ellipses with soft shading across the whole."""
        image = Image.new("RGBA", (self.width * 2, self.height * 2), (0, 0, 0, 0))
        draw = ImageDraw.Draw(image)
        for box, colour in shapes:
            draw.ellipse([value * 2 for value in box], fill=(*colour, 255))
        pixels = np.asarray(image.reduce(2), float)
        xs = (np.arange(self.width)[None, :] - x) / (0.4 * self.height)
        light = 1.08 - 0.38 * np.clip(xs + 0.3, 0, 1.4)
        return _rgba(pixels[..., :3] * light[..., None], pixels[..., 3])

    def _skyline(self, calm: float) -> Floats:
        """Return a line of height about 0, amplitude about 1, from waves of falling size."""
        xs = np.linspace(0, 2 * pi, self.width)
        line = np.zeros(self.width)
        for octave in range(9):
            size = (0.72 - 0.34 * calm) ** octave
            pitch = 1.9**octave * self.dice.uniform(0.8, 1.3)
            wave = np.sin(xs * pitch + self.dice.uniform(0, 2 * pi))
            # Folded waves have the sharp crests of rock.
            line += size * (wave if calm > 0.7 else 1 - 2 * np.abs(wave))
        scaled: Floats = line / np.abs(line).max()
        return scaled

    def _cloud(self, cells: int, stretch: int = 1) -> Floats:
        """Return smooth noise between 0 and 1, in several sizes."""
        total = np.zeros((self.height, self.width))
        for octave in range(5):
            rows = cells * 2**octave + 1
            columns = max(2, rows * self.width // self.height // stretch)
            grid = self._noise.random((rows, columns)).astype(np.float32)
            sheet = Image.fromarray(grid).resize(
                (self.width, self.height), Image.Resampling.BICUBIC
            )
            total += np.asarray(sheet, float) / 2**octave
        low, high = total.min(), total.max()
        scaled: Floats = (total - low) / (high - low)
        return scaled

    def _sheet(self, colour: Colour, alpha: Floats) -> Image.Image:
        """Lay one colour, seen as far as ``alpha`` (0 to 1) says."""
        sheet = Image.new("RGBA", (self.width, self.height), (*colour, 0))
        sheet.putalpha(Image.fromarray((alpha * 255).clip(0, 255).astype(np.uint8)))
        return sheet


def _rgba(rgb: Floats, alpha: Floats) -> Image.Image:
    stacked = np.dstack([rgb, alpha]).clip(0, 255).astype(np.uint8)
    return Image.fromarray(stacked)


def _tan(dice: random.Random) -> Colour:
    return dice.choice(
        ((244, 206, 178), (224, 172, 132), (186, 128, 90), (128, 84, 60), (88, 58, 44))
    )
