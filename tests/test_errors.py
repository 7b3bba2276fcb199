"""The error tree: both halves of a failure can be caught, and none shows a secret."""

import inspect
import pickle
import re

import pytest

from decart_lab import errors
from decart_lab.errors import (
    DeadlineError,
    DecartSDKError,
    InvalidInputError,
    ModerationError,
    NetworkError,
    ProcessingError,
    QueueSubmitError,
    RateLimitError,
    RejectedError,
    combined,
)

CLASSES = [
    item
    for _, item in inspect.getmembers(errors, inspect.isclass)
    if issubclass(item, DecartSDKError)
]


def test_every_class_is_public_and_drawn_in_the_tree_at_the_top():
    assert {c.__name__ for c in CLASSES} == set(errors.__all__) - {"combined"}
    drawn = set(re.findall(r"\w+Error", errors.__doc__ or ""))
    assert {c.__name__ for c in CLASSES} <= drawn


def test_a_failed_call_is_caught_by_its_operation_and_by_its_cause():
    error = combined(QueueSubmitError, RateLimitError)("Slow down.", status=429, retry_after_s=2)
    assert isinstance(error, QueueSubmitError)
    assert isinstance(error, RateLimitError)
    assert error.code == "QUEUE_SUBMIT_ERROR"
    assert error.data["status"] == 429
    assert "concurrency" in str(error)


def test_a_deadline_is_also_the_builtin_timeout_and_keeps_what_was_sent():
    error = combined(ProcessingError, DeadlineError)("Too slow.", sent="all", response_started=True)
    assert isinstance(error, TimeoutError)
    assert (error.sent, error.response_started) == ("all", True)


def test_the_same_two_halves_make_the_same_class():
    assert combined(ProcessingError, NetworkError) is combined(ProcessingError, NetworkError)
    assert combined(RejectedError, ModerationError) is ModerationError


def test_bad_input_is_also_a_value_error_and_names_its_field():
    error = InvalidInputError("No.", field="seed")
    assert isinstance(error, ValueError)
    assert error.data == {"field": "seed"}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_every_error_shows_its_message_then_its_hint(cls):
    error = cls("It broke.", hint="Mend it.")
    assert str(error) == "It broke. Mend it."
    assert repr(error) == f"{cls.__name__}('It broke.')"


def test_an_error_survives_a_trip_between_processes():
    error = pickle.loads(pickle.dumps(InvalidInputError("No.", field="seed", hint="Yes.")))
    assert (error.message, error.field, error.hint) == ("No.", "seed", "Yes.")
