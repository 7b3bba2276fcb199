"""Every status of the contract as an error of the tree, from either body format."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab import errors
from decart_lab.contract.failures import failure, request_id
from decart_lab.errors import DecartSDKError, QueueSubmitError, ResponseError

CASES = [
    (301, b"", "ResponseError"),
    (400, b'{"detail": "malformed"}', "RejectedError"),
    (401, b'{"detail": "Invalid API key"}', "AuthError"),
    (402, b'{"detail": "Payment required"}', "CreditsError"),
    (403, b'{"detail": "Insufficient credits"}', "CreditsError"),
    (403, b'{"detail": "no"}', "AuthError"),
    (404, b'{"detail": "Job not found"}', "NotFoundError"),
    (405, b"", "RejectedError"),
    (408, b"", "ServerError"),
    (409, b'{"error": "not ready"}', "RejectedError"),
    (410, b"", "NotFoundError"),
    (412, b"", "RejectedError"),
    (413, b"too large", "RejectedError"),
    (415, b"", "RejectedError"),
    (418, b"", "RejectedError"),
    (422, b'{"detail": [{"loc": ["body", "prompt"], "msg": "Field required"}]}', "RejectedError"),
    (422, b'{"type": "https://api.decart.ai/errors/moderation-rejected"}', "ModerationError"),
    (422, b'{"detail": "Content moderation: violence"}', "ModerationError"),
    (428, b"", "RejectedError"),
    (429, b"slow down", "RateLimitError"),
    (500, b"<html>oops</html>", "ServerError"),
    (501, b"", "ServerError"),
    (502, b"", "ServerError"),
    (503, b'{"detail": "busy"}', "ServerError"),
    (504, b"", "ServerError"),
    (599, b"", "ServerError"),
]


@pytest.mark.parametrize(("status", "body", "cause"), CASES)
def test_a_status_becomes_the_operation_and_the_cause_in_one(status, body, cause):
    error = failure(QueueSubmitError, "Submitting to lucy-2.1", status, {}, body)
    assert isinstance(error, QueueSubmitError)
    assert isinstance(error, getattr(errors, cause))
    assert error.code == "QUEUE_SUBMIT_ERROR"
    assert error.status == error.data["status"] == status
    assert error.message.startswith(f"Submitting to lucy-2.1 failed with status {status}")


def test_fastapi_details_name_the_fields():
    detail = [
        {"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"},
        {"loc": ["body", "seed"], "msg": "too large", "type": "less_than_equal"},
    ]
    body = json.dumps({"detail": detail}).encode()
    error = failure(QueueSubmitError, "Submitting", 422, {}, body)
    assert "prompt: Field required; seed: too large" in error.message
    assert error.data["fields"] == ["prompt", "seed"]


def test_problem_json_is_understood_as_well():
    body = json.dumps(
        {
            "type": "https://api.decart.ai/errors/invalid-sdp",
            "title": "Invalid SDP",
            "detail": "no ice-ufrag",
            "status": 400,
        }
    ).encode()
    assert "no ice-ufrag" in failure(QueueSubmitError, "Submitting", 400, {}, body).message


def test_a_redirect_names_the_host_it_leads_to_and_nothing_more():
    headers = {"location": "https://other.example.com/x?token=secret&key=dct_0123456789"}
    error = failure(QueueSubmitError, "Submitting", 307, headers, b"")
    assert "other.example.com" in error.message
    assert "secret" not in str(error)
    assert "base_url" in error.hint


def test_the_hint_of_the_operation_comes_before_the_hint_of_the_status():
    error = failure(QueueSubmitError, "x", 404, {}, b"", hint="Wait for it.")
    assert error.hint == "Wait for it."


def test_retry_after_request_id_and_job_id_are_carried():
    error = failure(
        QueueSubmitError,
        "x",
        503,
        {"x-request-id": "req_1"},
        b"",
        retry_after_s=3.0,
        job_id="job_1",
    )
    assert (error.retry_after_s, error.request_id, error.job_id) == (3.0, "req_1", "job_1")


@pytest.mark.parametrize("value", ["", "a b", "x" * 201, "é", "a\x1b[0m"])
def test_a_request_id_that_could_not_be_quoted_is_dropped(value):
    assert request_id({"x-request-id": value}) is None


@given(
    st.integers(300, 599),
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["location", "x-request-id"]), st.text(max_size=60)),
)
def test_no_answer_is_too_strange_to_become_one_printable_sentence(status, body, headers):
    error = failure(QueueSubmitError, "Submitting", status, headers, body)
    assert isinstance(error, DecartSDKError)
    assert error.message.isprintable()
    assert len(error.message) < 800
    assert (status >= 400) != isinstance(error, ResponseError)
