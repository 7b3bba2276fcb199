"""Small media made once for the tests of this package."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.clips import moving, write_clip


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small clips: plain, with sound, turned, WebM."""
    folder = tmp_path_factory.mktemp("made")
    write_clip(folder / "plain.mp4", moving(20), fps=10)
    write_clip(folder / "sound.mp4", moving(50), fps=25, sound=True)
    for turn in (90, 180, 270):
        write_clip(folder / f"turned{turn}.mp4", moving(4), fps=10, rotation=turn)
    write_clip(folder / "plain.mov", moving(20), fps=10)
    write_clip(folder / "plain.webm", moving(20), fps=10, sound=True, codec="libvpx")
    return folder
