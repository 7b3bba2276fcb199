"""Two watches: does the picture move, and is anybody there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from decart_lab.realtime.watch import LOST_S, STALLED_S, WARN_S, Flow, FlowWatch, IdleWatch


def test_silence_is_a_stall_and_then_a_loss() -> None:
    watch = FlowWatch()
    looks = [watch.look(10.0, 10.0 + silence) for silence in (0.1, 1.4, 1.6, 2.0, 4.6, 9.0)]
    assert looks == [None, None, Flow.STALLED, None, Flow.LOST, None]
    assert watch.look(20.0, 20.1) is Flow.FLOWING
    assert watch.stalls == 1


def test_before_the_first_frame_nothing_has_stalled() -> None:
    assert FlowWatch().look(None, 1e6) is None


def test_the_figures_promised_are_kept() -> None:
    assert STALLED_S <= 2
    assert LOST_S <= 5


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_an_unused_session_stops_exactly_when_its_time_is_up(steps: list[float]) -> None:
    watch, now = IdleWatch(60.0, 0.0), 0.0
    for step in steps:
        watch.use(now)
        now += step
        assert (watch.left(now) == 0) == (step >= 60.0)


def test_a_warning_comes_once_and_again_after_use() -> None:
    watch = IdleWatch(60.0, 0.0)
    assert watch.warning(60 - WARN_S - 1) is None
    assert watch.warning(60 - WARN_S) == WARN_S
    assert watch.warning(55.0) is None
    watch.use(55.0)
    assert watch.warning(115 - WARN_S) == WARN_S


def test_without_a_timeout_it_never_stops() -> None:
    watch = IdleWatch(None, 0.0)
    assert watch.left(1e9) is None
    assert watch.warning(1e9) is None
