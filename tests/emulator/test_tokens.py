"""Client tokens: what may be asked, what comes back, and what a token opens."""

from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest

from decart_lab.emulator import emulator
from decart_lab.emulator.keyring import Keyring
from decart_lab.emulator.records import TokenRecord
from decart_lab.emulator.settings import PLATFORM
from tests.helpers.rest import KEY


def mint(http: httpx.Client, **body: object) -> dict:
    answer = http.post("/v1/client/tokens", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b" \n"])
def test_an_empty_body_asks_for_a_token_of_a_minute(shared, body):
    answer = shared.post("/v1/client/tokens", content=body)
    assert answer.status_code == 200
    token = answer.json()
    assert token["apiKey"].startswith("ek_")
    assert token["token"].count(".") == 2
    assert token["permissions"] is None
    assert token["constraints"] is None
    assert datetime.fromisoformat(token["expiresAt"]).tzinfo is not None
    assert answer.headers["cache-control"] == "no-store"


def test_what_was_set_is_echoed_and_signed(shared):
    token = mint(
        shared,
        expiresIn=120,
        allowedModels=["lucy-2.1"],
        allowedOrigins=["https://example.com", "http://localhost:3000"],
        constraints={"realtime": {"maxSessionDuration": 300}},
        metadata={"role": "viewer", "attribution": {"team": "a"}},
    )
    assert token["permissions"] == {
        "models": ["lucy-2.1"],
        "origins": ["https://example.com", "http://localhost:3000"],
    }
    assert token["constraints"] == {"realtime": {"maxSessionDuration": 300}}
    claims = jwt.decode(token["token"], options={"verify_signature": False})
    assert claims["iss"] == claims["aud"] == PLATFORM
    assert claims["models"] == ["lucy-2.1"]
    assert claims["constraints"] == token["constraints"]
    assert claims["attribution"] == {"team": "a"}
    assert {"exp", "sub", "jti", "organizationId", "service_tier"} <= set(claims)
    assert "iat" not in claims


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"expiresIn": 0}, ["body", "expiresIn"]),
        ({"expiresIn": 3601}, ["body", "expiresIn"]),
        ({"expiresIn": "soon"}, ["body", "expiresIn"]),
        ({"allowedModels": ["m"] * 21}, ["body", "allowedModels"]),
        ({"allowedModels": "lucy-2.1"}, ["body", "allowedModels"]),
        ({"allowedOrigins": ["https://a.example"] * 21}, ["body", "allowedOrigins"]),
        ({"allowedOrigins": ["example.com"]}, ["body", "allowedOrigins", 0]),
        ({"allowedOrigins": ["https://example.com/"]}, ["body", "allowedOrigins", 0]),
        (
            {"constraints": {"realtime": {"maxSessionDuration": 9}}},
            ["body", "constraints", "realtime", "maxSessionDuration"],
        ),
        ({"metadata": [1]}, ["body", "metadata"]),
        ([], ["body"]),
    ],
)
def test_what_is_beyond_the_limits_is_named(shared, body, where):
    answer = shared.post("/v1/client/tokens", json=body)
    assert answer.status_code == 422
    assert where in [row["loc"] for row in answer.json()["detail"]]


def test_bodies_that_are_not_json_or_too_large_are_refused(shared):
    assert shared.post("/v1/client/tokens", content=b"{").status_code == 422
    assert shared.post("/v1/client/tokens", content=b" " * 70_000).status_code == 413


@pytest.mark.parametrize("form", ["apiKey", "token"])
def test_either_form_opens_rest_but_mints_nothing(shared, stranger, form):
    key = {"x-api-key": mint(shared, expiresIn=3600)[form]}
    assert stranger.get("/v1/realtime/quota", headers=key).status_code == 200
    assert stranger.post("/v1/client/tokens", headers=key).status_code == 403


@pytest.mark.parametrize("form", ["apiKey", "token"])
def test_a_token_buys_only_the_models_it_names(shared, stranger, tiny_clip, form):
    token = mint(shared, expiresIn=3600, allowedModels=["lucy-2.5"])
    key, files = {"x-api-key": token[form]}, {"data": tiny_clip.read_bytes()}

    def buy(model: str) -> int:
        return stranger.post(f"/v1/jobs/{model}", headers=key, files=files).status_code

    assert buy("lucy-2.5") == 200
    assert buy("lucy-latest") == 200, "an alias of an allowed model"
    assert buy("lucy-2.1") == 403
    other = stranger.post("/v1/generate/lucy-image-2", headers=key)
    assert other.status_code == 403
    assert "lucy-image-2" in other.json()["detail"]


@pytest.mark.parametrize("form", ["apiKey", "token"])
def test_origins_of_a_token_bind_realtime_only(shared, stranger, form):
    token = mint(shared, expiresIn=3600, allowedOrigins=["https://example.com"])
    headers = {"x-api-key": token[form], "Origin": "http://localhost:9999"}
    assert stranger.get("/v1/realtime/quota", headers=headers).status_code == 200


@pytest.mark.parametrize("form", ["apiKey", "token"])
def test_an_expired_token_opens_nothing(form):
    with (
        emulator(speed=100_000, render="canned") as emu,  # its minutes pass in milliseconds
        httpx.Client(base_url=emu.url) as http,
    ):
        token = http.post("/v1/client/tokens", json={"expiresIn": 1}, headers=KEY).json()
        answer = http.get("/v1/realtime/quota", headers={"x-api-key": token[form]})
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]


def test_forged_tokens_open_nothing(shared, stranger):
    token = mint(shared, expiresIn=3600)
    header, payload, signature = token["token"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    richer = claims | {"exp": claims["exp"] + 3600}

    def part(value: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    forgeries = [
        f"{header}.{part(richer)}.{signature}",
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{payload}.{signature}",
        jwt.encode(claims, "x" * 32, algorithm="HS256"),
        token["apiKey"][:-1] + ("a" if token["apiKey"][-1] != "a" else "b"),
        token["apiKey"] + "x",
    ]
    for forged in forgeries:
        answer = stranger.get("/v1/realtime/quota", headers={"x-api-key": forged})
        assert answer.status_code == 401, forged


def test_a_token_of_another_emulator_opens_nothing(shared, http):
    token = mint(http, expiresIn=3600)
    for form in ("apiKey", "token"):
        answer = shared.get("/v1/realtime/quota", headers={"x-api-key": token[form]})
        assert answer.status_code == 401


def test_the_jwks_needs_no_key_and_holds_no_secret(stranger):
    [key] = stranger.get("/api/auth/jwks").json()["keys"]
    assert key.keys() == {"kty", "crv", "alg", "use", "kid", "x"}
    assert (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "EdDSA")


def test_the_signing_key_is_its_owners_and_stays_the_same(tmp_path):
    first, second = Keyring(tmp_path), Keyring(tmp_path)
    assert first.kid == second.kid
    assert stat.S_IMODE((tmp_path / "signing_key.pem").stat().st_mode) == 0o600
    now = datetime(2026, 1, 1, tzinfo=UTC)
    record = TokenRecord("ct_1", "hash", now, now + timedelta(seconds=60))
    signed = first.sign(record, "key_1", None)
    assert second.verify(signed, now) == "ct_1"
    assert second.verify(signed, now + timedelta(seconds=60)) is None
