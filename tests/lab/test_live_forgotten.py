"""A live view that was closed in a page that stays: its session is given some time, and no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

import decart_lab as dl
from decart_lab.emulator import Emulator, emulator
from decart_lab.lab import desk
from tests.helpers.livetalk import open_view, say
from tests.helpers.rest import eventually

SMALL = {"size": (320, 180), "fps": 15, "source": "synthetic"}


@pytest.fixture
def emu() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def lab(emu: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(desk, "UNSEEN_S", 1.5)
    with dl.connect(emu.url) as made:
        yield made
        dl.stop_all()


def shown_and_closed(live: Any) -> None:
    open_view(live)
    say(live, "gone", v="v1")


def running(emu: Emulator) -> list[Any]:
    return [session for session in emu.sessions.values() if not session.log.closed]


def test_it_ends_when_nobody_shows_another_view(lab: Any, emu: Emulator) -> None:
    live = lab.live(**SMALL)
    shown_and_closed(live)
    eventually(lambda: running(emu) == [], limit_s=15)
    eventually(lambda: live.reason == "view_closed")


@pytest.mark.parametrize("what", ["shown again", "changed", "recorded", "detached", "never shown"])
def test_it_goes_on_while_it_is_used(lab: Any, what: str, tmp_path: Any) -> None:
    live = lab.live(**SMALL, detach=what == "detached")
    if what != "never shown":
        shown_and_closed(live)
    if what == "shown again":
        open_view(live, "v2")
    elif what == "recorded":
        live.record(tmp_path / "take.mp4")
    until = time.monotonic() + 4.0
    while time.monotonic() < until:
        if what == "changed":
            live.set(prompt="ink")
        time.sleep(0.5)
    assert live.running


def test_a_cell_that_runs_may_be_about_to_show_it(lab: Any) -> None:
    live = lab.live(**SMALL)
    live._desk._cell(True)
    shown_and_closed(live)
    time.sleep(3.0)
    assert live.running
    live._desk._cell(False)
    eventually(lambda: not live.running, limit_s=15)
