"""The run folder: named by content, explained by its lock, kept out of version control."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from decart_lab.errors import StoreError
from decart_lab.media import samples
from decart_lab.media.image import open_image
from decart_lab.sweep.store import Store


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "runs" / "r1", tmp_path / "runs")
    made.create()
    return made


@pytest.mark.parametrize(("name", "suffix"), [("cat.jpg", ".jpg"), ("clip.mp4", ".mp4")])
def test_a_result_is_moved_to_where_its_content_belongs(store, name, suffix):
    content = samples.path(name).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    for _ in range(2):  # the same content again is stored once
        shutil.copy(samples.path(name), store.incoming("whatever.exe"))
        stored = store.adopt(store.incoming("whatever.exe"))
        assert stored.media == f"media/{sha256[:2]}/{sha256}{suffix}"
        assert stored.path.read_bytes() == content
        assert not store.incoming("whatever.exe").exists()
    thumb = open_image(
        store.folder / store.make_thumb(stored.path, sha256, is_clip=suffix == ".mp4")
    )
    assert max(thumb.size) <= 320
    assert len(list(store.folder.glob("media/*/*"))) == 1


def test_equal_results_of_several_points_can_arrive_at_the_same_moment(store):
    """A paid result was once lost because two threads wrote one thumbnail under one name."""
    content = samples.path("cat.jpg").read_bytes()
    for turn in range(10):
        paths = [store.incoming(f"{turn}-{n}") for n in range(8)]
        for path in paths:
            path.write_bytes(content)
        with ThreadPoolExecutor(len(paths)) as threads:
            stored = list(threads.map(store.adopt, paths))
            thumbs = list(
                threads.map(lambda s: store.make_thumb(s.path, s.sha256, is_clip=False), stored)
            )
        assert len({each.media for each in stored}) == 1
        assert set(thumbs) == {f"thumbs/{stored[0].sha256}.webp"}
    assert not list(store.folder.rglob("*.part"))


def test_a_result_that_cannot_be_shown_is_kept_all_the_same(store):
    store.incoming("odd").write_bytes(b"paid for, whatever it is")
    stored = store.adopt(store.incoming("odd"))
    assert store.make_thumb(stored.path, stored.sha256, is_clip=False) == ""
    assert stored.path.read_bytes() == b"paid for, whatever it is"


def test_the_root_is_kept_out_of_version_control_and_the_user_may_change_that(store, tmp_path):
    ignore = tmp_path / "runs" / ".gitignore"
    assert "*" in ignore.read_text().splitlines()
    ignore.write_text("mine")
    Store(tmp_path / "runs" / "r2", tmp_path / "runs").create()
    assert ignore.read_text() == "mine"


def test_the_lock_is_readable_and_whole(store):
    store.write_lock({"prompt": "café", "n": 1})
    assert json.loads((store.folder / "run.lock.json").read_text("utf-8"))["prompt"] == "café"
    assert not list(store.folder.glob("*.part"))


def test_a_folder_that_cannot_be_made_is_a_store_error_with_a_hint(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="DECART_LAB_RUNS"):
        Store(tmp_path / "file" / "r1", tmp_path).create()
