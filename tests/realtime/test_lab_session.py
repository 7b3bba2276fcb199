"""Live sessions in a notebook's words: blocking, with limits, and with presets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import decart_lab as dl
from decart_lab.errors import SessionClosedError

SMALL = (320, 176)


@pytest.fixture(scope="module")
def lab(emu: Any) -> Iterator[Any]:
    with dl.connect(emu.url) as made:
        yield made


def test_a_session_is_opened_changed_looked_at_and_ended(lab: Any, tmp_path: Path) -> None:
    with lab.session("lucy-2.1", "ink", size=SMALL) as live:
        seen: list[Any] = []
        live.on_frame(seen.append, max_fps=20)
        path = live.record(tmp_path / "take.mp4")
        live.set(prompt="snow")
        picture = live.snapshot()
        time.sleep(1.2)
        assert dl.sessions()
        kept = live.stop_recording()
    assert live.over
    assert dl.sessions() == []
    assert (picture.width, picture.height) == SMALL
    assert picture.simulated
    assert seen[0].shape == (176, 320, 3)
    assert kept.path.exists() or path.exists()
    assert {"prompt", "recording"} <= set(live.events()["event"])
    with pytest.raises(SessionClosedError):
        live.set(prompt="ink")


def test_all_sessions_can_be_stopped_at_once(lab: Any) -> None:
    first, second = (lab.session(prompt="ink", size=SMALL) for _ in range(2))
    dl.stop_all()
    assert first.over
    assert second.over


def test_a_session_has_limits_unless_told_otherwise(lab: Any) -> None:
    with lab.session(size=SMALL, max_seconds=1) as live:
        assert live.wait().reason == "max_seconds"


def test_handlers_are_called_off_the_engine(lab: Any) -> None:
    states: list[str] = []
    with lab.session(size=SMALL) as live:
        live.on("connection_change", lambda state: states.append((state, live.session_id)))
        live.set(prompt="ink")
    assert [state for state, _ in states][:2] == ["connecting", "connected"]


def test_a_preset_opens_a_session_and_what_is_given_comes_first(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DECART_LAB_PRESETS", str(tmp_path))
    dl.save_preset("noir", dl.Preset(model="lucy-2.1", prompt="black and white", size=SMALL))
    assert dl.list_presets() == ["noir"]
    with lab.session(preset="noir") as live:
        assert live.prompt == "black and white"
    with lab.session(prompt="snow", preset="noir") as live:
        assert live.prompt == "snow"


def test_a_viewer_watches(lab: Any) -> None:
    with (
        lab.session(prompt="ink", size=SMALL, dialect="websocket") as live,
        lab.view(live.subscribe_token) as viewer,
    ):
        assert viewer.snapshot().width == 320
