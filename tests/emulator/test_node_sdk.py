"""The official JavaScript SDK, unmodified, is a judge as well."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from decart_lab.emulator import Emulator

PACKAGE = "@decartai/sdk@0.1.20"
HERE = Path(__file__).parents[1] / "helpers"
CACHE = Path(__file__).parents[2] / ".cache" / f"npm-sdk-{PACKAGE.rpartition('@')[2]}"


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The node_modules with the SDK; installed once, and kept."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not on this machine")
    if not CACHE.is_dir():
        CACHE.parent.mkdir(exist_ok=True)
        # Made aside and renamed: another process of the same tests may be installing it, too.
        with tempfile.TemporaryDirectory(dir=CACHE.parent, ignore_cleanup_errors=True) as folder:
            aside = Path(folder) / "made"
            aside.mkdir()
            (aside / "package.json").write_text('{"private": true, "type": "module"}\n')
            done = subprocess.run(
                [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE],
                cwd=aside,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"node package {PACKAGE} cannot be installed: {done.stderr[-500:]}")
            with contextlib.suppress(OSError):  # the other was first
                aside.rename(CACHE)
    return CACHE / "node_modules"


@pytest.fixture(scope="module")
def seen(
    sdk: Path,
    shared_emu: Emulator,
    picture: bytes,
    tiny_clip: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict:
    """What the script saw."""
    folder = tmp_path_factory.mktemp("node")
    image, script = folder / "picture.png", folder / "node_sdk.mjs"
    image.write_bytes(picture)
    (folder / "node_modules").symlink_to(sdk)  # imports are resolved from beside the script
    script.write_text((HERE / "node_sdk.mjs").read_text())
    done = subprocess.run(
        ["node", str(script), shared_emu.url, str(image), str(tiny_clip)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_process_gives_a_picture(seen):
    assert seen["image"] == {"type": "image/png", "head": [0x89, 0x50, 0x4E, 0x47]}


def test_the_queue_gives_a_clip(seen):
    assert seen["queue"]["status"] == "completed"
    assert seen["queue"]["statuses"][0] == "pending"
    assert seen["queue"]["statuses"][-1] == "completed"
    assert seen["queue"]["type"] == "video/mp4"
    assert seen["queue"]["size"] > 1000
    assert seen["submitted"]["status"] in ("pending", "processing", "completed")


def test_a_moderated_job_fails(seen):
    assert seen["blocked"]["status"] == "failed"


def test_tokens_are_created_and_mint_no_others(seen):
    token = seen["token"]
    assert token["apiKey"].startswith("ek_")
    assert token["permissions"] == {"models": ["lucy-2.1"], "origins": ["https://example.com"]}
    assert token["constraints"] == {"realtime": {"maxSessionDuration": 60}}
    assert (seen["minted"]["code"], seen["minted"]["status"]) == ("TOKEN_CREATE_ERROR", 403)


def test_files_come_and_go(seen):
    assert seen["file"]["found"] == seen["file"]["uploaded"]
    assert seen["file"]["found"]["mime_type"] == "image/png"
    assert (seen["file"]["gone"]["code"], seen["file"]["gone"]["status"]) == (
        "FILES_GET_ERROR",
        404,
    )


def test_a_refused_key_is_its_submit_error(seen):
    assert (seen["refused"]["code"], seen["refused"]["status"]) == ("QUEUE_SUBMIT_ERROR", 401)
