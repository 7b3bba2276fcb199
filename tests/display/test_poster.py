"""The poster of a live session: small whatever it shows, and nothing in it can be executed."""

from __future__ import annotations

import math

import numpy as np

from decart_lab.display.poster import MOST_BYTES, PICTURE_BYTES, new_id, poster, poster_picture

TOLD = {
    "model": "lucy-2.1",
    "prompt": "snow " * 4000,
    "state": "disconnected",
    "reason": "idle " * 200,
    "seconds": 12.0,
    "cost": math.nan,
    "simulated": True,
}


def noise(width, height):
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_a_picture_that_compresses_badly_is_made_smaller():
    assert len(poster_picture(noise(1280, 720))) <= PICTURE_BYTES


def test_the_largest_poster_keeps_its_size():
    delays = [math.nan, *(float(n % 90) for n in range(30_000))]
    shown = poster(new_id(), TOLD, poster_picture(noise(720, 1280)), delays)
    assert len(shown.html.encode()) <= MOST_BYTES


def test_what_is_unknown_is_not_made_up():
    shown = poster(new_id(), TOLD | {"simulated": False}, b"", [math.nan])
    assert "–" in shown.text
    assert "latency" not in shown.html
    assert "img" not in shown.html.rpartition("</style>")[2]
    assert "simulated" not in shown.text


def test_who_only_watched_is_shown_no_bill():
    watched = {"state": "generating", "watching": True, "seconds": 0.0, "cost": 0.0, "model": ""}
    shown = poster(new_id(), watched, b"", [20.0, 30.0])
    assert "watched, read-only" in shown.text
    assert "$" not in shown.html.rpartition("</style>")[2]
    assert "latency" in shown.html


def test_words_are_only_read():
    shown = poster(new_id(), TOLD | {"prompt": "<script>x</script>", "reason": "<img src=x>"})
    body = shown.html.rpartition("</style>")[2]
    assert "<script" not in body
    assert "<img" not in body
