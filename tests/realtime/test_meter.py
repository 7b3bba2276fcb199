"""The meter: what a session has cost, and when it must stop."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.errors import InvalidInputError
from decart_lab.realtime.meter import Meter

counts = st.lists(st.floats(0, 1000), max_size=20)


@given(st.lists(counts, max_size=4))
def test_seconds_never_go_down_and_add_up_over_sessions(sessions: list[list[float]]) -> None:
    meter, highest = Meter(0.02), 0.0
    for ticks in sessions:
        for tick in ticks:
            meter.told(tick, 0.0)
            assert meter.seconds >= highest
            highest = meter.seconds
        meter.over()
        assert meter.seconds == highest
    assert meter.seconds == pytest.approx(sum(max(ticks, default=0.0) for ticks in sessions))


def test_the_summary_is_what_counts_in_the_end() -> None:
    meter = Meter(0.02)
    meter.told(10.0, 0.0)
    meter.over(12.0)
    assert (meter.seconds, meter.cost) == (12.0, 0.24)


def test_a_summary_that_forgets_seconds_is_flagged_and_not_believed() -> None:
    meter = Meter(0.02)
    meter.told(10.0, 0.0)
    meter.over(3.0)
    assert meter.seconds == 10.0
    assert meter.differs


def test_a_tick_that_goes_back_is_flagged_and_not_believed() -> None:
    meter = Meter(0.02)
    meter.told(10.0, 0.0)
    meter.told(4.0, 1.0)
    assert (meter.seconds, meter.differs) == (10.0, True)


def test_the_cap_goes_by_the_time_since_the_last_tick() -> None:
    meter = Meter(0.02, max_seconds=30)
    meter.started(100.0)
    assert meter.left(120.0) == 10.0  # nothing was told yet, and yet it counts
    meter.told(21.0, 120.0)
    assert meter.left(122.0) == 7.0
    assert meter.left(140.0) == 0.0
    assert meter.cap == "max_seconds"


def test_between_two_sessions_nothing_counts() -> None:
    meter = Meter(0.02, max_seconds=30)
    meter.started(0.0)
    meter.told(10.0, 10.0)
    meter.over()
    assert meter.left(1000.0) == 20.0


def test_the_nearer_of_two_caps_stops() -> None:
    meter = Meter(0.02, max_seconds=30, max_cost=0.2)
    meter.started(0.0)
    assert meter.left(0.0) == pytest.approx(10.0)
    assert meter.cap == "max_cost"


def test_an_unknown_price_is_not_a_number_and_takes_no_cost_cap() -> None:
    assert math.isnan(Meter(math.nan).cost)
    with pytest.raises(InvalidInputError, match="price of this model is unknown"):
        Meter(math.nan, max_cost=1.0)


@pytest.mark.parametrize("cap", [0.0, -1.0, math.nan, math.inf])
def test_a_cap_that_caps_nothing_is_refused(cap: float) -> None:
    with pytest.raises(InvalidInputError, match="max_seconds"):
        Meter(0.02, max_seconds=cap)
