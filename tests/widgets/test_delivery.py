"""What views are sent, replayed against lines that delay and lose; no threads, no real time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decart_lab.media.rtc.encoder import VideoEncoder
from decart_lab.media.rtc.frames import VIDEO_CLOCK, EncodedFrame
from decart_lab.widgets.budget import Budget
from decart_lab.widgets.delivery import ASK_S, Delivery, Outgoing
from decart_lab.widgets.flow import Mode
from decart_lab.widgets.line import JPEG_S, MOST_HELD, Ack, Line
from tests.helpers.peers import picture
from tests.helpers.screens import CAPS, PLAIN, addressed

FRAME_S = 0.05
STEP_S = 0.01
Way = Callable[[int], float | None]


@cache
def encoded() -> tuple[bytes, bytes]:
    """A real key frame, and a real one that is made from it."""
    encoder = VideoEncoder("h264", bitrate=400_000, fps=20)
    made = [encoder.encode(picture(n), n * 4500, key=n == 1) for n in (1, 2)]
    assert made[0] is not None
    assert made[1] is not None
    assert made[0].key
    assert not made[1].key
    return made[0].data, made[1].data


class Replay:
    """A stream of 20 frames a second to pages whose lines have a way of their own."""

    def __init__(self, *views: str, caps: dict[str, object] = CAPS, budget: Budget | None = None):
        self.now = 100.0
        self.asked: list[float] = []
        self.delivery = Delivery(
            "output", FRAME_S, ask_key=self._ask, budget=budget or Budget(8e6, 10_000)
        )
        for view in views:
            self.delivery.lines[view] = Line(FRAME_S, caps)
        self.ways: dict[str, Way] = {view: lambda _: 0.03 for view in views}
        self.sent: list[tuple[float, Outgoing]] = []
        self.frames = 0
        self.disposable = False
        self.stuck_until = 0.0
        self._key = True
        self._due = self.now
        self._acks: list[tuple[float, str, int]] = []

    def _ask(self) -> None:
        self.asked.append(self.now)
        self._key = True

    def line(self, view: str) -> Line:
        return self.delivery.lines[view]

    def play(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += STEP_S
            if self.now >= self._due:
                self._due += FRAME_S
                self._frame()
            while self._acks and max(self._acks[0][0], self.stuck_until) <= self.now:
                at, view, number = heapq.heappop(self._acks)
                self.line(view).acknowledged(Ack(number, page_s=at), self.now)
            for message in self.delivery.step(self.now):
                self.sent.append((self.now, message))
                for view, number in addressed(message.content):
                    delay = self.ways[view](number)
                    if delay is not None:
                        heapq.heappush(self._acks, (self.now + delay, view, number))
            for line in self.delivery.lines.values():
                assert line.flow.mode is not Mode.CREDIT or line.flow.in_flight <= line.flow.window
                assert len(line.held) <= MOST_HELD

    def _frame(self) -> None:
        self.frames += 1
        key, ticks = self._key, self.frames * 4500
        self._key = False
        data = encoded()[0 if key else 1]
        if self.disposable and not key:
            at = data.rindex(b"\x00\x00\x01") + 3
            data = data[:at] + bytes([data[at] & 0x1F]) + data[at + 1 :]
        self.delivery.take(EncodedFrame("h264", data, ticks, VIDEO_CLOCK, key, self.now), self.now)
        if self.delivery.wants_pixels:
            shown = picture(self.frames)
            shown.pts, shown.time_base = ticks, shown.time_base / 4500
            self.delivery.picture(shown)

    def of(self, view: str, since: float = 0.0) -> list[Outgoing]:
        found = []
        for at, message in self.sent:
            if at >= since and view in dict(addressed(message.content)):
                found.append(message)
        return found

    def modes(self, view: str, since: float = 0.0) -> set[str]:
        return {message.content["mode"] for message in self.of(view, since)}


def slow_page(replay: Replay, service_s: float) -> Way:
    """A page that draws frames one after the other, each taking so long."""
    free = [0.0]

    def way(_: int) -> float:
        free[0] = max(free[0], replay.now) + service_s
        return free[0] + 0.03 - replay.now

    return way


def test_a_way_that_is_merely_long_costs_no_frame() -> None:
    replay = Replay("a")
    replay.play(5)
    replay.ways["a"] = lambda number: 0.2 + 0.05 * (number % 3 == 0)
    replay.play(10)
    assert len(replay.of("a")) == replay.frames
    assert replay.modes("a") == {"h264"}


def assert_decodable(messages: list[Outgoing]) -> None:
    """Every frame that needs the one before it comes right after it."""
    whole, before = False, None
    for message in messages:
        about = message.content
        if about["mode"] == "jpeg":
            whole = False
        elif about["key"]:
            whole = True
        else:
            assert whole
            assert about["us"] - before == 50_000
        before = about["us"]


def test_a_good_line_gets_every_frame_as_it_came() -> None:
    replay = Replay("a")
    replay.play(10)
    assert len(replay.of("a")) == replay.frames
    assert replay.modes("a") == {"h264"}
    assert replay.line("a").counters(replay.now).fps_drawn == pytest.approx(20, abs=1)
    assert replay.line("a").counters(replay.now).dropped_preview == 0


def test_answers_that_come_in_bursts_cost_no_key_frame() -> None:
    replay = Replay("a")
    replay.play(5)
    asked = len(replay.asked)
    replay.ways["a"] = lambda number: 0.03 + 0.1 * (number % 4 == 0)
    replay.play(10)
    assert len(replay.asked) == asked
    assert replay.line("a").counters(replay.now).dropped_preview == 0


def test_a_page_that_seldom_gets_round_to_drawing_keeps_the_encoded_stream() -> None:
    replay = Replay("a")
    replay.ways["a"] = lambda _: 0.35 - replay.now % 0.35  # from the first frame on
    replay.play(20)
    assert replay.modes("a") == {"h264"}
    assert len(replay.of("a")) >= 0.98 * replay.frames


def test_a_line_that_cannot_follow_gets_jpegs_and_later_the_stream_again() -> None:
    replay = Replay("a")
    replay.play(3)
    replay.ways["a"] = slow_page(replay, 0.15)
    began = replay.now
    replay.play(15)
    assert "jpeg" in replay.modes("a", began)
    asked = [at for at in replay.asked if at > began]
    assert all(b - a >= ASK_S - 1e-6 for a, b in pairwise(asked))
    replay.ways["a"] = lambda _: 0.03
    replay.play(JPEG_S + 5)
    assert replay.modes("a", replay.now - 2) == {"h264"}
    assert_decodable(replay.of("a"))


def test_while_nothing_comes_back_single_jpegs_are_sent_by_either_way() -> None:
    replay = Replay("a")
    replay.play(3)
    replay.ways["a"] = lambda _: None
    replay.play(2)
    began = replay.now
    asked = len(replay.asked)
    replay.play(20)
    assert len(replay.asked) == asked  # a stream that is not sent needs no key frames
    probes = replay.of("a", began)
    assert 9 <= len(probes) <= 11  # every two seconds
    assert replay.modes("a", began) == {"jpeg"}
    assert {message.plain for message in probes} == {True, False}
    assert "does not answer" in replay.line("a").counters(replay.now).note
    replay.ways["a"] = lambda _: 0.03
    replay.play(3)
    assert replay.modes("a", replay.now - 0.5) == {"h264"}
    assert replay.line("a").counters(replay.now).note == ""
    assert_decodable(replay.of("a"))


def test_behind_a_cell_it_coasts_says_so_and_recovers_within_a_second() -> None:
    replay = Replay("a")
    replay.play(3)
    replay.line("a").flow.cell_running = True
    replay.stuck_until = replay.now + 5
    began = replay.now
    replay.play(4.9)
    coasted = replay.of("a", began + 1)
    assert {message.content["mode"] for message in coasted} == {"jpeg"}
    assert 30 <= len(coasted) <= 41  # ten a second
    assert "running cell" in replay.line("a").counters(replay.now).note
    replay.play(0.1)
    replay.line("a").flow.cell_running = False
    replay.play(1)
    ended = replay.now
    replay.play(1)
    assert replay.modes("a", ended) == {"h264"}
    assert len(replay.of("a", ended)) >= 19
    assert replay.line("a").counters(replay.now).fps_drawn <= 20.5  # though answers came at once
    assert_decodable(replay.of("a"))


def test_every_draw_counts_though_answers_overtake_each_other() -> None:
    line = Line(FRAME_S, CAPS)
    for n in range(4):
        line.sent(100, 10.0 + n * FRAME_S, 10.0 + n * FRAME_S)
    for number in (4, 1, 2, 3, 3, 99):
        line.acknowledged(Ack(number), 11.0)
    assert line.counters(11.0).drawn == 4


def test_lag_is_told_by_the_pages_clock_not_by_when_the_answer_got_through() -> None:
    line = Line(FRAME_S, CAPS)
    for n in range(100):
        now = 50.0 + n * FRAME_S
        number = line.sent(100, now, now)
        behind_a_cell = 3.0 if n > 50 else 0.0
        line.acknowledged(Ack(number, page_s=7.0 + n * FRAME_S + 0.03), now + 0.04 + behind_a_cell)
    assert line.counters(56.0).preview_lag_ms == pytest.approx(40, abs=2)


def test_what_a_page_gathers_before_it_answers_is_no_delay() -> None:
    line = Line(FRAME_S, CAPS)
    for n in range(100):
        drawn = [line.sent(100, at, at) for at in (50.0 + n * 0.2, 50.05 + n * 0.2)]
        told = 50.15 + n * 0.2  # by the page's clock, which is 40 s behind
        for number, at in zip(drawn, (50.03 + n * 0.2, 50.08 + n * 0.2), strict=True):
            ack = Ack(number, page_s=at - 40, told_s=told - 40)
            line.acknowledged(ack, told + 0.01)
    counters = line.counters(69.99)
    assert counters.rtt_ms == pytest.approx(40, abs=1)
    assert counters.preview_lag_ms == pytest.approx(40, abs=2)
    assert counters.fps_drawn == pytest.approx(10, abs=0.5)


def test_a_page_is_told_when_its_answer_is_waited_for() -> None:
    replay = Replay("a")
    replay.ways["a"] = lambda _: 0.2
    replay.play(0.5)
    assert any("now" in message.content for message in replay.of("a"))
    replay.ways["a"] = lambda _: 0.03
    replay.play(10)
    assert not any("now" in message.content for message in replay.of("a", replay.now - 2))
    replay.ways["a"] = lambda _: None
    replay.play(3)
    assert replay.of("a")[-1].content["now"] is True  # a probe


def test_a_slow_view_does_not_hold_up_the_others() -> None:
    replay = Replay("a", "b", "c")
    replay.ways["b"] = lambda _: 0.5
    replay.play(20)
    for view in "ac":
        assert len(replay.of(view)) == replay.frames
    assert len(replay.of("b")) < replay.frames
    for view in "abc":
        assert_decodable(replay.of(view))


def test_a_frame_goes_out_once_for_all_who_can_take_it() -> None:
    replay = Replay("a", "b")
    replay.play(3)
    assert len(replay.sent) == replay.frames
    jpegs = Replay("a", "b", caps=PLAIN)
    jpegs.line("a").caps = {**PLAIN, "width": 160}
    jpegs.play(3)
    assert len(jpegs.sent) == jpegs.frames
    assert {message.content["w"] for _, message in jpegs.sent} == {320}  # the larger of the two


def test_a_frame_that_no_other_needs_is_left_out_alone() -> None:
    replay = Replay("a")
    replay.disposable = True
    replay.ways["a"] = lambda _: 0.6  # twice as long as its first frames may take
    replay.play(2)
    assert replay.line("a").counters(replay.now).dropped_preview > 0
    assert replay.asked == []


def test_what_all_views_are_sent_stays_within_the_budget() -> None:
    replay = Replay(*"abcd", caps=PLAIN, budget=Budget(40_000, 10_000))
    for index, view in enumerate("abcd"):
        replay.ways[view] = lambda _, index=index: 0.03 + 0.01 * index
    replay.play(10)
    largest = max(len(message.data) for _, message in replay.sent)
    total = sum(len(message.data) for _, message in replay.sent)
    assert 0.8 * 400_000 < total <= 400_000 + 10_000 + largest
    for view in "abcd":
        assert len(replay.of(view, replay.now - 3)) >= 5


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(0.001, 2.0)),  # one view's way, or all is lost
            st.floats(0.1, 3.0),  # for so long
            st.booleans(),  # whether a cell runs
            st.booleans(),  # whether the view is hidden
        ),
        max_size=5,
    )
)
def test_whatever_the_line_does_what_arrives_can_be_decoded_and_goes_on(
    spells: list[tuple[float | None, float, bool, bool]],
) -> None:
    replay = Replay("a", "b")
    for way, seconds, busy, hidden in spells:
        replay.ways["a"] = lambda _, way=way: way
        for line in replay.delivery.lines.values():
            line.flow.cell_running = busy
        line = replay.line("a")
        if hidden:
            line.pause()
        else:
            line.flow.resume(replay.now)
        replay.play(seconds)
    replay.ways["a"] = lambda _: 0.03
    for line in replay.delivery.lines.values():
        line.flow.cell_running = False
    replay.line("a").flow.resume(replay.now)
    replay.play(6)
    calm = replay.now
    replay.play(2)
    assert len(replay.of("a", calm)) >= 30
    assert_decodable(replay.of("a"))
    assert_decodable(replay.of("b"))
