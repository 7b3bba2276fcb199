"""Glass to glass: marks that come back tell how long they took."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from decart_lab.realtime.latency import LATEST_S, SENT_KEPT, WINDOW, Latency


@given(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=WINDOW))
def test_percentiles_are_those_of_the_frames(ways: list[float]) -> None:
    latency = Latency()
    for counter, way in enumerate(ways):
        latency.sent(counter, 100.0)
        latency.returned(counter, 100.0 + way)
    times = sorted((100.0 + way - 100.0) * 1e3 for way in ways)
    assert latency.percentile(1.0) == times[-1]
    assert latency.percentile(0.5) == times[math.ceil(len(times) / 2) - 1]


def test_marks_that_cannot_be_read_lower_the_rate_and_no_figure() -> None:
    latency = Latency()
    latency.sent(1, 0.0)
    assert latency.returned(1, 0.1) == 100.0
    assert math.isnan(latency.returned(None, 0.2))
    assert math.isnan(latency.returned(99, 0.2))  # never sent: a misread mark
    assert latency.rate == 1 / 3
    assert latency.percentile(0.95) == 100.0


def test_a_mark_from_long_ago_is_a_misread_one() -> None:
    latency = Latency()
    latency.sent(1, 0.0)
    assert math.isnan(latency.returned(1, LATEST_S + 1))


def test_counters_come_round_and_the_newest_counts() -> None:
    latency = Latency()
    latency.sent(1, 0.0)
    latency.sent(1, 5.0)
    assert latency.returned(1, 5.05) == (5.05 - 5.0) * 1e3


def test_frames_that_never_return_are_forgotten() -> None:
    latency = Latency()
    for counter in range(SENT_KEPT * 2):
        latency.sent(counter, 0.0)
    assert math.isnan(latency.returned(0, 0.1))


def test_nothing_is_known_before_the_first_frame() -> None:
    latency = Latency()
    assert math.isnan(latency.rate)
    assert math.isnan(latency.percentile(0.5))
