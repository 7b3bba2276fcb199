"""The Binder image, built the way repo2docker builds it, as far as a test can.

repo2docker makes a conda environment from ``binder/environment.yml`` (and then never looks at
``pyproject.toml``), copies the repository in, and runs ``binder/postBuild``. Here the environment
is a new venv with this machine's Python in place of conda's, and nothing of the tests' own.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
UNREACHABLE = re.compile(
    r"NewConnectionError|Max retries|name resolution|Read ?timed out|ProxyError"
)


def environment() -> tuple[str, list[str]]:
    """The Python pin and the pip requirements of binder/environment.yml."""
    wanted = yaml.safe_load((ROOT / "binder/environment.yml").read_text(encoding="utf-8"))
    [pip] = [entry["pip"] for entry in wanted["dependencies"] if isinstance(entry, dict)]
    [python] = [e for e in wanted["dependencies"] if isinstance(e, str) and e.startswith("python=")]
    return python.removeprefix("python="), pip


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_python_is_pinned_and_new_enough():
    pin, _ = environment()
    oldest = project()["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, pin.split("."))) >= tuple(map(int, oldest.split(".")))


def test_the_dependencies_are_the_package_s_own_and_its_builder():
    _, pip = environment()
    wanted = project()
    assert pip == wanted["project"]["dependencies"] + wanted["build-system"]["requires"]


def test_post_build_stops_at_the_first_error():
    script = ROOT / "binder/postBuild"
    assert "set -e" in script.read_text(encoding="utf-8")
    assert script.stat().st_mode & stat.S_IXUSR


@pytest.mark.slow
def test_post_build_proves_the_image(tmp_path):
    home, env_dir = tmp_path / "home", tmp_path / "env"
    wanted = [*project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], "binder"]
    for name in wanted:
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, home / name)
    venv.create(env_dir, with_pip=True)
    try:
        bin_dir = env_dir / ("Scripts" if sys.platform == "win32" else "bin")
        env = {**os.environ, "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}"}
        env.pop("PYTHONPATH", None)
        pip = [str(bin_dir / "python"), "-m", "pip", "install", "--quiet", "-c", "constraints.txt"]
        pip.append("--no-compile")  # what is imported is compiled then; the rest is not the proof
        install = subprocess.run(
            [*pip, *environment()[1]],
            cwd=home,
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if install.returncode and UNREACHABLE.search(install.stderr):
            pytest.skip("the package registry cannot be reached")
        assert install.returncode == 0, install.stderr
        built = subprocess.run(
            [home / "binder/postBuild"],
            cwd=home,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert built.returncode == 0, built.stderr
        assert "The image works" in built.stdout
    finally:
        shutil.rmtree(env_dir)  # half a gigabyte
