"""Scenes painted from a prompt, for the models that start from words alone.

What belongs here: reading the subject and the hour out of the words, and arranging layers from
back to front. How a layer is drawn is in :mod:`.paint`. A scene is as wide as its camera path
needs; a picture is its first frame, a clip moves the layers at their own speeds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from PIL import Image

from . import paint
from .prompts import read, same_stem

_SUBJECTS: Final[dict[str, tuple[str, ...]]] = {
    "water": ("sea", "ocean", "lake", "beach", "water", "river", "wave", "coast", "island", "boat",
              "ship", "harbour", "harbor", "pond", "serene"),
    "mountains": ("mountain", "alps", "peak", "hill", "valley", "volcano", "castle", "landscape",
                  "glacier"),
    "city": ("city", "street", "skyline", "tokyo", "york", "building", "tower", "urban", "town",
             "car", "traffic"),
    "forest": ("forest", "tree", "wood", "jungle", "park", "garden", "deer", "bird", "fox", "owl"),
    "desert": ("desert", "dune", "sand", "sahara", "camel", "mars", "canyon"),
    "space": ("space", "planet", "galaxy", "star", "nebula", "rocket", "moon", "cosmos", "alien"),
    "figure": ("portrait", "person", "woman", "man", "face", "girl", "boy", "people", "astronaut",
               "king", "queen", "dancer", "hero", "character", "child", "chef"),
    "animal": ("cat", "kitten", "dog", "puppy", "animal", "horse", "bear", "rabbit", "tiger",
               "lion", "wolf"),
    "meadow": ("flower", "field", "meadow", "rose", "tulip", "grass", "spring", "butterfly"),
}  # fmt: skip

_HOURS: Final[dict[str, tuple[str, ...]]] = {
    "night": ("night", "midnight", "moonlight", "moon", "star", "dark", "neon", "cyberpunk"),
    "dusk": ("sunset", "dusk", "evening", "sundown", "golden", "sunrise", "dawn", "autumn"),
    "grey": ("storm", "rain", "fog", "mist", "cloudy", "winter", "snow", "gloomy"),
    "day": ("day", "noon", "sunny", "morning", "summer", "bright", "blue"),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One sheet of the paper theatre.

    Attributes
    ----------
    image : PIL.Image.Image
        RGBA, as high as the frame and wider.
    depth : float
        How far it moves when the camera does: 0 stands still, 1 moves with the whole path.
    """

    image: Image.Image
    depth: float


class Scene:
    """A backdrop and the layers before it, from back to front.

    Parameters
    ----------
    backdrop : PIL.Image.Image
        RGB, of the frame's size; what is too far away to move.
    layers : list of Layer
        What moves.
    """

    def __init__(self, backdrop: Image.Image, layers: list[Layer]) -> None:
        self.backdrop = backdrop
        # Empty rows above a layer are left out of every frame's work.
        self._layers = [(layer, (layer.image.getbbox() or (0, 0, 0, 0))[1]) for layer in layers]

    def frame(self, progress: float) -> Image.Image:
        """Paint the scene with the camera at a place of its path, 0 to 1."""
        canvas = self.backdrop.copy()
        width, height = canvas.size
        for layer, top in self._layers:
            left = round(progress * layer.depth * (layer.image.width - width))
            part = layer.image.crop((left, top, left + width, height))
            canvas.paste(part, (0, top), part)
        return canvas

    def frames(self, count: int) -> Iterator[Image.Image]:
        """Paint ``count`` frames of a slow move to the right."""
        for index in range(count):
            yield self.frame(index / max(1, count - 1))


def compose_scene(prompt: str, width: int, height: int, seed: int) -> Scene:
    """Arrange the scene that a prompt describes.

    Parameters
    ----------
    prompt : str
        Known words choose the subjects and the hour; others choose by their hash.
    width, height : int
        Size of the frame in pixels.
    seed : int
        Moves ridges, trees, towers and clouds about; the subjects stay.
    """
    reading = read(prompt)
    words = [*reading.words, *(look.name.split()[0] for look, _ in reading.looks)]
    # The words decide what is there and its colours, the seed where it stands.
    taste = random.Random(" ".join(words))  # noqa: S311 - a picture, not secrets
    dice = random.Random(f"{seed}/{prompt}")  # noqa: S311
    subjects = _named(words, _SUBJECTS) or [
        taste.choice(("mountains", "water", "desert", "forest"))
    ]
    hours = _named(words, _HOURS)
    hour = hours[0] if hours else taste.choice(("day", "day", "dusk", "dusk", "night", "grey"))
    if "space" in subjects:
        hour = "night"
    kit = paint.Kit(int(width * 1.25), height, dice, paint.colours(hour, taste))
    backdrop = kit.sky(stars=hour == "night", dense="space" in subjects)
    layers = []
    if "space" in subjects:
        layers.append(Layer(kit.planet(), 0.5))
    else:
        if hour != "grey":
            sun = kit.sun()
            backdrop.paste(sun, (0, 0), sun)
        layers += [Layer(kit.clouds(), 0.25), *_ground(kit, subjects, backdrop)]
    if "figure" in subjects:
        layers.append(Layer(kit.figure(), 0.9))
    if "animal" in subjects:
        layers.append(Layer(kit.animal(), 0.9))
    return Scene(backdrop.crop((0, 0, width, height)), layers)


def _ground(kit: paint.Kit, subjects: list[str], sky: Image.Image) -> list[Layer]:
    layers = []
    if "city" in subjects:
        layers += [Layer(kit.towers(0.62, far=True), 0.4), Layer(kit.towers(0.74), 0.65)]
    elif "desert" in subjects:
        layers += [Layer(kit.ridge(0.55 + 0.12 * step, 0.05, 0.9, step / 3), 0.4 + 0.2 * step)
                   for step in range(4)]  # fmt: skip
    else:
        peaks = 0.42 if "mountains" in subjects else 0.54
        layers += [
            Layer(kit.ridge(peaks, 0.17, 0.62, 0.0, snow="mountains" in subjects), 0.35),
            Layer(kit.ridge(peaks + 0.12, 0.12, 0.6, 0.35), 0.5),
        ]
    if "water" in subjects:
        layers.append(Layer(kit.water(sky, [layer.image for layer in layers]), 0.5))
    elif "desert" not in subjects:
        layers.append(Layer(kit.ridge(0.8, 0.05, 0.8, 0.8), 0.75))
    if "forest" in subjects:
        layers += [Layer(kit.trees(0.72, 0.22, far=True), 0.65), Layer(kit.trees(0.92, 0.5), 1.0)]
    if "meadow" in subjects:
        layers.append(Layer(kit.flowers(), 1.0))
    return layers


def _named(words: list[str], table: dict[str, tuple[str, ...]]) -> list[str]:
    return [
        name
        for name, stems in table.items()
        if any(same_stem(word, stem) for word in words for stem in stems)
    ]
