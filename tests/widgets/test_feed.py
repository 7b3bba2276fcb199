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
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.feed.close()
    stage.hub.attach(None)
    assert "decart-preview" not in [thread.name for thread in threading.enumerate()]


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
