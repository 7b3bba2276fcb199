"""Name the look of a picture from a few plain measurements: an impartial eye for the emulator.

The measurements know nothing of how a look is painted: brightness, contrast, colour of shadows and
highlights, edges, grain, flatness, and regular patterns, of the picture and beside its input. A
look's centroid is their mean over development photographs; the nearest centroid, in units of the
spread within looks, names a picture. Photographs that the looks were judged on while they were
made are one set, those that nobody looked at the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import cycle, pairwise
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from decart_lab.media import samples

# Photographs of scikit-image's wheel, none of which the looks were developed on.
HELD_OUT = (
    "astronaut.png",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "ihc.png",
    "camera.png",
    "coins.png",
    "moon.png",
    "brick.png",
    "grass.png",
)


LIGHTS = ((1.0, 0.6, 0.3), (0.45, 0.7, 1.0), (0.6, 1.0, 0.5))


def held_out() -> list[Image.Image]:
    folder = Path(skimage.data.__file__).parent
    return [Image.open(folder / name).convert("RGB") for name in HELD_OUT]


def development() -> list[Image.Image]:
    """The bundled samples, the project's own test photographs where they are, and parts of each."""
    paths = [samples.path(name) for name in samples.names() if not name.endswith(".mp4")]
    folder = os.environ.get("DECART_LAB_TEST_DATA")
    if folder:
        paths += [
            p for p in (Path(folder) / "image.png", Path(folder) / "person.webp") if p.exists()
        ]
    whole = [Image.open(path).convert("RGB") for path in paths]
    # Parts of them, grey, faint, dark, coloured and tiled, stand in for the variety of photographs.
    return [
        *whole,
        *(lit(part(image, 0.0, 0.0), colour) for image, colour in zip(whole, cycle(LIGHTS))),
        *(part(image, 0.5, 0.4) for image in whole),
        *(image.convert("L").convert("RGB") for image in whole),
        *(part(image, 0.5, 0.0).point(lambda v: int(90 + v * 0.4)) for image in whole),
        *(part(image, 0.3, 0.2).point(lambda v: int(v * 0.45)).convert("L").convert("RGB")
          for image in whole),
        *(part(image, 0.2, 0.5).point(lambda v: max(0, int(v * 1.6) - 190)) for image in whole),
        *(tiled(image, 6).convert("L").convert("RGB") for image in whole),
        *(tiled(image, 12) for image in whole),
    ]  # fmt: skip


def lit(image: Image.Image, colour: tuple[float, float, float]) -> Image.Image:
    """The picture under a coloured lamp."""
    return Image.fromarray((np.asarray(image) * np.array(colour)).astype(np.uint8))


def tiled(image: Image.Image, times: int) -> Image.Image:
    """A dense texture: the picture, small, again and again."""
    small = image.resize((1280 // times, 720 // times))
    sheet = Image.new("RGB", (small.width * times, small.height * times))
    for at in range(times * times):
        sheet.paste(small, (at % times * small.width, at // times * small.height))
    return sheet


def part(image: Image.Image, left: float, top: float) -> Image.Image:
    width, height = image.size
    box = (int(left * width), int(top * height))
    return image.crop((*box, box[0] + width // 2, box[1] + height // 2))


def measure(picture: Image.Image, source: Image.Image) -> np.ndarray:
    """Describe a picture and what was done to its input, as about fifty numbers."""
    y, u, v = planes(picture)
    y0, u0, v0 = planes(source.resize(picture.size))
    tones: list[float] = [
        y.mean(),
        y.std(),
        *np.percentile(y[::3, ::3], (2, 25, 50, 75, 98)),
        y.mean() - y0.mean(),
        y.std() - y0.std(),
    ]
    colours: list[float] = [u.mean(), v.mean(), u.std(), v.std()]
    colours += [u.std() - u0.std(), v.std() - v0.std(), np.hypot(u, v).mean()]
    light, blues, reds = (plane[::3, ::3] for plane in (y, u, v))
    for least, most in pairwise(np.percentile(light, (0, 33, 66, 100))):
        inside = (light >= least) & (light <= most)
        colours += [blues[inside].mean(), reds[inside].mean()]
    left, right = u.shape[1] // 4, u.shape[1] * 3 // 4
    colours += [u[:, :left].mean() - u[:, right:].mean(), v[:, :left].mean() - v[:, right:].mean()]
    edges, edges0 = slope(y), slope(y0)
    grain = roughness(y)
    lines = [
        np.log1p(edges.mean() * 100),
        np.log((edges.mean() + 0.002) / (edges0.mean() + 0.002)),
        alike(y, y0),
        alike(edges0, y),
        alike(edges, edges0),
        (edges < 0.006).mean(),
        (edges > 0.12).mean(),
        grain,
        grain - roughness(y0),
        entropy(y),
        entropy(u),
        alike(u, u0),
        alike(v, v0),
        alike(y[:, :-9], y0[:, 9:]) - alike(y, y0),
    ]
    bright = (y - np.asarray(blur(y), float)) > 0.22
    patterns = [
        bright.mean() * 20,
        np.abs((y - y0).mean(1) - np.median((y - y0).mean(1))).max(),
        *(comb(y, period, axis) for period in (16, 64) for axis in (0, 1)),
        *(stripes(y, period) for period in (4, 6)),
        dots(y),
    ]
    return np.array([*tones, *colours, *lines, *patterns], float)


def planes(image: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pixels = np.asarray(image.convert("YCbCr"), np.float32) / 255
    return pixels[..., 0], pixels[..., 1] - 0.5, pixels[..., 2] - 0.5


def slope(y: np.ndarray) -> np.ndarray:
    out = np.zeros_like(y)
    out[:-1, :-1] = np.abs(np.diff(y, axis=0)[:, :-1]) + np.abs(np.diff(y, axis=1)[:-1])
    return out


def blur(y: np.ndarray) -> Image.Image:
    small = Image.fromarray(y).resize((y.shape[1] // 8, y.shape[0] // 8), Image.Resampling.BOX)
    return small.resize((y.shape[1], y.shape[0]), Image.Resampling.BILINEAR)


def roughness(y: np.ndarray) -> float:
    """Grain where the picture is quiet, on a logarithmic scale."""
    fine = np.abs(y[1:-1, 1:-1] * 2 - y[1:-1, :-2] - y[1:-1, 2:])
    return float(np.log(np.percentile(fine[::2, ::2], 30) + 0.002))


def entropy(values: np.ndarray) -> float:
    counts = np.histogram(values, bins=64, range=(-0.5, 1))[0] / values.size
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts)).sum())


def alike(first: np.ndarray, second: np.ndarray) -> float:
    a, b = first[::2, ::2] - first.mean(), second[::2, ::2] - second.mean()
    return float((a * b).mean() / (np.sqrt((a * a).mean() * (b * b).mean()) + 1e-4))


def comb(y: np.ndarray, period: int, axis: int) -> float:
    """How much steeper the picture is on the lines of a grid than between them."""
    steps = np.abs(np.diff(y, axis=axis)).mean(1 - axis)
    period = max(2, round(period * y.shape[0] / 704))
    folded = np.array([steps[start::period].mean() for start in range(period)])
    return float(np.log((folded.max() + 1e-3) / (np.median(folded) + 1e-3)))


def stripes(y: np.ndarray, period: int) -> float:
    """Share of the vertical detail that repeats with a period."""
    wave = np.abs(np.fft.rfft(y.mean(1) - y.mean()))
    at = y.shape[0] // period
    return float(np.log((wave[at - 1 : at + 2].max() + 0.01) / (np.median(wave) + 0.01)))


def dots(y: np.ndarray) -> float:
    """Strength of the strongest fine repetition along both axes at once."""
    side = 256
    block = y[:side, :side] - y[:side, :side].mean()
    power = np.abs(np.fft.fft2(block * np.outer(np.hanning(side), np.hanning(side))))
    fine = power[12:117, 12:117]
    return float(np.log(fine.max() / (np.median(fine) + 0.05) + 1))


class NearestLook:
    """Centroids of looks, and the spread that all share."""

    def __init__(self, rows: Iterable[tuple[str, np.ndarray]]) -> None:
        names, values = zip(*rows, strict=True)
        self.names = sorted(set(names))
        table = np.array(values)
        index = np.array([self.names.index(name) for name in names])
        self._shift, self._scale = table.mean(0), table.std(0) + 1e-6
        table = (table - self._shift) / self._scale
        self._centres = np.array([table[index == i].mean(0) for i in range(len(self.names))])
        within = np.cov((table - self._centres[index]).T)
        # Shrunk towards its diagonal: a few dozen photographs cannot fix every correlation.
        within = 0.5 * within + 0.5 * np.diag(np.diag(within)) + 0.02 * np.eye(len(within))
        self._unit = np.linalg.cholesky(np.linalg.inv(within))

    def name(self, values: np.ndarray) -> str:
        offsets = (self._centres - (values - self._shift) / self._scale) @ self._unit
        return self.names[int(np.argmin((offsets**2).sum(1)))]
