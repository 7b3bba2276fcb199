"""The bundled inputs are there, small, usable, and say where they come from."""

from __future__ import annotations

import pytest

from decart_lab.errors import InvalidInputError
from decart_lab.media import samples
from decart_lab.media.probe import probe


def test_there_are_photographs_and_a_clip_with_sound():
    kinds = {name: probe(samples.path(name)) for name in samples.names()}
    assert sorted(found.kind for found in kinds.values()) == ["image"] * 3 + ["video"]
    clip = kinds["clip.mp4"]
    assert clip.has_audio
    assert 2 <= clip.duration_s <= 3
    assert clip.fps >= 20


def test_they_are_small():
    sizes = [samples.path(name).stat().st_size for name in samples.names()]
    assert sum(sizes) < 1_200_000
    assert max(sizes) < 250_000


def test_each_says_where_it_comes_from():
    text = (samples.path("cat.jpg").parent / "README.md").read_text()
    assert all(name in text for name in samples.names())


@pytest.mark.parametrize("name", ["dog.jpg", "README.md", "../media.py", ""])
def test_no_other_file_is_handed_out(name):
    with pytest.raises(InvalidInputError, match="no sample"):
        samples.path(name)
