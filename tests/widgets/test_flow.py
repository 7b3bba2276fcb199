"""The credit of a view: never too much on the way, and never stuck."""

from __future__ import annotations

import heapq

from hypothesis import given, settings
from hypothesis import strategies as st

from decart_lab.widgets.flow import MOST, START, Flow, Mode

FRAME_S = 0.05


class Line:
    """A front end that draws what comes, over a line that delays and loses."""

    def __init__(self, flow: Flow, way_s: float = 0.02) -> None:
        self.flow, self.way_s, self.now = flow, way_s, 0.0
        self.sent: list[float] = []
        self.drawn: list[int] = []
        self._acks: list[tuple[float, int]] = []

    def play(self, seconds: float, fate: object = None) -> None:
        """Offer a frame every 50 ms; ``fate(number)`` is its delay, or None when it is lost."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += FRAME_S
            while self._acks and self._acks[0][0] <= self.now:
                at, number = heapq.heappop(self._acks)
                self.flow.acknowledge(number, at)
            if self.flow.may_send(self.now):
                self._send(fate)
            else:
                self.flow.skipped()
            assert self.flow.mode is not Mode.CREDIT or self.flow.in_flight <= self.flow.window
            assert self.flow.window <= MOST

    def _send(self, fate: object) -> None:
        number = self.flow.send(self.now)
        self.sent.append(self.now)
        delay = self.way_s if fate is None else fate(number)  # type: ignore[operator]
        if delay is not None:
            self.drawn.append(number)
            heapq.heappush(self._acks, (self.now + delay, number))


def test_a_good_line_gets_every_frame() -> None:
    line = Line(Flow(FRAME_S))
    line.play(5)
    assert line.flow.dropped == 0
    assert line.flow.window > START


def slow_page(line: Line, service_s: float) -> object:
    """A fate: frames are drawn one after the other, each taking so long."""
    free = [0.0]

    def fate(_: int) -> float:
        free[0] = max(free[0], line.now) + service_s
        return free[0] + line.way_s - line.now

    return fate


def test_a_line_that_fills_up_gets_a_smaller_window() -> None:
    line = Line(Flow(FRAME_S))
    line.play(5)
    fate = slow_page(line, 0.13)
    line.play(3, fate)
    before = len(line.sent)
    late = []
    line.play(5, lambda number: late.append(fate(number)) or late[-1])  # type: ignore[operator]
    assert len(line.sent) - before >= 5 / 0.15 * 0.9  # what it can draw, on a grid of 50 ms
    assert sum(late) / len(late) <= 2.5 * 0.15  # and little that waits


def test_a_way_that_is_merely_long_gets_every_frame() -> None:
    line = Line(Flow(FRAME_S))
    line.play(5)
    line.play(10, lambda _: 0.25)
    assert line.flow.dropped == 0


def test_a_window_that_is_too_small_for_a_long_way_grows() -> None:
    line = Line(Flow(FRAME_S))
    line.play(2)
    line.play(5, slow_page(line, 0.13))
    line.play(6, lambda _: 0.2)
    before = line.flow.dropped
    line.play(5, lambda _: 0.2)
    assert line.flow.dropped == before


def test_how_long_a_frame_takes_alone_is_learnt_anew() -> None:
    line = Line(Flow(FRAME_S))
    line.play(5, lambda _: 0.08)
    line.flow.pause()
    line.flow.resume(line.now)  # with a small window again, and a longer way than before
    line.play(8, lambda _: 0.2)
    before = line.flow.dropped
    line.play(5, lambda _: 0.2)
    assert line.flow.dropped == before


def test_a_front_end_that_died_gets_two_frames_a_second_at_most() -> None:
    line = Line(Flow(FRAME_S))
    line.play(3)
    line.play(60, lambda _: None)
    assert line.flow.mode is Mode.PROBING
    assert len([at for at in line.sent if at > 10]) <= 60


def test_it_goes_on_at_once_when_acknowledgements_come_again() -> None:
    line = Line(Flow(FRAME_S))
    line.play(3)
    line.play(20, lambda _: None)
    line.play(3)
    assert line.flow.mode is Mode.CREDIT
    before = len(line.sent)
    line.play(2)
    assert len(line.sent) - before == 40


def test_behind_a_cell_it_coasts_and_slows_down() -> None:
    line = Line(Flow(FRAME_S))
    line.play(3)
    line.flow.cell_running = True
    line.play(40, lambda _: None)
    assert line.flow.mode is Mode.COASTING
    rates = [len([at for at in line.sent if a < at <= a + 5]) / 5 for a in (5, 15, 35)]
    assert rates[0] >= 8
    assert rates[0] > rates[1] > rates[2] >= 1.5  # two a second, on a grid of 50 ms


def test_late_answers_behind_a_cell_are_no_congestion() -> None:
    line = Line(Flow(FRAME_S))
    line.play(3)
    line.flow.cell_running = True
    line.play(3, lambda _: None)
    window, rtt = line.flow.window, line.flow.rtt_s
    line.flow.acknowledge(line.flow._last, line.now)
    assert (line.flow.mode, line.flow.window, line.flow.rtt_s) == (Mode.CREDIT, window, rtt)


def test_a_hidden_view_gets_nothing() -> None:
    line = Line(Flow(FRAME_S))
    line.play(1)
    line.flow.pause()
    before = len(line.sent)
    line.play(5)
    assert len(line.sent) == before
    line.flow.resume(line.now)
    line.play(1)
    assert len(line.sent) > before


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(0.001, 3.0)),  # the way, or all is lost
            st.floats(0.1, 4.0),  # for so long
            st.booleans(),  # whether a cell runs
        ),
        max_size=8,
    )
)
def test_whatever_the_line_does_it_never_sends_too_much_and_never_stops(
    spells: list[tuple[float | None, float, bool]],
) -> None:
    line = Line(Flow(FRAME_S))
    for way, seconds, busy in spells:
        line.flow.cell_running = busy
        line.play(seconds, lambda _, way=way: way)
    line.flow.cell_running = False
    line.play(8)  # the longest wait for a probe is two seconds, the longest way three
    before = len(line.sent)
    line.play(2)
    assert len(line.sent) - before >= 20


@given(st.lists(st.integers(-10, 10_000), max_size=50))
def test_acknowledgements_that_make_no_sense_change_nothing(numbers: list[int]) -> None:
    flow = Flow(FRAME_S)
    for number in numbers:
        flow.acknowledge(number, 1.0)
        assert flow.in_flight == 0
        assert flow.window == START
        assert flow.may_send(1.0)
