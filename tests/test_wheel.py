"""What is inside the wheel, and what must not be."""

from __future__ import annotations

import re
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this tree, built without a network."""
    out = tmp_path_factory.mktemp("wheel")
    [built] = WheelBuilder(str(ROOT)).build(directory=str(out), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        yield archive


def test_every_file_of_the_package_is_inside(wheel):
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "decart_lab").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= set(wheel.namelist())


@pytest.mark.parametrize(
    "pattern",
    [
        r"decart_lab/py\.typed",
        r"decart_lab/display/static/lab\.css",
        r"decart_lab/media/samples/\w+\.jpg",
        r"decart_lab/media/samples/clip\.mp4",
        r"decart_lab-.*\.dist-info/licenses/LICENSE",
    ],
)
def test_what_the_code_opens_at_run_time_is_inside(wheel, pattern):
    assert any(re.fullmatch(pattern, name) for name in wheel.namelist())


def test_nothing_else_is_inside(wheel):
    strangers = [
        name
        for name in wheel.namelist()
        if not name.startswith(("decart_lab/", "decart_lab-"))
        or re.search(r"test|\.pyc|\.env|\.pem|\.key|\.sqlite|\.ipynb", name)
    ]
    assert strangers == []


def test_the_wheel_is_small_enough_to_download_twice(wheel):
    assert sum(entry.compress_size for entry in wheel.infolist()) < 4_000_000


def test_the_command_and_the_requirements_are_declared(wheel):
    [entry_points] = [n for n in wheel.namelist() if n.endswith("entry_points.txt")]
    assert "decart-lab = decart_lab.cli:main" in wheel.read(entry_points).decode()
    [metadata] = [n for n in wheel.namelist() if n.endswith("/METADATA")]
    fields = HeaderParser().parsestr(wheel.read(metadata).decode())
    assert fields["Requires-Python"] == ">=3.11"
    required = {
        re.match(r"[\w-]+", line).group()
        for line in fields.get_all("Requires-Dist")
        if "extra ==" not in line
    }
    assert {"httpx", "pandas", "pillow", "aiortc", "tqdm", "ipywidgets", "nest-asyncio"} <= required
