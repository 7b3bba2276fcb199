"""When a session connects again, and when it is over for good."""

from __future__ import annotations

import pytest

from decart_lab.contract.realtime import EndReason
from decart_lab.errors import (
    AuthError,
    CreditsError,
    DecartSDKError,
    ModerationError,
    NetworkError,
    NotFoundError,
    ServerError,
    SessionClosedError,
    WebRTCError,
    combined,
)
from decart_lab.realtime.policy import NEVER, Reconnect, permanent, wait_before


@pytest.mark.parametrize("cause", [AuthError, CreditsError, ModerationError, NotFoundError])
def test_what_another_try_cannot_change_is_permanent(cause: type[DecartSDKError]) -> None:
    assert permanent(combined(WebRTCError, cause)("no", status=400))


@pytest.mark.parametrize("cause", [NetworkError, ServerError, WebRTCError])
def test_what_may_pass_is_tried_again(cause: type[DecartSDKError]) -> None:
    assert not permanent(combined(WebRTCError, cause)("not now"))


@pytest.mark.parametrize(
    ("reason", "final"),
    [
        (EndReason.ICE_FAILURE, False),
        (EndReason.ERROR, False),
        ("", False),  # nobody said why: the connection was lost
        (EndReason.TIMEOUT, True),
        (EndReason.MODERATION_VIOLATION, True),
        (EndReason.INSUFFICIENT_CREDITS, True),
        (EndReason.DISCONNECT, True),
        ("a word nobody knows", True),
    ],
)
def test_only_faults_of_the_network_are_survived(reason: str, final: bool) -> None:
    assert permanent(SessionClosedError("over", reason=reason)) is final


@pytest.mark.parametrize("said", ["Invalid API key", "401 Unauthorized", "permission denied"])
def test_words_without_a_status_are_understood(said: str) -> None:
    assert permanent(WebRTCError(said))


def test_waits_double_up_to_the_cap_and_end() -> None:
    lost, policy = NetworkError("lost"), Reconnect(attempts=5)
    assert [wait_before(lost, tries, policy) for tries in range(6)] == [1, 2, 4, 8, 10, None]


def test_a_busy_service_is_given_the_time_it_asks_for() -> None:
    busy = combined(WebRTCError, ServerError)("busy", status=503, retry_after_s=7.0)
    assert wait_before(busy, 0, Reconnect()) == 7.0


def test_nothing_is_tried_when_reconnecting_is_off() -> None:
    assert wait_before(NetworkError("lost"), 0, NEVER) is None
