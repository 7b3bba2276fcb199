"""The record of a run, and what failures mean for money."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from decart_lab.contract.states import PointStatus
from decart_lab.errors import (
    AuthError,
    CreditsError,
    DeadlineError,
    InvalidInputError,
    JobFailedError,
    NetworkError,
    QueueSubmitError,
    RateLimitError,
    ServerError,
    StoreError,
    combined,
)
from decart_lab.sweep._memory import Journal
from decart_lab.sweep.table import attempts_frame, events_frame
from decart_lab.sweep.verdict import error_columns, hopeless, verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def journal(*ids):
    made = Journal()
    made.plan(({"point_id": i, "kind": "image", "status": PointStatus.PLANNED} for i in ids), NOW)
    return made


def test_points_are_a_view_of_the_events():
    it = journal("a", "b")
    it.record("intent", "a", NOW, status=PointStatus.SUBMITTING, attempt=1)
    it.record("done", "a", NOW, status=PointStatus.COMPLETED, cost=0.02)
    it.record("intent", "b", NOW, status=PointStatus.SUBMITTING, attempt=1)
    tally = it.tally()
    assert (tally.total, tally.done, tally.failed, tally.running, tally.cost) == (2, 1, 0, 1, 0.02)
    assert it.row("a")["status"] == "completed"
    assert it.row("a")["kind"] == "image"
    frame = events_frame(it.events())
    assert frame["status"].tolist()[-1] == "submitting"
    assert frame["kind"].tolist() == ["planned", "planned", "intent", "done", "intent"]
    assert attempts_frame(it.rows()).index.tolist() == ["a", "b"]
    assert events_frame([]).dtypes.astype(str)["detail"] == "string"


def test_an_impossible_change_of_state_is_a_bug_and_changes_nothing():
    it = journal("a")
    it.record("intent", "a", NOW, status=PointStatus.SUBMITTING)
    it.record("done", "a", NOW, status=PointStatus.COMPLETED)
    with pytest.raises(AssertionError):
        it.record("intent", "a", NOW, status=PointStatus.SUBMITTING)
    assert it.row("a")["status"] == "completed"
    assert len(it.events()) == 3


def test_rows_are_copies_that_nobody_can_spoil():
    it = journal("a")
    it.rows()[0]["status"] = "nonsense"
    assert it.row("a")["status"] == "planned"


@pytest.mark.parametrize(
    ("error", "phase", "status"),
    [
        (NetworkError("x", sent="all"), "submit", "in_doubt"),
        (NetworkError("x", sent="partial"), "upload", "failed"),
        (NetworkError("x", sent="partial", response_started=True), "upload", "in_doubt"),
        (DeadlineError("x", sent="all"), "submit", "in_doubt"),
        (RateLimitError("x", status=429), "submit", "failed"),
        (ServerError("x", status=503, retry_after_s=2.0), "submit", "failed"),
        (ServerError("x", status=503), "submit", "in_doubt"),
        (ValueError("x"), "submit", "in_doubt"),
        (ValueError("x"), "prepare", "failed"),
        (StoreError("x"), "submit", "failed"),
        (InvalidInputError("x"), "upload", "failed"),
        (JobFailedError("x"), "poll", "failed"),
        (NetworkError("x", sent="all"), "download", "failed"),
        (StoreError("x"), "store", "failed"),
    ],
)
def test_only_what_is_certainly_not_sent_counts_as_not_bought(error, phase, status):
    assert verdict(error, phase) == status


def test_only_the_key_and_the_credits_are_reasons_to_give_up_on_the_rest():
    assert hopeless(AuthError("x", status=401))
    assert hopeless(combined(QueueSubmitError, CreditsError)("x", status=403))
    assert not hopeless(AuthError("x", status=403))
    assert not hopeless(ServerError("x", status=500))


def test_error_columns_name_the_cause_and_are_bounded_lines():
    error = combined(QueueSubmitError, RateLimitError)("line\nbreak " * 400, status=429)
    columns = error_columns(error, "submit")
    assert columns["error_type"] == "RateLimitError"
    assert columns["http_status"] == 429
    assert len(columns["error_message"]) == 500
    assert "\n" not in columns["error_message"]
    assert error_columns(KeyError(), "store")["error_message"] == "KeyError"
