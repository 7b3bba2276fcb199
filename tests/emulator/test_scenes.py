"""Scenes painted from words."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from decart_lab.emulator import motion
from decart_lab.emulator.scenes import _SUBJECTS, compose_scene
from decart_lab.media import samples
from decart_lab.media.image import open_image

SIZE = (320, 176)


def picture(prompt: str, seed: int = 1, at: float = 0.0) -> np.ndarray:
    return np.asarray(compose_scene(prompt, *SIZE, seed).frame(at), int)


@pytest.mark.parametrize("subject", _SUBJECTS)
def test_every_subject_paints_a_picture_of_its_own(subject):
    scene = picture(_SUBJECTS[subject][0])
    assert scene.shape == (SIZE[1], SIZE[0], 3)
    assert scene.std() > 12
    other = picture("desert" if subject != "desert" else "city")
    assert np.abs(scene - other).mean() > 8


def test_the_hour_sets_the_light():
    assert picture("a lake at night").mean() < picture("a lake at noon").mean() - 60


def test_the_seed_moves_things_about_and_repeats():
    assert (picture("mountains") == picture("mountains")).all()
    assert np.abs(picture("mountains") - picture("mountains", seed=2)).mean() > 2


def test_the_camera_moves_near_things_further_than_far_ones():
    start, end = picture("a deep forest", at=0.0), picture("a deep forest", at=1.0)
    moved = np.abs(start - end).mean((1, 2))
    assert moved[70:150].mean() > 1.5 * moved[:20].mean()


def test_a_portrait_frame_is_painted_upright():
    assert compose_scene("castle", 176, 320, 1).frame(0.5).size == (176, 320)


@pytest.fixture(scope="module")
def cat():
    return open_image(samples.path("cat.jpg"))


@pytest.fixture(scope="module")
def coffee():
    return open_image(samples.path("coffee.jpg"))


def test_animating_moves_the_camera_a_little_every_frame(cat):
    frames = [np.asarray(f, int) for f in motion.animate(cat, SIZE, 8, seed=1)]
    assert len(frames) == 8
    steps = [np.abs(a - b).mean() for a, b in pairwise(frames)]
    assert min(steps) > 0.3
    assert max(steps) < 20


def test_a_dissolve_begins_and_ends_with_its_pictures(cat, coffee):
    frames = [np.asarray(f, int) for f in motion.dissolve(cat, coffee, SIZE, 9)]
    first, last = (np.asarray(motion.cover(p, SIZE), int) for p in (cat, coffee))
    assert np.abs(frames[0] - first).mean() < 4
    assert np.abs(frames[-1] - last).mean() < 4
    assert np.abs(frames[4] - (first + last) / 2).mean() < 20


def test_what_is_at_the_first_point_is_carried_to_the_last(cat):
    scale = cat.width / SIZE[0]
    path = [{"frame": 0, "x": 90 * scale, "y": 60 * scale},
            {"frame": 6, "x": 230 * scale, "y": 100 * scale}]  # fmt: skip
    offset = (SIZE[1] - cat.height / scale) / 2
    frames = [np.asarray(f, int) for f in motion.follow(cat, path, SIZE, 10)]
    y0, y1 = round(60 + offset), round(100 + offset)
    patch = frames[0][y0 - 8 : y0 + 8, 82:98]
    assert np.abs(frames[6][y1 - 8 : y1 + 8, 222:238] - patch).mean() < 2
    assert (frames[6] == frames[9]).all()  # it rests where the path ends
    assert np.abs(frames[6][y0 - 8 : y0 + 8, 82:98] - patch).mean() > 3


@pytest.mark.parametrize("point", [(0, 0), (10_000, 10_000)])
def test_a_trajectory_off_the_picture_is_no_error(cat, point):
    path = [{"frame": 0, "x": point[0], "y": point[1]}, {"frame": 3, "x": 5, "y": 5}]
    assert len(list(motion.follow(cat, path, SIZE, 4))) == 4
