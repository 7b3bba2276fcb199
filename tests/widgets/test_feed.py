"""A session's frames on their way to pages, without a browser: who gets what, and when."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from PIL import Image

from decart_lab.realtime.hub import Hub
from decart_lab.widgets.budget import Budget
from decart_lab.widgets.feed import Feed
from tests.conftest import Threads
from tests.helpers.screens import CAPS, PLAIN, Page, Stream, wait


class Stage:
    """A feed between two streams and a page."""

    def __init__(self) -> None:
        self.hub, self.page = Hub(), Page()
        self.output, self.input = Stream("h264"), Stream("vp8")
        self.hub.attach(self.output)  # type: ignore[arg-type]
        self.feed = self.page.feed = Feed(
            self.hub, self.input, self.page.send, fps=20, budget=Budget(8e6, 10_000)
        )

    def ready(self, view: str, caps: dict[str, object]) -> None:
        self.feed.ready(view, caps)
        wait(lambda: view in self.feed.views and self.input.sinks)

    def play(self, frames: int, every_s: float = 0.01) -> None:
        for _ in range(frames):
            self.output.next()
            self.input.next()
            time.sleep(every_s)


@pytest.fixture
def stage(threads: Threads) -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.feed.close()
    stage.hub.attach(None)
    assert not threads.new("decart-preview")


def test_a_view_that_can_decode_gets_the_frames_as_they_came(stage: Stage) -> None:
    stage.ready("a", CAPS)
    made = [stage.output.next() for _ in range(3)]
    wait(lambda: len(stage.page.of("a")) == 3)
    assert [data for _, data in stage.page.of("a")] == [frame.data for frame in made]
    first, second, _ = [content for content, _ in stage.page.of("a")]
    assert (first["i"], first["mode"], first["key"]) == (1, "h264", True)
    assert (first["w"], first["h"]) == (320, 176)
    assert first["codec"].startswith("avc1.42C0")
    assert second["us"] - first["us"] == 50_000
    assert not stage.output.frame_sinks  # nothing was decoded for it


def test_a_view_that_cannot_decode_gets_jpegs(stage: Stage) -> None:
    stage.ready("a", {**PLAIN, "width": 160, "height": 160, "dpr": 1})
    stage.play(10)
    for of in ("output", "input"):
        wait(lambda of=of: stage.page.of("a", of))
        content, data = stage.page.of("a", of)[-1]
        assert content["mode"] == "jpeg"
        assert Image.open(io.BytesIO(data)).size == (160, 88) == (content["w"], content["h"])


def test_views_share_a_message_and_count_for_themselves(stage: Stage) -> None:
    stage.ready("a", CAPS)
    stage.play(5)
    stage.ready("b", CAPS)
    stage.play(20)
    wait(lambda: stage.feed.counters("b").drawn > 5)
    shared = [content for content, _ in stage.page.frames if isinstance(content["v"], list)]
    assert shared
    for view in ("a", "b"):
        numbers = [content["i"] for content, _ in stage.page.of(view)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_nobody_looks_and_nothing_is_asked_for(stage: Stage) -> None:
    before = sys.getswitchinterval()
    stage.ready("a", PLAIN)
    stage.play(5)
    wait(lambda: stage.output.frame_sinks)
    assert sys.getswitchinterval() < before
    stage.feed.pause("a")
    wait(lambda: not stage.input.sinks)
    assert not stage.output.frame_sinks
    assert sys.getswitchinterval() == before
    sent = len(stage.page.frames)
    stage.play(5)
    assert len(stage.page.frames) == sent
    stage.feed.resume("a")
    wait(lambda: stage.input.sinks)
    stage.play(10)
    wait(lambda: len(stage.page.frames) > sent)


def test_turns_are_left_alone_where_that_is_wished(stage: Stage) -> None:
    before = sys.getswitchinterval()
    stage.feed.short_turns = False
    stage.ready("a", CAPS)
    stage.play(5)
    wait(lambda: stage.page.of("a"))
    assert sys.getswitchinterval() == before
    stage.feed.short_turns = True
    stage.play(1)
    wait(lambda: sys.getswitchinterval() < before)


def test_all_is_sent_by_one_thread_that_ends(stage: Stage) -> None:
    stage.ready("a", CAPS)
    stage.ready("b", PLAIN)
    stage.play(5)
    wait(lambda: stage.page.of("b"))
    assert [thread.name for thread in stage.page.threads] == ["decart-preview"]
    stage.feed.close()
    sent = len(stage.page.frames)
    stage.play(5)
    assert len(stage.page.frames) == sent
    assert not stage.input.sinks


def test_a_view_whose_decoder_fails_says_ready_again_and_gets_jpegs(stage: Stage) -> None:
    stage.ready("a", CAPS)
    stage.play(5)
    wait(lambda: stage.page.of("a"))
    stage.ready("a", PLAIN)
    stage.play(10)
    wait(lambda: stage.page.of("a")[-1][0]["mode"] == "jpeg")
    assert stage.feed.views == ("a",)


def test_a_page_that_lost_the_thread_gets_a_key_frame(stage: Stage) -> None:
    stage.ready("a", CAPS)
    stage.play(5)
    wait(lambda: len(stage.page.of("a")) >= 4)
    keys = sum(content["key"] for content, _ in stage.page.of("a"))
    stage.feed.key("a", "output")
    time.sleep(1.0)  # one was asked for when the view came; the next may be a second later
    stage.play(10)
    wait(lambda: sum(content["key"] for content, _ in stage.page.of("a")) > keys)


def test_a_view_that_is_gone_gets_nothing_and_counts_nothing(stage: Stage) -> None:
    stage.ready("a", CAPS)
    stage.ready("b", CAPS)
    stage.feed.gone("a")
    wait(lambda: stage.feed.views == ("b",))
    before = len(stage.page.of("a"))
    stage.play(5)
    wait(lambda: stage.page.of("b"))
    assert len(stage.page.of("a")) == before
    assert stage.feed.counters("a").mode == ""


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"drawn": 7},
        {"drawn": [None, [], ["a", "output", 1]]},
        {"drawn": [["a", "output", "1", 0, 0.0]]},
        {"drawn": [["a", ["output"], 1, 0, 0.0]]},
        {"drawn": [[["a"], "output", 1, 0, 0.0]]},
        {"drawn": [["nobody", "output", 1, 0, 0.0]]},
        {"drawn": [["a", "output", True, None, float("nan")]], "t": float("inf")},
        {"drawn": [["a", "output", 10**30, -5, "now"]], "t": "now"},
    ],
)
def test_an_acknowledgement_that_makes_no_sense_changes_nothing(
    stage: Stage, message: dict[str, object]
) -> None:
    stage.page.answers = False
    stage.ready("a", CAPS)
    stage.play(1)
    wait(lambda: stage.page.of("a"))
    stage.feed.ack(message)
    wait(lambda: not stage.feed._inbox)
    stage.play(1)
    counters = stage.feed.counters("a")
    assert (counters.drawn, counters.flow) == (0, "credit")
    assert 1 <= counters.in_flight <= counters.window


def test_a_comm_that_fails_is_tried_again_and_told_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    send, fails = stage.page.send, [True]

    def sometimes(content: dict[str, object], buffers: list[bytes]) -> None:
        if fails[0]:
            raise OSError("the socket is gone")
        send(content, buffers)

    stage.feed._send = sometimes
    stage.ready("a", PLAIN)
    stage.play(20)
    wait(lambda: "could not be sent" in caplog.text)
    fails[0] = False
    time.sleep(0.6)  # what was sent in vain expires
    stage.play(60)
    wait(lambda: stage.page.of("a"))
    assert caplog.text.count("could not be sent") == 1


def test_frames_that_the_sender_could_not_take_in_time_cost_a_key_frame(stage: Stage) -> None:
    go, send = threading.Event(), stage.page.send

    def slowly(content: dict[str, object], buffers: list[bytes]) -> None:
        go.wait(10)
        send(content, buffers)

    stage.feed._send = slowly
    stage.ready("a", CAPS)
    stage.play(70, every_s=0)
    asked = stage.output.asked
    go.set()
    stage.play(80, every_s=0.02)
    assert stage.output.asked > asked
    wait(lambda: stage.page.of("a")[-1][0]["us"] > 70 * 50_000)
    assert stage.feed.counters("a").dropped_preview >= 1
