"""What a failed purchase means for money: by evidence, never by the class of an exception."""

from __future__ import annotations

import pytest

from decart_lab.errors import (
    AuthError,
    CreditsError,
    DeadlineError,
    InvalidInputError,
    ModerationError,
    NetworkError,
    NotFoundError,
    QueueSubmitError,
    RateLimitError,
    RejectedError,
    ResponseError,
    ServerError,
    StoreError,
    combined,
)
from decart_lab.sweep.verdict import error_columns, fate, pauses


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (NetworkError("x", sent="none"), "never sent"),
        (NetworkError("x", sent="partial"), "never sent"),
        (NetworkError("x", sent="partial", response_started=True), "unknown"),
        (NetworkError("x", sent="all"), "unknown"),
        (DeadlineError("x", sent="all"), "unknown"),
        (DeadlineError("x", sent="none"), "never sent"),
        (RateLimitError("x", status=429), "refused"),
        (ServerError("x", status=408), "refused"),
        (ServerError("x", status=503, retry_after_s=2.0), "refused"),
        (ServerError("x", status=503, retry_after_s=0.0), "refused"),
        (ServerError("x", status=503), "unknown"),
        (ServerError("x", status=500), "unknown"),
        (ServerError("x", status=502), "unknown"),
        (ServerError("x", status=504, retry_after_s=2.0), "unknown"),
        (RejectedError("x", status=409), "unknown"),
        (RejectedError("x", status=418), "unknown"),
        (RejectedError("x", status=400), "rejected"),
        (RejectedError("x", status=413), "rejected"),
        (RejectedError("x", status=422), "rejected"),
        (ModerationError("x", status=403), "rejected"),
        (NotFoundError("x", status=404), "rejected"),
        (ResponseError("x", status=307), "rejected"),
        (AuthError("x", status=401), "paused"),
        (AuthError("x", status=403), "paused"),
        (CreditsError("x", status=402), "paused"),
        (combined(QueueSubmitError, CreditsError)("x", status=403), "paused"),
        (ResponseError("x", status=200), "unknown"),
        (InvalidInputError("x"), "broken"),
        (StoreError("x"), "broken"),
        (ValueError("x"), "unknown"),
    ],
)
def test_only_what_is_certainly_not_taken_may_be_sent_again(error, what):
    assert fate(error) == what


@pytest.mark.parametrize("error", [StoreError("the disk is full"), InvalidInputError("gone")])
def test_an_error_of_ours_after_the_whole_request_was_sent_proves_nothing(error):
    assert fate(error, sent=True) == "unknown"


def test_only_what_is_about_the_account_pauses_a_run():
    assert pauses(AuthError("x", status=401))
    assert pauses(combined(QueueSubmitError, CreditsError)("x", status=402))
    assert not pauses(ServerError("x", status=500))
    assert not pauses(ModerationError("x", status=403))


def test_error_columns_name_the_cause_and_are_bounded_lines():
    error = combined(QueueSubmitError, RateLimitError)("line\nbreak " * 400, status=429)
    columns = error_columns(error, "submit")
    assert columns["error_type"] == "RateLimitError"
    assert columns["http_status"] == 429
    assert len(columns["error_message"]) == 500
    assert "\n" not in columns["error_message"]
    assert error_columns(KeyError(), "store")["error_message"] == "KeyError"
