"""Keys are content, and they are for ever: the golden values here may never change."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.sweep.identity import canonical_json, new_run_id, point_id, request_key

GOLDEN = request_key(
    "emulator",
    "lucy-image-2",
    {"prompt": "café, 墨", "seed": "7", "enhance_prompt": "false"},
    {"data": "ab" * 32},
)


def test_the_golden_keys_have_not_moved():
    assert GOLDEN == "f6d0a323a25c00acd594f48c4791b342cf3cd5719f03802eea82e808822d23a8"
    assert [point_id(GOLDEN, 0), point_id(GOLDEN, 1), point_id(GOLDEN, 0, 1)] == [
        "0848219309216908",
        "3cf7e4e37607a347",
        "d96cd4729e6a27ea",
    ]


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5), st.randoms())
def test_order_does_not_matter(fields, dice):
    shuffled = list(fields.items())
    dice.shuffle(shuffled)
    assert request_key("s", "m", fields, {}) == request_key("s", "m", dict(shuffled), {})


@pytest.mark.parametrize(
    "other",
    [
        ("decart", "m", {"a": "1"}, {"data": "x"}),
        ("s", "n", {"a": "1"}, {"data": "x"}),
        ("s", "m", {"a": "2"}, {"data": "x"}),
        ("s", "m", {"a": "1", "b": ""}, {"data": "x"}),
        ("s", "m", {"a": "1"}, {"data": "y"}),
        ("s", "m", {"a": "1"}, {"reference_image": "x"}),
        ("s", "m", {"a": "1", "data": "x"}, {}),
    ],
)
def test_everything_that_is_sent_counts(other):
    assert request_key("s", "m", {"a": "1"}, {"data": "x"}) != request_key(*other)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_canonical_json_is_json(value):
    assert json.loads(canonical_json(value)) == value


def test_run_ids_sort_by_time_and_do_not_repeat():
    early, late = datetime(2026, 1, 2, 3, tzinfo=UTC), datetime(2026, 1, 2, 4, tzinfo=UTC)
    assert new_run_id(early) < new_run_id(late)
    assert new_run_id(early) != new_run_id(early)
