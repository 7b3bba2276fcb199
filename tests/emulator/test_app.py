"""The emulator at its door: routes, hosts, browsers, keys, and what it says in trouble."""

from __future__ import annotations

import http.client
import json
import logging
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from decart_lab.contract.models import ROWS
from decart_lab.emulator import emulator
from tests.helpers.rest import KEY, eventually

ROUTES = json.loads((Path(__file__).parent / "data" / "openapi_routes.json").read_text())["routes"]


def raw(url: str, *lines: str, path: str = "/health") -> bytes:
    """Send header lines exactly as given and return the status line."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as sock:
        head = "\r\n".join([f"GET {path} HTTP/1.1", *lines, "Connection: close", "", ""])
        sock.sendall(head.encode())
        return sock.makefile("rb").readline()


def test_health_says_what_this_is_without_a_key(shared):
    answer = httpx.get(f"{shared.base_url}/health")
    assert answer.status_code == 200
    assert answer.json()["service"] == "emulator"
    assert answer.json()["speed"] == 200.0
    assert answer.json()["version"]


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/v1/jobs/job_x", "/v1/realtime/quota"])
def test_every_answer_carries_the_mark_of_the_emulator(shared, path):
    assert shared.get(path).headers["x-decart-emulator"] == "1"


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda value: value)
def test_every_route_of_the_openapi_document_is_served(shared, method, path):
    """A route that exists refuses the empty request for what it lacks, not for being unknown."""
    filled = path.format(room_id="r", file_id="file_x", job_id="job_x")
    answer = shared.request(method, filled)
    if "{" in path:
        assert answer.json()["detail"] != "Not Found"  # the router's own words
        assert answer.status_code in (404, 501)
    elif path == "/v1/verify":
        assert answer.status_code == 501
    elif method == "GET" or path == "/v1/client/tokens":
        assert answer.status_code == 200
    else:
        assert answer.status_code == 422
        assert all(set(row) >= {"loc", "msg", "type"} for row in answer.json()["detail"])


@pytest.mark.parametrize("row", [r for r in ROWS if r.kind != "realtime"], ids=lambda r: r.name)
def test_every_model_of_the_registry_is_served_or_told_from_an_unknown_one(shared, row):
    answer = shared.post(f"/v1/jobs/{row.name}")
    expected = 410 if row.status == "retired" else 422
    assert answer.status_code == expected, answer.text
    if row.status == "retired":
        assert row.successor in answer.json()["detail"]


def test_unknown_models_and_routes_are_404_with_a_detail(shared):
    assert shared.post("/v1/jobs/lucy-99").json() == {"detail": "Model 'lucy-99' not found."}
    assert shared.post("/v1/generate/lucy-99").status_code == 404
    assert "realtime" in shared.post("/v1/jobs/live-avatar").json()["detail"]
    assert shared.get("/v1/nothing").json() == {"detail": "Not Found"}
    assert shared.put("/v1/files").status_code == 405


def test_doubled_slashes_are_one(shared):
    """Both official SDKs join a base address that ends in a slash into //v1."""
    doubled = shared.get(f"{shared.base_url}//v1/realtime//quota")
    assert doubled.json() == shared.get("/v1/realtime/quota").json()


@pytest.mark.parametrize("key", [None, "", "invalid", "invalid-key", "ek_forged", "eyJ.a.b"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/generate/lucy-image-2"),
        ("POST", "/v1/jobs/lucy-2.1"),
        ("GET", "/v1/jobs/job_x"),
        ("GET", "/v1/jobs/job_x/content"),
        ("POST", "/v1/client/tokens"),
        ("POST", "/v1/files"),
        ("GET", "/v1/files/file_x"),
        ("DELETE", "/v1/files/file_x"),
        ("POST", "/v1/models/resolve"),
        ("GET", "/v1/realtime/quota"),
        ("POST", "/v1/verify"),
    ],
)
def test_every_v1_route_wants_a_key(stranger, method, path, key):
    headers = {} if key is None else {"X-API-KEY": key}
    answer = stranger.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert isinstance(answer.json()["detail"], str)


def test_an_emulator_that_was_given_keys_takes_no_others():
    with emulator(api_keys=["one", "two"], render="canned") as emu:
        assert emu.api_key == "one"
        got = {
            key: httpx.get(f"{emu.url}/v1/realtime/quota", headers={"x-api-key": key}).status_code
            for key in ("one", "two", "three", "on", "onee")
        }
    assert got == {"one": 200, "two": 200, "three": 401, "on": 401, "onee": 401}


def test_keys_appear_in_no_repr_no_log_and_no_file_of_the_world(tmp_path, caplog, picture):
    caplog.set_level(logging.DEBUG)
    secret = "dct_very_secret_key"
    with (
        emulator(api_keys=[secret], state=tmp_path, render="canned", speed=200) as emu,
        httpx.Client(base_url=emu.url, headers={"x-api-key": secret}) as http,
    ):
        assert http.post("/v1/client/tokens", json={}).status_code == 200
        files = {"data": picture}
        assert http.post(
            "/v1/generate/lucy-image-2", data={"prompt": "ink"}, files=files
        ).is_success
        http.get("/v1/jobs/none")
        shown = f"{emu!r} {emu.world!r} {emu.ledger.entries!r} {dict(emu.world.tokens)!r}"
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    assert secret not in shown
    assert secret not in "\n".join(ours)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


HOSTS = {
    "localhost": True,
    "LOCALHOST": True,
    "127.0.0.1": True,
    "127.0.0.1:{port}": True,
    "localhost:{port}": True,
    "[::1]:{port}": True,
    "[::1]": True,
    "localhost:1": False,
    "127.0.0.1:80": False,
    "evil.example": False,
    "evil.example:{port}": False,
    "localhost.evil.example:{port}": False,
    "127.0.0.1.evil.example": False,
    "localhost.": False,
    "127.0.0.2": False,
    "0.0.0.0:{port}": False,
    "192.168.0.7:{port}": False,
    "2130706433": False,
    "0x7f.1": False,
    "127.1": False,
    "[::ffff:127.0.0.1]:{port}": False,
    "user@localhost": False,
    "localhost:{port}:{port}": False,
    "localhost:": False,
    "": False,
}


@pytest.mark.parametrize(("host", "welcome"), HOSTS.items())
def test_only_its_own_host_names_are_answered(shared_emu, host, welcome):
    """A page of a rebound name would otherwise be same-origin with the emulator."""
    status = raw(shared_emu.url, f"Host: {host.format(port=shared_emu.port)}")
    assert status.split()[1] == (b"200" if welcome else b"421")


def test_two_host_headers_are_refused(shared_emu):
    status = raw(shared_emu.url, "Host: localhost", "Host: evil.example")
    assert status.split()[1] in (b"400", b"421")


def test_off_loopback_addresses_are_welcome_and_names_are_not():
    with emulator(host="0.0.0.0", render="canned") as emu:
        assert emu.url == f"http://127.0.0.1:{emu.port}"
        assert raw(emu.url, f"Host: 192.168.0.7:{emu.port}").split()[1] == b"200"
        assert raw(emu.url, "Host: evil.example").split()[1] == b"421"


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        ("http://localhost:8888", True),
        ("http://127.0.0.1:3000", True),
        ("https://localhost", True),
        ("https://app.example", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://evil.example/localhost", False),
        ("null", False),
    ],
)
def test_pages_of_this_machine_and_named_origins_may_call(stranger, origin, welcome):
    ask = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key, if-match, last-event-id, content-type",
    }
    preflight = stranger.options("/v1/jobs/lucy-2.1", headers=ask)
    plain = stranger.get("/health", headers={"Origin": origin})
    assert (preflight.status_code == 200) is welcome
    assert ("access-control-allow-origin" in plain.headers) is welcome
    if welcome:
        exposed = plain.headers["access-control-expose-headers"].lower()
        assert all(n in exposed for n in ("etag", "location", "retry-after", "x-decart-emulator"))


def test_an_early_refusal_reaches_a_client_that_is_still_sending(shared_emu):
    """The server reads the rest of the body before it answers and closes."""
    connection = http.client.HTTPConnection("127.0.0.1", shared_emu.port, timeout=30)
    body = b"x" * 12_000_000
    headers = {"Content-Type": "text/plain", "Connection": "close"}
    connection.request("POST", "/v1/jobs/lucy-2.1", body, headers)
    assert connection.getresponse().status == 401
    connection.close()


def test_a_client_that_hangs_up_leaves_nothing_and_raises_no_alarm(emu, caplog):
    head = (
        "POST /v1/generate/lucy-image-2 HTTP/1.1\r\nHost: localhost\r\nx-api-key: k\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\nabc'
    )
    with socket.create_connection(("127.0.0.1", emu.port), timeout=10) as sock:
        sock.sendall(head.encode())
        eventually(lambda: list(emu.world.uploads.iterdir()))
    eventually(lambda: not list(emu.world.uploads.iterdir()))
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_fault_inside_is_told_without_its_traceback(emu, http, caplog, monkeypatch):
    from decart_lab.emulator.ledger import Ledger

    monkeypatch.setattr(Ledger, "as_json", lambda _: 1 / 0)
    answer = http.get("/_emulator/ledger")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "internal error"}
    assert "ZeroDivisionError" in caplog.text


def test_model_names_are_resolved_singly_and_together(shared):
    one = shared.post("/v1/models/resolve", json={"model": "lucy-latest"})
    assert one.json() == {"model_id": "lucy-2.5"}
    names = ["lucy-pro-i2i", "lucy-vton-latest", "lucy-2.1"]
    several = shared.post("/v1/models/resolve", json={"models": names})
    assert several.json() == {
        "model_ids": {
            "lucy-pro-i2i": "lucy-image-2",
            "lucy-vton-latest": "lucy-vton-3.6",
            "lucy-2.1": "lucy-2.1",
        }
    }
    assert shared.post("/v1/models/resolve", json={"model": "nope"}).status_code == 404
    assert shared.post("/v1/models/resolve", json={"model": "mirage"}).status_code == 410
    for bad in ({}, [], {"model": 3}, {"models": [1]}, {"models": ["lucy-2.1"] * 101}):
        assert shared.post("/v1/models/resolve", json=bad).status_code == 422
    assert shared.post("/v1/models/resolve", content=b"{").status_code == 422


def test_the_realtime_quota_counts(shared):
    assert shared.get("/v1/realtime/quota").json() == {"limit": 5, "active": 0, "remaining": 5}


def test_what_is_not_served_says_so(shared):
    assert shared.post("/v1/verify").status_code == 501
    assert "LiveKit" in shared.post("/watch-stream/room").json()["detail"]


def test_a_missing_key_is_told_before_an_unknown_model(stranger):
    assert stranger.post("/v1/jobs/lucy-99").status_code == 401
    assert stranger.post("/v1/jobs/lucy-99", headers=KEY).status_code == 404
