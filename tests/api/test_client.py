"""The client's configuration: whole, checked, and silent about its key."""

from __future__ import annotations

import pytest

from decart_lab import DecartClient, create_decart_client
from decart_lab.errors import (
    InvalidAPIKeyError,
    InvalidBaseURLError,
    InvalidInputError,
)

from ..helpers.serve import read_request, serve_raw

KEY = "dct_0123456789abcdef"


def test_without_a_key_the_error_names_the_emulator():
    with pytest.raises(InvalidAPIKeyError, match="emulator"):
        DecartClient()


def test_the_key_comes_from_the_environment_when_none_is_given(monkeypatch):
    monkeypatch.setenv("DECART_API_KEY", f"  {KEY}\n")
    assert repr(DecartClient()) == "<DecartClient https://api.decart.ai, key set>"


@pytest.mark.parametrize("key", ["", "  ", "a b", "ké", "a\nb"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(key):
    with pytest.raises(InvalidAPIKeyError) as caught:
        DecartClient(key)
    if key.strip():
        assert key not in str(caught.value)


def test_proxy_and_key_exclude_each_other():
    with pytest.raises(InvalidInputError) as caught:
        DecartClient(KEY, proxy="https://example.com/api/decart")
    assert caught.value.field == "proxy"


def test_a_proxy_path_is_taken_on_the_jupyter_server_when_that_is_known(monkeypatch):
    with pytest.raises(InvalidBaseURLError, match="not known"):
        DecartClient(proxy="/api/decart")
    monkeypatch.setenv("JUPYTER_SERVER_URL", "http://127.0.0.1:8888/user/ada/")
    client = DecartClient(proxy="/api/decart")
    assert client.base_url == "http://127.0.0.1:8888/user/ada/api/decart"
    assert repr(client).endswith("through a proxy>")


@pytest.mark.anyio
async def test_through_a_proxy_no_key_is_sent_even_if_the_environment_has_one(monkeypatch):
    monkeypatch.setenv("DECART_API_KEY", KEY)
    heads = []

    def handle(connection):
        heads.append(read_request(connection)[0].lower())
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
        )

    with serve_raw(handle) as url:
        async with DecartClient(proxy=url + "/api/decart/") as client:
            await client.realtime.quota()
        async with DecartClient(base_url=url, integration="langchain/0.1.0") as client:
            await client.realtime.quota()
    proxied, direct = heads
    assert b"x-api-key" not in proxied
    assert proxied.startswith(b"get /api/decart/v1/realtime/quota ")
    assert b"x-api-key: " + KEY.encode() in direct
    assert b"user-agent: decart-lab/" in direct
    assert b" lang/py langchain/0.1.0\r\n" in direct


@pytest.mark.parametrize(
    "url", ["api.decart.ai", "ftp://x", "https://u:p@x", "https://x?k=1", "https://x#f", "", 5]
)
@pytest.mark.parametrize("field", ["base_url", "proxy", "realtime_base_url"])
def test_addresses_that_cannot_be_used_are_refused_with_the_name_of_the_field(url, field):
    if url == "" and field != "proxy":
        return  # as good as not given
    key = {} if field == "proxy" else {"api_key": KEY}
    with pytest.raises(InvalidBaseURLError, match=field):
        DecartClient(**key, **{field: url})


@pytest.mark.parametrize("scheme", ["ws", "wss", "http", "https"])
def test_the_realtime_address_may_be_a_web_or_a_websocket_address(scheme):
    client = DecartClient(KEY, realtime_base_url=f"{scheme}://127.0.0.1:1/")
    assert client.realtime_base_url == f"{scheme}://127.0.0.1:1"


def test_a_key_is_not_sent_in_clear_to_another_machine():
    with pytest.raises(InvalidBaseURLError, match="unencrypted"):
        DecartClient(KEY, base_url="http://10.0.0.5:8765")


@pytest.mark.parametrize("integration", ["a\r\nx-evil: 1", "é", "x" * 201])
def test_an_integration_that_could_break_out_of_the_header_is_refused(integration):
    with pytest.raises(InvalidInputError) as caught:
        DecartClient(KEY, integration=integration)
    assert caught.value.field == "integration"


def test_generate_only_names_what_took_its_place():
    with pytest.raises(InvalidInputError, match=r"client\.process.*queue\.submit_and_poll"):
        DecartClient(KEY).generate({"model": "lucy-pro-t2v"})


def test_both_ways_to_make_a_client_take_the_same_configuration():
    import inspect

    assert (
        inspect.signature(create_decart_client).parameters
        == inspect.signature(DecartClient).parameters
    )
    client = create_decart_client(KEY, base_url="http://127.0.0.1:1", telemetry=True)
    assert isinstance(client, DecartClient)


@pytest.mark.anyio
async def test_a_closed_client_says_so():
    client = DecartClient(KEY, base_url="http://127.0.0.1:1")
    await client.close()
    with pytest.raises(Exception, match="closed"):
        await client.queue.status("job_1")
