"""Presets are kept under names that are never paths, and come back as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decart_lab.errors import InvalidInputError, ModelNotFoundError, StoreError
from decart_lab.realtime.presets import (
    Preset,
    delete_preset,
    list_presets,
    load_preset,
    save_preset,
)

TEXT = st.none() | st.text(st.characters(codec="utf-8"), max_size=80)


@settings(max_examples=60, deadline=None)
@given(
    preset=st.builds(
        Preset,
        model=st.just("lucy-2.1"),
        prompt=TEXT,
        image=st.none() | st.just("file_abc") | st.just("https://example.org/a.png"),
        enhance=st.booleans(),
        resolution=TEXT,
        size=st.none() | st.just((640, 352)),
        speed=TEXT,
        mirror=st.booleans(),
    )
)
def test_what_was_saved_is_loaded(tmp_path_factory, preset):
    folder = tmp_path_factory.mktemp("presets")
    save_preset("one", preset, folder=folder)
    assert load_preset("one", folder=folder) == preset
    assert [path.name for path in folder.iterdir()] == ["one.json"]


def test_the_folder_is_the_setting_s(tmp_path, monkeypatch):
    monkeypatch.setenv("DECART_LAB_PRESETS", str(tmp_path / "mine"))
    path = save_preset("Ink 2", Preset(model="lucy-2.1", prompt="ink"))
    assert path == tmp_path / "mine" / "Ink 2.json"
    monkeypatch.delenv("DECART_LAB_PRESETS")
    monkeypatch.chdir(tmp_path)
    assert list_presets() == []
    assert save_preset("b", Preset(model="lucy-2.1")) == Path("decart_presets") / "b.json"


def test_they_are_listed_replaced_and_deleted(tmp_path):
    for name in ("b", "a.1", "c"):
        save_preset(name, Preset(model="lucy-2.1"), folder=tmp_path)
    save_preset("b", Preset(model="lucy-2.1", prompt="new"), folder=tmp_path)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden.json").write_text("")
    assert list_presets(folder=tmp_path) == ["a.1", "b", "c"]
    assert load_preset("b", folder=tmp_path).prompt == "new"
    delete_preset("b", folder=tmp_path)
    assert list_presets(folder=tmp_path) == ["a.1", "c"]
    with pytest.raises(InvalidInputError, match="There is no preset 'b'"):
        delete_preset("b", folder=tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", "~", ".hidden", "a ", " a", "a.",
        "x" * 65, "a\0b", "a\nb", "CON", "nul.x", "com1", "é", None, 7, Path("a"),
    ],
)  # fmt: skip
def test_a_name_is_never_a_path(tmp_path, name):
    (tmp_path / "x.json").write_text("{}")
    inner = tmp_path / "inner"
    for act in (
        lambda: save_preset(name, Preset(model="lucy-2.1"), folder=inner),
        lambda: load_preset(name, folder=inner),
        lambda: delete_preset(name, folder=inner),
    ):
        with pytest.raises(InvalidInputError, match="cannot be called"):
            act()
    assert (tmp_path / "x.json").exists()
    assert not inner.exists()


def test_a_relative_picture_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_preset("a", Preset(model="lucy-2.1", image=Path("cat.png")), folder="kept")
    assert load_preset("a", folder=tmp_path / "kept").image == str(tmp_path / "cat.png")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"null", b"{", b'"x"', b"\xff\xfe", b"[" * 50_000, b"{}", b" " * 200_000,
        b'{"model": "lucy-2.1", "api_key": "x"}', b'{"model": 7}',
        b'{"model": "lucy-2.1", "size": 5}',
        b'{"model": "lucy-2.1", "size": [641, 352]}', b'{"model": "lucy-2.1", "prompt": 5}',
        b'{"model": "lucy-2.1", "mirror": "yes"}', b'{"model": "lucy-2.1", "size": [true, true]}',
        b'{"model": "no-such-model"}',
    ],
)  # fmt: skip
def test_a_file_that_is_no_preset_is_refused_by_name(tmp_path, content):
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(InvalidInputError):
        load_preset("bad", folder=tmp_path)


def test_an_unknown_model_or_preset_suggests_near_ones(tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"lucy-2\.1"):
        Preset(model="lucy-2.11")
    with pytest.raises(InvalidInputError):
        Preset(model="lucy-image-2")
    save_preset("charcoal", Preset(model="lucy-2.1"), folder=tmp_path)
    with pytest.raises(InvalidInputError, match="charcoal"):
        load_preset("charcaol", folder=tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        save_preset("a", Preset(model="lucy-2.1"), folder=tmp_path / "file")


def test_the_file_can_be_read_and_edited_by_hand(tmp_path):
    path = save_preset("a", Preset(model="lucy-2.1", prompt="día"), folder=tmp_path)
    assert json.loads(path.read_text(encoding="utf-8")) == {"model": "lucy-2.1", "prompt": "día"}
    assert "día" in path.read_text(encoding="utf-8")
