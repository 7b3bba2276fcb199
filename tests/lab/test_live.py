"""``lab.live`` against the emulator: its life, what its page may ask, and what is left of it."""

from __future__ import annotations

import io
import time

import pytest
from PIL import Image

import decart_lab as dl
from decart_lab.display.poster import MOST_BYTES
from decart_lab.emulator import emulator
from decart_lab.errors import InvalidInputError
from decart_lab.widgets.live import LAST_WORDS_S
from tests.helpers.livetalk import open_view, say, told
from tests.helpers.rest import eventually

SMALL = {"size": (320, 180), "fps": 15, "source": "synthetic"}


@pytest.fixture
def emu():
    """One whose seconds are seconds: sessions are billed, and end, by them."""
    with emulator() as running:
        yield running


@pytest.fixture
def lab(emu):
    with dl.connect(emu.url) as made:
        yield made
        dl.stop_all()


@pytest.fixture
def live(lab):
    found = lab.live("lucy-2.1", "anime", **SMALL)
    yield found
    found.close()


def running(emu):
    return [session for session in emu.sessions.values() if not session.log.closed]


def png():
    file = io.BytesIO()
    Image.new("RGB", (96, 64), "teal").save(file, "PNG")
    return file.getvalue()


def test_it_ends_and_begins_again_with_what_was_shown_last(live, emu):
    live.set(prompt="ink")
    assert live.stop().reason == "disconnect"
    assert running(emu) == []
    say(live, "start")
    eventually(lambda: live.running and live.state == "generating")
    assert live.prompt == "ink"
    assert len(running(emu)) == 1
    say(live, "stop")
    eventually(lambda: not live.running)
    assert running(emu) == []


def test_a_page_and_python_are_two_faces_of_one_state(live):
    say(live, "set", id="a", prompt="clay", enhance=False)
    eventually(lambda: live.prompt == "clay" and not told(live)["pending"])
    assert live.enhance is False
    live.set(prompt="snow")
    assert told(live)["prompt"] == "snow"
    assert told(live)["history"] == ["anime", "clay", "snow"]
    say(live, "image", [png()], id="b")
    eventually(lambda: told(live)["has_image"])
    say(live, "image", id="c", clear=True)
    eventually(lambda: not told(live)["has_image"])
    assert live.prompt == "snow"


def test_a_refused_prompt_is_told_and_what_was_shown_stays(live):
    say(live, "set", id="a", prompt="[[blocked]] thing")
    eventually(lambda: told(live)["prompt_error"])
    assert live.prompt == "anime"
    assert live.running
    say(live, "set", id="b", prompt="ink")
    eventually(lambda: live.prompt == "ink")
    assert told(live)["prompt_error"] == ""


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "ready", "view": 3},
        {"kind": "ready", "view": "x" * 100, "protocol": 1},
        {"kind": "gone", "v": "nobody"},
        {"kind": "ack", "v": [], "i": "x"},
        {"kind": "resize", "v": "v1", "width": -1, "height": 1e9},
        {"kind": "set", "prompt": 7},
        {"kind": "image", "id": {}},
        {"kind": "model", "name": "no such model"},
        {"kind": "rtc", "op": "offer", "gen": 99, "sdp": "v=0"},
        {"kind": "snapshot", "width": "x"},
        {"kind": "never heard of"},
    ],
    ids=lambda message: str(message)[9:40],
)
def test_nonsense_from_a_page_harms_nothing(live, message, caplog):
    open_view(live)
    say(live, message.pop("kind"), **message)
    live.set(prompt="ink")
    assert live.prompt == "ink"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_the_same_cell_again_keeps_its_session(lab, emu, capsys):
    first = lab.live("lucy-2.1", "anime", name="one", **SMALL)
    again = lab.live("lucy-2.1", "ink", name="one", **SMALL)
    assert again is first
    assert (again.prompt, len(emu.sessions)) == ("ink", 1)
    assert "goes on" in capsys.readouterr().out
    other = lab.live("lucy-restyle-2", "ink", name="one", **SMALL)
    assert not first.running
    assert len(running(emu)) == 1
    assert other.model == "lucy-restyle-2"
    assert "was ended" in capsys.readouterr().out


def test_two_names_are_two_sessions(lab, emu):
    lab.live(name="one", **SMALL)
    lab.live(name="two", **SMALL)
    assert len(running(emu)) == len(dl.sessions()) == 2
    dl.stop_all()
    assert running(emu) == dl.sessions() == []


def test_closing_the_widget_ends_the_session(live, emu):
    live._desk.view.close()
    eventually(lambda: not live.running and running(emu) == [])


def test_a_session_ends_when_its_page_is_left(live, emu):
    open_view(live)
    say(live, "gone", v="v1", page=True)
    eventually(lambda: running(emu) == [], limit_s=15)
    eventually(lambda: live.reason == "page_closed")


def test_an_answer_that_comes_after_the_farewell_keeps_no_session(live, emu):
    """Answers and farewells may be taken by different threads."""
    open_view(live)
    say(live, "gone", v="v1", page=True)
    say(live, "ack", drawn=[["v1", "output", 1, 0, 0]], t=0)
    eventually(lambda: running(emu) == [], limit_s=15)
    eventually(lambda: live.reason == "page_closed")


def test_a_session_ends_whose_page_said_only_that_it_might_go(live, emu):
    """What is said while a page is torn down may be lost."""
    open_view(live)
    say(live, "leaving", v="v1")
    say(live, "ack", drawn=[["v1", "output", 1, 0, 0]], t=0)
    eventually(lambda: running(emu) == [], limit_s=15)
    eventually(lambda: live.reason == "page_closed")


def test_a_page_that_might_have_gone_and_stayed_keeps_its_session(live):
    open_view(live)
    say(live, "leaving", v="v1")
    time.sleep(LAST_WORDS_S + 0.2)
    say(live, "ack", drawn=[["v1", "output", 1, 0, 0]], t=0)
    assert live.view.left_s is None
    say(live, "leaving", v="v1")
    open_view(live, "v2")
    assert live.running


def test_a_page_that_comes_back_finds_its_session(live):
    open_view(live, "v1")
    say(live, "gone", v="v1", page=True)
    time.sleep(1.0)
    open_view(live, "v2")
    assert live._desk.view.left_s is None
    time.sleep(2.5)
    assert live.running


def test_a_view_that_is_closed_ends_nothing(live):
    open_view(live)
    say(live, "gone", v="v1")
    assert live._desk.view.left_s is None
    assert live._desk.view.views == []
    assert live.running


def test_a_detached_session_outlives_its_widget_and_its_page(lab):
    live = lab.live(detach=True, **SMALL)
    open_view(live)
    say(live, "gone", v="v1", page=True)
    live._desk.view.close()
    time.sleep(3.6)
    assert live.running


def test_nobody_looking_is_counted_down_and_then_it_ends(lab, emu):
    live = lab.live(idle_timeout=4.0, **SMALL)
    eventually(lambda: told(live)["idle_left"] is not None)
    assert 0 < told(live)["idle_left"] <= 2
    say(live, "keep")
    eventually(lambda: told(live)["idle_left"] is None)
    assert live.running
    eventually(lambda: running(emu) == [], limit_s=20)
    eventually(lambda: live.reason == "idle")


def test_what_cannot_begin_leaves_nothing(lab, emu, threads):
    with pytest.raises(InvalidInputError):
        lab.live(size=(3, 3), source="synthetic")
    emu.faults.add("session_unavailable", times=9)
    with pytest.raises(dl.errors.WebRTCError):
        lab.live(reconnect=False, **SMALL)
    eventually(lambda: not threads.new("decart-lab-live"))
    assert dl.sessions() == []


def test_no_thread_is_left_when_it_is_over(lab, threads):
    live = lab.live(**SMALL)
    open_view(live)
    live.close()
    eventually(lambda: not threads.new("decart-lab-live", "decart-preview"))


def test_the_poster_is_small_and_tells_the_story(live):
    eventually(lambda: live._desk._picture)
    live.set(prompt="ink <script>")
    live.stop()
    shown = live._desk._poster()
    assert len(shown.html.encode()) <= MOST_BYTES
    assert "data:image/jpeg" in shown.html
    assert "<script" not in shown.html
    assert "ink <script>" in shown.text
    assert "simulated" in shown.text
    assert "ended" in shown.text


def test_every_second_says_how_the_preview_fared(live):
    open_view(live)
    eventually(lambda: len(live.stats()) >= 2, limit_s=15)
    columns = ["fps_drawn", "preview_lag_ms", "mode", "window", "dropped_preview"]
    last = live.stats()[columns].iloc[-1]
    assert last["mode"]
    assert last["window"] >= 1


def test_a_model_is_chosen_between_sessions(live):
    say(live, "model", name="lucy-restyle-2")
    eventually(lambda: "keeps its model" in told(live)["note"])
    live.stop()
    say(live, "model", name="lucy-restyle-2")
    eventually(lambda: told(live)["model"] == "lucy-restyle-2")
    live.start()
    assert live.session.model == "lucy-restyle-2"


def test_the_page_is_told_no_secret(lab, emu):
    live = lab.live(**SMALL)
    said = repr([live._desk.describe(), told(live), live, live._desk.view.get_state()])
    token = live.subscribe_token or "no token at all"
    live.close()
    assert token not in said
    for secret in ("Bearer", "event_token", "X-API-KEY"):
        assert secret not in said
