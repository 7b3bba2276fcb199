"""Settings: argument, then environment, then default; and a key that never shows."""

import copy
import json
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab import config
from decart_lab.config import Secret, check_url, resolve_api_key, resolve_proxy, user_agent
from decart_lab.errors import InvalidAPIKeyError, InvalidBaseURLError, InvalidInputError

KEY = "dct_CANARY_5e9a"


@given(st.text(min_size=8).filter(lambda s: s.strip("*") and s not in "Secret('***')"))
def test_a_secret_shows_in_no_form(value):
    secret = Secret(value)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:>40}",
        str.format("{}", secret),
    ]
    assert all(value not in text for text in shown)
    assert secret.reveal() == value


def test_a_secret_has_no_dict_and_refuses_pickle_copy_and_json():
    secret = Secret(KEY)
    with pytest.raises(TypeError):
        vars(secret)
    for act in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            act(secret)


def test_a_secret_does_not_show_in_a_traceback_that_prints_locals():
    secret = Secret(KEY)
    try:
        raise RuntimeError(f"with {secret!r}")
    except RuntimeError as error:
        shown = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    assert "Secret('***')" in shown
    assert secret.reveal() not in shown.replace(f"KEY = {KEY!r}", "")


def test_secrets_compare_by_value_without_showing_it():
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY)}) == 1


def test_an_argument_beats_the_environment(monkeypatch):
    monkeypatch.setenv("DECART_API_KEY", "from-env")
    assert resolve_api_key("given") == Secret("given")
    assert resolve_api_key(None) == Secret("from-env")
    monkeypatch.setenv("DECART_API_KEY", "  ")
    assert resolve_api_key(None) is None


@pytest.mark.parametrize("bad", ["", "  ", "two words", "new\nline", "caf\u00e9"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(bad):
    with pytest.raises(InvalidAPIKeyError) as caught:
        resolve_api_key(bad)
    assert not bad.strip() or bad not in str(caught.value)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "api.decart.ai",
        "ftp://x",
        "https://",
        "https://u:p@h",
        "https://h?q=1",
        "https://h#f",
        None,
    ],
)
def test_an_address_that_is_not_absolute_and_bare_is_refused(bad):
    with pytest.raises(InvalidBaseURLError) as caught:
        check_url(bad, field="base_url")
    assert "u:p" not in str(caught.value)


def test_a_trailing_slash_is_dropped():
    assert check_url("https://api.decart.ai/", field="base_url") == "https://api.decart.ai"


def test_a_proxy_path_needs_a_known_jupyter_server(monkeypatch):
    monkeypatch.delenv("JUPYTER_SERVER_URL", raising=False)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    with pytest.raises(InvalidBaseURLError, match="not known"):
        resolve_proxy("/api/decart")
    monkeypatch.setenv("JUPYTER_SERVER_URL", "http://127.0.0.1:8888/user/ada/")
    assert resolve_proxy("/api/decart") == "http://127.0.0.1:8888/user/ada/api/decart"
    with pytest.raises(InvalidBaseURLError):
        resolve_proxy("//evil.example/api")


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ('{"url": "http://127.0.0.1:8889/lab/"}', "http://127.0.0.1:8889/lab/api/decart"),
        ('{"url": 5}', None),
        ("{", None),
        ("[]", None),
        (None, None),
    ],
)
def test_a_proxy_path_is_taken_on_the_server_that_started_the_kernel(
    monkeypatch, tmp_path, written, found
):
    monkeypatch.delenv("JUPYTER_SERVER_URL", raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    if written is not None:
        (tmp_path / "jpserver-4711.json").write_text(written)
    if found is not None:
        assert resolve_proxy("/api/decart") == found
    else:
        with pytest.raises(InvalidBaseURLError, match="not known"):
            resolve_proxy("/api/decart")


def test_the_user_agent_names_us_and_the_integration():
    assert user_agent() == f"decart-lab/{config.version()} lang/py"
    assert user_agent("course/1.0").endswith(" lang/py course/1.0")


@pytest.mark.parametrize("bad", ["a\r\nX-Evil: 1", "é", "x" * 201])
def test_an_integration_cannot_break_out_of_the_header(bad):
    with pytest.raises(InvalidInputError, match="integration"):
        user_agent(bad)


def test_the_confirmation_limit_is_a_number(monkeypatch):
    assert config.confirm_usd() == 5.0
    monkeypatch.setenv("DECART_LAB_CONFIRM_USD", "12.5")
    assert config.confirm_usd() == 12.5
    monkeypatch.setenv("DECART_LAB_CONFIRM_USD", "lots")
    with pytest.raises(InvalidInputError, match="lots"):
        config.confirm_usd()
