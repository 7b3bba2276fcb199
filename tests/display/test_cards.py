"""Summaries: state, money and simulated, told the same way everywhere."""

from __future__ import annotations

from math import nan

from decart_lab.contract.states import PointStatus
from decart_lab.display import cards
from decart_lab.errors import RateLimitError
from tests.helpers.markup import Page


def test_every_state_of_a_point_has_a_shape_and_a_word() -> None:
    for status in PointStatus:
        page = Page("".join(cards.status_counts({status.value: 2})))
        assert page.text.endswith(f"2 {status.value.replace('_', ' ')}")
        assert page.texts[0].strip() not in ("", "·")


def test_a_run_says_where_it_stands_what_it_cost_and_where_it_lies() -> None:
    facts = {
        "run_id": "r1", "folder": "/runs/r1", "counts": {"completed": 2, "pending": 1},
        "cost": 0.04, "unknown_cost": 1, "simulated": True, "state": "running", "elapsed_s": 3.21,
    }  # fmt: skip
    expected = ("3 points", "2 completed", "1 pending", "running", "3.2 s", "/runs/r1",
                "$0.04 and 1 point of unknown price", "simulated by the emulator")  # fmt: skip
    text, page = cards.run_text(facts), Page(cards.run_card(facts))
    assert page.faults == []
    assert all(fact in text and fact in page.text for fact in expected)


def test_an_unknown_cost_is_never_a_number() -> None:
    assert "cost unknown" in cards.run_text({"run_id": "r", "counts": {}, "cost": nan})


def test_a_connection_says_whether_there_is_a_key_and_cannot_say_which() -> None:
    text = cards.lab_text({"url": "http://127.0.0.1:1", "key": True, "simulated": None})
    assert "present" in text
    assert "not known yet" in text


def test_the_models_table_has_a_row_for_each_current_model_and_a_dash_for_unknown_prices() -> None:
    lines = cards.model_lines()
    page = Page(cards.models_table(lines))
    assert page.faults == []
    assert len(page.having("tr")) == len(lines) + 1
    text = cards.models_text(lines)
    assert all(line.name in text for line in lines)
    assert any(line.price == "–" for line in lines)
    assert any(line.price == "$0.04 a second" for line in lines)


def test_legacy_models_name_their_successor() -> None:
    words = {line.name: line.status for line in cards.model_lines(None)}
    assert words["lucy-pro-t2v"] == "legacy, use lucy-2.1"


def test_an_error_is_told_with_what_to_do_and_ids_to_quote() -> None:
    error = RateLimitError("Too many jobs.", request_id="req-1", job_id="job-1")
    lines = cards.error_text(error).splitlines()
    assert lines == [
        "RateLimitError: Too many jobs.", "Wait, or lower concurrency=.", "Job job-1",
        "Request req-1",
    ]  # fmt: skip
    assert "req-1" in Page(cards.error_card(error)).text
