"""The rows of looks: each can be run, can be told apart, and moves only where it should."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageOps

from decart_lab.emulator.looks import LOOKS
from decart_lab.emulator.render import _frame
from decart_lab.emulator.style import Style
from decart_lab.media import samples
from decart_lab.media.video import to_rgb
from tests.helpers.look_classifier import NearestLook, development, held_out, measure

FPS = Fraction(25)
SMALL = (640, 352)


def painted(
    picture: Image.Image, prompt: str, *, seed: int = 1, frames: int = 1, **style
) -> np.ndarray:
    """Every frame of a still that is repainted, as one array."""
    given = [_frame(picture) for _ in range(frames)]
    model = style.pop("model", "lucy-2.1")
    applied = Style.of(prompt, seed, model, **style).apply(given, SMALL, FPS)
    return np.stack([to_rgb(frame) for frame in applied]).astype(int)


def far(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference of two pictures, in levels of 255."""
    return float(np.abs(first - second).mean())


def fine(picture: np.ndarray) -> np.ndarray:
    """The grain of a picture without what lies under it."""
    return picture - coarse(picture, 4).repeat(4, axis=0).repeat(4, axis=1)


def coarse(picture: np.ndarray, block: int = 8) -> np.ndarray:
    """A picture without its grain: the means of its blocks."""
    return np.asarray(Image.fromarray(picture.astype(np.uint8)).reduce(block), int)


@pytest.fixture(scope="module")
def cat() -> Image.Image:
    return ImageOps.fit(Image.open(samples.path("cat.jpg")).convert("RGB"), SMALL)


@pytest.fixture(scope="module")
def coffee() -> Image.Image:
    return ImageOps.fit(Image.open(samples.path("coffee.jpg")).convert("RGB"), SMALL)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_a_look_repaints_visibly_keeps_every_frame_and_repeats_exactly(look, cat):
    first = painted(cat, look.name, frames=3)
    assert first.shape == (3, SMALL[1], SMALL[0], 3)
    assert far(first[0], np.asarray(cat)) > 8
    assert (first == painted(cat, look.name, frames=3)).all()


@pytest.mark.parametrize("name", ["watercolour", "snow", "oil painting", "noir", "vintage"])
def test_another_seed_is_another_texture_of_the_same_look(name, cat):
    one, two = painted(cat, name)[0], painted(cat, name, seed=2)[0]
    assert far(fine(one), fine(two)) > 6
    assert far(coarse(one, 32), coarse(two, 32)) < 8


@pytest.mark.parametrize(("name", "moves"), [("snow", 2), ("glitch", 3), ("fog", 0.2)])
def test_weather_and_glitches_move_over_a_still(name, moves, cat):
    frames = painted(cat, name, frames=6)
    assert far(frames[0], frames[5]) > moves


def test_snow_falls(cat):
    white = painted(cat, "snow", frames=2).min(axis=3) > 215
    down = (white[1][4:] & white[0][:-4]).sum()
    up = (white[1][:-4] & white[0][4:]).sum()
    assert down > 1.3 * up


def test_a_paper_stays_still_under_a_clip(cat):
    frames = painted(cat, "watercolour", frames=4)
    assert far(frames[0], frames[3]) < 1.5


def test_flat_media_stay_flat(cat):
    block = painted(cat, "pixel art")[0][96:104, 160:168]
    assert np.ptp(block[1:-1, 1:-1], axis=(0, 1)).max() <= 2


def test_words_without_a_look_give_colours_of_their_own(cat):
    pictures = [painted(cat, words)[0] for words in ("a castle", "plum pudding", "qwertz", "sofa")]
    gaps = [far(a, b) for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(gaps) > 6
    silent = painted(cat, "the castle")[0]
    assert far(coarse(silent), coarse(pictures[0])) < 1


def test_a_shade_does_what_it_says(cat):
    plain, bright, dark = (painted(cat, words).mean() for words in ("", "bright", "dark"))
    assert dark < plain - 10 < plain + 10 < bright
    warm, cold = painted(cat, "warm").mean((0, 1, 2)), painted(cat, "cold").mean((0, 1, 2))
    assert warm[0] - warm[2] > cold[0] - cold[2] + 20


def test_two_looks_show_both(cat):
    both = painted(cat, "ink in the snow")[0]
    ink, snow = painted(cat, "ink")[0], painted(cat, "snow")[0]
    assert far(both, ink) > 5
    assert far(both, snow) > 5
    # the flakes lie on the drawing: what is white in the snow alone is white in both
    flakes = (snow.min(axis=2) > 225) & (ink.max(axis=2) < 90)
    assert both[flakes].mean() > ink[flakes].mean() + 60


def test_a_reference_gives_its_palette(cat, coffee):
    wanted = np.asarray(coffee, int).mean((0, 1))
    plain, moved = (painted(cat, "", **kw)[0].mean((0, 1)) for kw in ({}, {"reference": coffee}))

    def lean(colour: np.ndarray) -> np.ndarray:
        return colour - colour.mean()

    assert (
        np.abs(lean(moved) - lean(wanted)).sum() < 0.35 * np.abs(lean(plain) - lean(wanted)).sum()
    )


def test_a_centred_reference_leaves_the_rim_alone(cat, coffee):
    plain, moved = painted(cat, "")[0], painted(cat, "", reference=coffee, centred=True)[0]
    assert far(coarse(plain)[:, :5], coarse(moved)[:, :5]) < 2
    middle = np.s_[150:200, 290:350]
    assert far(plain[middle], moved[middle]) > 15


def test_models_lean_to_colours_of_their_own(cat):
    assert far(painted(cat, ""), painted(cat, "", model="lucy-restyle-2")) > 0.5


def test_a_drawing_from_a_faint_or_dark_photograph_can_still_be_read(cat):
    ink = painted(cat, "ink")[0]
    for dim in (cat.point(lambda v: v // 5), cat.point(lambda v: 60 + v // 5)):
        assert painted(dim, "ink")[0].std() > 0.6 * ink.std()
        assert painted(dim, "night").mean() < 80  # light is not a drawing: dark stays dark


def test_an_outsider_names_the_look_of_unseen_photographs():
    """A sample of what benchmarks/look_classifier.py measures on all of them at full size."""

    def seen(picture: Image.Image, prompt: str, seed: int) -> np.ndarray:
        picture = ImageOps.fit(picture, SMALL)
        result = painted(picture, prompt, seed=seed)[0].astype(np.uint8)
        return measure(Image.fromarray(result), picture)

    known = [
        (look.name, seen(picture, look.name, seed))
        for seed, picture in enumerate(development()[::8])
        for look in LOOKS
    ]
    eye = NearestLook(known)
    right = [
        eye.name(seen(picture, f"{look.words[-1]}, a dragon", 99)) == look.name
        for picture in (held_out()[0], held_out()[5])
        for look in LOOKS
    ]
    assert sum(right) >= 0.9 * len(right), f"{sum(right)} of {len(right)}"
