"""Answers of any shape are understood, bounded, and harmless."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.contract.responses import (
    ClientToken,
    ClientTokenAnswer,
    Job,
    JobResult,
    ResultBytes,
    check_id,
    parse_error,
    valid_id,
)
from decart_lab.errors import InvalidInputError


def test_fastapi_details_become_one_line_that_names_the_fields():
    body = parse_error(
        b'{"detail":[{"loc":["body","prompt"],"msg":"Field required","type":"missing"},'
        b'{"loc":["body","seed"],"msg":"too big","type":"less_than"}]}'
    )
    assert body.message == "prompt: Field required; seed: too big"
    assert body.fields == ("prompt", "seed")
    assert body.type == "missing"


def test_problem_json_becomes_its_detail_and_the_last_word_of_its_type():
    body = parse_error(
        b'{"type":"https://api.decart.ai/errors/moderation-rejected","title":"Refused",'
        b'"detail":"The prompt was refused.","status":422}'
    )
    assert (body.message, body.type) == ("The prompt was refused.", "moderation-rejected")
    assert body.moderated


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"detail":"nope"}', "nope"),
        (b'{"error":"no credits left"}', "no credits left"),
        (b"plain text", "plain text"),
        (b"", ""),
        (b"[1, 2]", "[1, 2]"),
        (b'{"detail": 5}', '{"detail": 5}'),
        (b"\xff\xfe\x00bad", "\ufffd\ufffd bad"),
        (b"two\r\nlines\x1b[31m", "two lines [31m"),
    ],
)
def test_a_body_of_any_other_shape_becomes_one_printable_line(raw, message):
    assert parse_error(raw).message == message


@given(st.binary(max_size=3000))
def test_no_error_body_raises_or_grows_without_bound(raw):
    body = parse_error(raw)
    assert len(body.message) <= 500
    assert body.message.isprintable() or not body.message


@pytest.mark.parametrize(
    "bad", ["", ".", "..", "a/b", "../x", "a..b", "a?b", "a#b", "a%2fb", "a b", "a\n", "x" * 201, 5]
)
def test_an_id_that_could_change_the_route_is_refused(bad):
    assert not valid_id(bad)
    with pytest.raises(InvalidInputError, match="not an id"):
        check_id(bad)


@pytest.mark.parametrize("good", ["job_1", "file_9f-A.b", "rs_abc123", "0"])
def test_an_ordinary_id_passes(good):
    assert check_id(good) == good


def test_an_unknown_job_state_is_kept_verbatim_and_is_not_final():
    job = Job.model_validate({"job_id": "j", "status": "warming_up", "eta": 3})
    assert (job.status, job.final) == ("warming_up", False)
    assert Job(job_id="j", status="failed").final


def test_result_bytes_answer_to_both_documented_forms():
    data = ResultBytes(b"abc")
    assert data == b"abc" == data.data
    assert "abc" not in repr(data)


def test_a_job_result_shows_its_reason():
    assert "no luck" in repr(JobResult("failed", "j", error="no luck"))


def test_a_client_token_never_shows_or_pickles_its_secrets():
    answer = ClientTokenAnswer.model_validate(
        {"apiKey": "ek_SECRET", "token": "ey.SECRET.x", "expiresAt": "2026-11-21T00:00:00Z"}
    )
    token = ClientToken(answer.api_key, answer.token, answer.expires_at)
    assert "SECRET" not in repr(token) + str(token)
    with pytest.raises(TypeError):
        vars(token)
    with pytest.raises(TypeError):
        pickle.dumps(token)
