"""tokens, files, models.resolve and realtime.quota."""

from __future__ import annotations

import json
import pickle

import pytest
from starlette.responses import Response

from decart_lab import models
from decart_lab.errors import (
    AuthError,
    FilesDeleteError,
    FilesGetError,
    FilesUploadError,
    InvalidInputError,
    ModelsResolveError,
    NotFoundError,
    RealtimeQuotaError,
    ResponseError,
    TokenCreateError,
)

from .service import Service, refusal

pytestmark = pytest.mark.anyio

TOKEN = {
    "apiKey": "ek_0123456789abcdef",
    "token": "eyJhbGciOi.eyJzdWIi.c2ln",
    "expiresAt": "2026-01-01T00:01:00Z",
    "permissions": None,
    "constraints": None,
}
FILE = {
    "id": "file_1",
    "filename": None,
    "mime_type": "image/jpeg",
    "size_bytes": 5,
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": None,
}


async def test_a_token_is_asked_for_in_the_words_of_the_wire(connected):
    service = Service(tokens=[TOKEN])
    async with connected(service) as client:
        token = await client.tokens.create(
            metadata={"user": "ada"},
            expires_in=120,
            allowed_models=["lucy-2.1", models.realtime("lucy-2.5")],
            allowed_origins=["https://example.com", "http://localhost:8888"],
            constraints={"realtime": {"maxSessionDuration": 60}},
        )
        await client.tokens.create()
    assert json.loads(service.bodies[0]) == {
        "metadata": {"user": "ada"},
        "expiresIn": 120,
        "allowedModels": ["lucy-2.1", "lucy-2.5"],
        "allowedOrigins": ["https://example.com", "http://localhost:8888"],
        "constraints": {"realtime": {"maxSessionDuration": 60}},
    }
    assert json.loads(service.bodies[1]) == {}
    assert token.api_key == TOKEN["apiKey"]
    assert TOKEN["apiKey"] not in repr(token)
    assert TOKEN["token"] not in repr(token)
    with pytest.raises(TypeError):
        pickle.dumps(token)


@pytest.mark.parametrize(
    "options",
    [
        {"expires_in": 0},
        {"expires_in": 3601},
        {"expires_in": 60.5},
        {"expires_in": True},
        {"allowed_models": "lucy-2.1"},
        {"allowed_models": ["x"] * 21},
        {"allowed_models": [""]},
        {"allowed_models": [5]},
        {"allowed_origins": ["https://x"] * 21},
        {"allowed_origins": "https://example.com"},
        {"allowed_origins": ["example.com"]},
        {"allowed_origins": ["https://example.com/path"]},
        {"allowed_origins": ["https://u@example.com"]},
        {"allowed_origins": ["https://example.com:99999"]},
        {"constraints": {"realtime": {"maxSessionDuration": 9}}},
        {"constraints": {"realtime": {"maxSessionDuration": "60"}}},
        {"constraints": {"realtime": {"max": 60}}},
        {"constraints": {"batch": {}}},
        {"constraints": 5},
        {"metadata": {"x": object()}},
        {"metadata": {"x": float("nan")}},
        {"metadata": "ada"},
    ],
)
async def test_limits_of_a_token_are_checked_before_any_request(connected, options):
    service = Service(tokens=[TOKEN])
    async with connected(service) as client:
        with pytest.raises(InvalidInputError) as caught:
            await client.tokens.create(**options)
    assert caught.value.field == next(iter(options))
    assert caught.value.hint
    assert service.calls == []


async def test_a_client_token_mints_no_other(connected):
    async with connected(Service(tokens=[refusal(403)])) as client:
        with pytest.raises(AuthError) as caught:
            await client.tokens.create()
    assert isinstance(caught.value, TokenCreateError)


@pytest.mark.parametrize("key", ["apiKey", "expiresAt"])
async def test_a_token_without_its_keys_is_an_error_that_shows_none_of_it(connected, key):
    answer = {name: value for name, value in TOKEN.items() if name != key}
    async with connected(Service(tokens=[answer])) as client:
        with pytest.raises(TokenCreateError, match=key) as caught:
            await client.tokens.create()
    assert isinstance(caught.value, ResponseError)
    shown = f"{caught.value} {caught.value!r} {caught.value.data}"
    assert TOKEN["apiKey"] not in shown
    assert TOKEN["token"] not in shown


async def test_a_file_lives_its_life(connected, cat):
    service = Service(files=[FILE, FILE, Response(status_code=204), refusal(404)])
    async with connected(service) as client:
        uploaded = await client.files.upload(cat, ttl_seconds=600)
        assert (await client.files.get(uploaded.id)) == uploaded
        assert (await client.files.delete(uploaded.id)) is None
        with pytest.raises(NotFoundError) as caught:
            await client.files.get(uploaded.id)
    assert isinstance(caught.value, FilesGetError)
    assert service.forms == [
        {"ttl_seconds": "600", "file": ("file.jpg", "image/jpeg", cat.read_bytes())}
    ]


@pytest.mark.parametrize("ttl", [59, 2_592_001, "forever", 60.0, True])
async def test_a_lifetime_outside_the_documented_range_is_refused(connected, cat, ttl):
    service = Service(files=[FILE])
    async with connected(service) as client:
        with pytest.raises(InvalidInputError) as caught:
            await client.files.upload(cat, ttl_seconds=ttl)
    assert caught.value.field == "ttl_seconds"
    assert service.calls == []


async def test_what_is_no_file_is_refused_before_any_request(connected):
    service = Service(files=[FILE])
    async with connected(service) as client:
        for value in ("missing.png", b"", ".", 5):
            with pytest.raises(InvalidInputError) as caught:
                await client.files.upload(value)
            assert caught.value.field == "file"
        for call in (client.files.get, client.files.delete):
            with pytest.raises(InvalidInputError):
                await call("../jobs/x")
    assert service.calls == []


async def test_file_operations_fail_under_their_own_names(connected, cat):
    async with connected(Service(files=[refusal(413)])) as client:
        with pytest.raises(FilesUploadError):
            await client.files.upload(cat)
        with pytest.raises(FilesDeleteError):
            await client.files.delete("file_1")
    async with connected(Service(files=[FILE | {"id": "../x"}])) as client:
        with pytest.raises(FilesUploadError, match="cannot be used"):
            await client.files.upload(cat)


async def test_names_are_resolved_one_or_many_in_one_request(connected):
    many = {"model_ids": {"lucy-latest": "lucy-2.5", "lucy-2.1": "lucy-2.1"}}
    service = Service(resolve=[{"model_id": "lucy-2.5"}, many])
    async with connected(service) as client:
        assert await client.models.resolve("lucy-latest") == "lucy-2.5"
        both = await client.models.resolve(["lucy-latest", models.video("lucy-2.1")])
        assert both == {"lucy-latest": "lucy-2.5", "lucy-2.1": "lucy-2.1"}
        assert await client.models.resolve([]) == {}
        with pytest.raises(InvalidInputError):
            await client.models.resolve(["lucy-2.1", 5])
    assert [json.loads(body) for body in service.bodies] == [
        {"model": "lucy-latest"},
        {"models": ["lucy-latest", "lucy-2.1"]},
    ]


@pytest.mark.parametrize("answer", [{}, {"model_id": None}, {"model_ids": {}}, {"model_id": 5}])
async def test_a_resolution_that_leaves_a_name_out_is_an_error(connected, answer):
    async with connected(Service(resolve=[answer])) as client:
        with pytest.raises(ModelsResolveError):
            await client.models.resolve("lucy-latest")
        with pytest.raises(ModelsResolveError):
            await client.models.resolve(["lucy-latest"])


async def test_the_quota_may_be_unlimited(connected):
    service = Service(
        quota=[{"limit": 5, "active": 1, "remaining": 4}, {"limit": None}, refusal(401)]
    )
    async with connected(service) as client:
        assert (await client.realtime.quota()).remaining == 4
        assert (await client.realtime.quota()).limit is None
        with pytest.raises(RealtimeQuotaError):
            await client.realtime.quota()
