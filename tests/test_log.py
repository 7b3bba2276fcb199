"""Loggers of any shape, with secrets masked."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab._log import SafeLogger, create_console_logger, noop_logger, redact
from decart_lab.errors import InvalidInputError

KEYS = [
    "dct_0123456789abcdef",
    "sk-0123456789abcdef",
    "ek_0123456789abcdef",
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", ["{}", "X-API-KEY: {}", "wss://h/v1/stream?api_key={}&model=m"])
def test_whatever_looks_like_a_key_is_masked(key, around):
    assert key not in redact(around.format(key))


@pytest.mark.parametrize("name", ["api_key", "event_token", "token"])
def test_query_values_that_hold_secrets_are_masked_whatever_their_shape(name):
    assert redact(f"GET /x?{name}=plain&model=lucy-2.1") == f"GET /x?{name}=***&model=lucy-2.1"


@given(st.text(max_size=200))
def test_redaction_never_fails_and_settles_at_once(text):
    assert redact(redact(text)) == redact(text)


def test_ordinary_texts_are_left_alone():
    text = "Submitting to lucy-2.1 failed: desk-top, week_end, skiing."
    assert redact(text) == text


class OnlyWarn:
    def __init__(self):
        self.lines = []

    def _take(self, message):
        self.lines.append(message)

    debug = info = warn = error = _take


class OnlyWarning:
    debug = info = error = warning = staticmethod(print)


@pytest.mark.parametrize(
    "logger", [None, noop_logger, logging.getLogger("x"), OnlyWarn(), OnlyWarning()]
)
def test_any_object_with_the_methods_of_a_logger_will_do(logger):
    SafeLogger(logger).debug("hello")


def test_an_object_that_lacks_a_method_is_refused_with_the_fix():
    with pytest.raises(InvalidInputError, match="create_console_logger") as caught:
        SafeLogger(object())
    assert caught.value.field == "logger"


def test_warn_serves_where_there_is_no_warning():
    logger = OnlyWarn()
    SafeLogger(logger).warning("dct_0123456789 is late")
    assert logger.lines == ["*** is late"]


def test_a_logger_that_raises_breaks_nothing(capsys):
    class Broken(OnlyWarn):
        def debug(self, message):
            raise RuntimeError("full")

    SafeLogger(Broken()).debug("hello")
    assert "RuntimeError" in capsys.readouterr().err


def test_the_console_logger_writes_from_its_level_up(capsys):
    logger = create_console_logger("warn")
    logger.info("quiet")
    logger.error("loud, with dct_0123456789")
    assert capsys.readouterr().err == "decart_lab error: loud, with ***\n"


def test_an_unknown_level_is_refused():
    with pytest.raises(InvalidInputError, match="Levels are"):
        create_console_logger("loud")
