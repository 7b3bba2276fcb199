"""Does an outsider, shown a picture, name the prompt that made it?

A nearest-centroid classifier that knows nothing of how looks are painted (tests/helpers) learns
every look on development photographs and then names it on ten photographs of scikit-image that no
look was developed on: real requests, 1280 x 704, each look asked for by each of its words in turn,
among other words. Chance would be one in the number of looks.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _report import Row, out_argument, report
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).parent.parent))

from decart_lab.contract.models import find
from decart_lab.emulator.looks import LOOKS, Look
from decart_lab.emulator.render import RenderRequest, render
from tests.helpers.look_classifier import (
    HELD_OUT,
    NearestLook,
    development,
    held_out,
    measure,
)

SIZE = (1280, 704)
OTHERS = ("", "a dragon", "castle", "river and boats", "my grandmother")


def seen(picture: Image.Image, prompt: str, seed: int) -> np.ndarray:
    """Render a request as the emulator would, and measure the result at half its size."""
    model = find("lucy-image-2", "image")
    assert model is not None
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "in.png", Path(folder) / "out.png"
        picture.save(given, compress_level=1)
        render(RenderRequest(model, prompt, seed, data=given), made)
        with Image.open(made) as result:
            return measure(result.reduce(2), picture.reduce(2))


def main() -> int:
    """Run and report."""
    out = out_argument("look_classifier")
    known = [ImageOps.fit(picture, SIZE) for picture in development()]
    unseen = [ImageOps.fit(picture, SIZE) for picture in held_out()]

    def learn(task: tuple[int, Look]) -> tuple[str, np.ndarray]:
        index, look = task
        return look.name, seen(known[index], look.name, index)

    def judge(task: tuple[int, int]) -> tuple[int, str, str]:
        index, number = task
        look = LOOKS[number]
        word = look.words[index % len(look.words)]
        values = seen(unseen[index], f"{word}, {OTHERS[(index + number) % 5]}", index)
        return index, look.name, eye.name(values)

    with ThreadPoolExecutor(2) as pool:
        eye = NearestLook(pool.map(learn, [(i, row) for i in range(len(known)) for row in LOOKS]))
        tasks = [(i, n) for i in range(len(unseen)) for n in range(len(LOOKS))]
        named = list(pool.map(judge, tasks))
    for index, asked, said in named:
        if asked != said:
            print(f"  {HELD_OUT[index]}: {asked} was taken for {said}")
    right = sum(asked == said for _, asked, said in named)
    rows = [
        Row("looks", len(LOOKS), "", 14, at_least=True),
        Row("held-out photographs", len(unseen), "", 10, at_least=True),
        Row("looks named rightly", 100 * right / len(named), "%", 95, at_least=True),
    ]
    return report("look_classifier", rows, out)


if __name__ == "__main__":
    sys.exit(main())
