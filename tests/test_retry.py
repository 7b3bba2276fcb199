"""What may be repeated, when, and for how long."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab._clock import ManualClock
from decart_lab._retry import MAX_RETRY_AFTER_S, Policy, may_repeat, parse_retry_after, repeat
from decart_lab._retry import wait_s as wait_before
from decart_lab.errors import (
    AuthError,
    DeadlineError,
    NetworkError,
    QueueStatusError,
    RateLimitError,
    RejectedError,
    ServerError,
    combined,
)

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.integers(0, 10**7))
def test_retry_after_in_seconds_is_taken_as_it_is(seconds):
    assert parse_retry_after(str(seconds), None, NOW) == float(seconds)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**7), 10**7))
def test_a_date_is_measured_against_the_servers_own_clock(seconds, skew):
    server = NOW + timedelta(seconds=skew)
    then = format_datetime(server + timedelta(seconds=seconds), usegmt=True)
    date = format_datetime(server, usegmt=True)
    assert parse_retry_after(then, date, NOW) == max(0.0, float(seconds))


@given(st.text(max_size=40))
def test_any_text_at_all_is_a_wait_of_no_less_than_nothing_or_none(text):
    wait = parse_retry_after(text, text, NOW)
    assert wait is None or wait >= 0


@pytest.mark.parametrize("value", ["-5", "inf", "nan", "1e9", "soon", "", "٣"])
def test_nonsense_in_retry_after_is_ignored(value):
    assert parse_retry_after(value, None, NOW) is None


@pytest.mark.parametrize(
    ("error", "reading", "once"),
    [
        (NetworkError("x", sent="none"), True, True),
        (NetworkError("x", sent="partial"), True, True),
        (NetworkError("x", sent="all"), True, False),
        (NetworkError("x", sent="partial", response_started=True), True, False),
        (NetworkError("x", sent="all", response_started=True), True, False),
        (DeadlineError("x", sent="none"), False, False),
        (RateLimitError("x", status=429), True, True),
        (ServerError("x", status=503, retry_after_s=1.0), True, True),
        (ServerError("x", status=503), True, False),
        (ServerError("x", status=500, retry_after_s=1.0), True, False),
        (ServerError("x", status=502), True, False),
        (ServerError("x", status=504), True, False),
        (ServerError("x", status=501), False, False),
        (ServerError("x", status=408), True, False),
        (RejectedError("x", status=422), False, False),
        (RejectedError("x", status=409), False, False),
        (AuthError("x", status=401), False, False),
    ],
)
def test_what_costs_money_is_repeated_only_when_it_was_surely_not_taken(error, reading, once):
    assert may_repeat(error, once=False) is reading
    assert may_repeat(error, once=True) is once
    both = combined(QueueStatusError, type(error))
    facts = {"status": error.status, "retry_after_s": error.retry_after_s}
    if isinstance(error, NetworkError):
        facts |= {"sent": error.sent, "response_started": error.response_started}
    assert may_repeat(both("x", **facts), once=True) is once


@given(st.integers(1, 50), st.integers(0, 2**32), st.floats(0.01, 10), st.floats(0.01, 60))
def test_waits_without_retry_after_stay_under_the_growing_and_capped_bound(tries, seed, base, cap):
    policy = Policy(attempts=100, base_s=base, cap_s=cap)
    dice = random.Random(seed)
    wait = wait_before(NetworkError("x"), tries, policy, once=False, dice=dice)
    assert wait is not None
    assert 0 <= wait <= min(cap, base * 2 ** (tries - 1)) + 1e-9


@given(st.floats(0, 2 * MAX_RETRY_AFTER_S))
def test_retry_after_is_a_lower_bound_and_absurd_ones_end_the_trying(asked):
    error = RateLimitError("x", status=429, retry_after_s=asked)
    wait = wait_before(error, 1, Policy(), once=True, dice=random.Random(0))
    assert (wait is None) == (asked > MAX_RETRY_AFTER_S)
    assert wait is None or wait >= asked


async def run(outcomes, *, once=False, total_s=60.0, policy=None, clock=None):
    """Repeat a call that ends in the outcomes in turn; returns result or error, and the tries."""
    import asyncio

    clock = clock or ManualClock()
    left = list(outcomes)
    remaining = []

    async def attempt(seconds):
        remaining.append(seconds)
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    task = asyncio.ensure_future(
        repeat(
            attempt,
            policy=policy or Policy(),
            once=once,
            total_s=total_s,
            clock=clock,
            dice=random.Random(1),
        )
    )
    for _ in range(200):
        if task.done():
            break
        await clock.advance(0.5)
    try:
        return await task, remaining
    except Exception as error:  # noqa: BLE001 - handed to the test
        return error, remaining


async def test_a_reading_call_is_repeated_until_it_is_answered():
    error = ServerError("x", status=503)
    result, tries = await run([error, NetworkError("x", sent="all"), "answer"])
    assert result == "answer"
    assert len(tries) == 3


async def test_it_gives_up_after_the_policys_attempts_with_the_last_error():
    errors = [ServerError(str(n), status=500) for n in range(9)]
    result, tries = await run(errors, policy=Policy(attempts=3))
    assert result is errors[2]
    assert len(tries) == 3


async def test_a_wait_beyond_the_calls_own_time_is_not_begun():
    error = RateLimitError("x", status=429, retry_after_s=100.0)
    result, tries = await run([error, "answer"], total_s=60.0)
    assert result is error
    assert len(tries) == 1


async def test_each_try_is_told_the_time_that_is_left():
    error = RateLimitError("x", status=429, retry_after_s=10.0)
    result, tries = await run([error, "answer"], total_s=60.0)
    assert result == "answer"
    assert tries[0] == 60.0
    assert tries[1] <= 50.0


async def test_a_paid_call_that_was_sent_whole_is_made_exactly_once():
    error = NetworkError("x", sent="all")
    result, tries = await run([error, "bought twice"], once=True)
    assert result is error
    assert len(tries) == 1
