"""``lab.view``: a session is watched read-only, and its sender is never disturbed."""

from __future__ import annotations

import pytest

import decart_lab as dl
from decart_lab.emulator import emulator
from decart_lab.errors import InvalidInputError
from tests.helpers.livetalk import listen, open_view, say, told
from tests.helpers.rest import eventually


@pytest.fixture
def emu():
    with emulator() as running:
        yield running


@pytest.fixture
def lab(emu):
    with dl.connect(emu.url) as made:
        yield made
        dl.stop_all()


@pytest.fixture
def sender(lab):
    options = {"size": (320, 180), "fps": 15, "dialect": "websocket"}
    return lab.live("lucy-2.1", "ink", source="synthetic", name="sender", **options)


@pytest.fixture
def viewer(lab, sender):
    return lab.view(sender.subscribe_token, name="viewer")


def test_a_viewer_shows_pictures_and_figures_and_offers_no_change(viewer):
    open_view(viewer)
    said = viewer._desk.describe()
    assert set(said["features"]) == {"snapshot", "record"}
    assert said["sources"] == []
    assert told(viewer)["watching"] is True
    eventually(lambda: len(viewer.stats()) >= 2, limit_s=15)
    columns = ["fps_drawn", "preview_lag_ms", "mode", "window", "dropped_preview"]
    assert viewer.stats()[columns]["mode"].iloc[-1]
    assert viewer.snapshot().width == 320


def test_it_is_shown_in_a_cell_with_a_poster_that_claims_no_bill(viewer):
    eventually(lambda: viewer._desk._picture, limit_s=15)
    shown = viewer._desk._poster()
    assert "watched" in shown.text
    assert "cost" not in shown.text
    assert "data:image/jpeg" in shown.html
    assert hasattr(viewer, "_ipython_display_")


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.set(prompt="snow"),
        lambda it: it.set_prompt("snow"),
        lambda it: it.set_image(None),
        lambda it: it.set_source("synthetic"),
        lambda it: it.mute(),
        lambda it: it.choose_model("lucy-2.1"),
    ],
)
def test_it_changes_nothing(viewer, sender, change):
    with pytest.raises(InvalidInputError, match="viewer"):
        change(viewer)
    assert sender.prompt == "ink"


def test_a_page_that_asks_for_a_change_all_the_same_is_refused(viewer, sender):
    for message in ({"kind": "set", "prompt": "snow"}, {"kind": "mute", "on": True}):
        say(viewer, **message)
    eventually(lambda: "viewer cannot" in told(viewer)["note"] + told(viewer)["prompt_error"])
    assert sender.prompt == "ink"


def test_it_leaves_with_its_page_and_the_session_goes_on(viewer, sender, emu):
    open_view(viewer)
    say(viewer, "gone", v="v1", page=True)
    eventually(lambda: not viewer.running, limit_s=15)
    assert viewer.reason == "page_closed"
    assert sender.running
    assert sender.snapshot().width == 320
    assert len([one for one in emu.sessions.values() if not one.log.closed]) == 1


def test_it_ends_when_the_session_does(viewer, sender):
    sender.end()
    eventually(lambda: viewer.over, limit_s=30)
    assert told(viewer)["error"] == "", "which is no failure"
    assert told(viewer)["reason"] == "it was stopped"


def test_the_same_cell_again_keeps_its_view(lab, sender, viewer):
    assert lab.view(sender.subscribe_token, name="viewer") is viewer
    viewer.end()
    assert lab.view(sender.subscribe_token, name="viewer") is not viewer


def test_its_token_is_shown_nowhere(viewer, sender):
    heard = listen(viewer)
    viewer._desk.greet()
    viewer._desk.tell()
    seen = repr([heard, viewer, vars(viewer), viewer.view.get_state(), viewer._desk._poster()])
    assert sender.subscribe_token not in seen


def test_what_is_no_token_is_refused_and_leaves_nothing(lab, threads):
    with pytest.raises(InvalidInputError):
        lab.view("nonsense")
    assert threads.new("decart-lab-live") == []
