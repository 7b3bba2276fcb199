"""The files API: upload, describe, delete, expire."""

from __future__ import annotations

from datetime import datetime

import httpx
import pytest

from decart_lab.contract.responses import FileReference
from decart_lab.emulator import emulator
from tests.helpers.rest import KEY


def upload(http: httpx.Client, content: bytes, name: str = "cat.png", **fields: str) -> dict:
    answer = http.post("/v1/files", files={"file": (name, content)}, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_upload_is_described_until_it_is_deleted(http, emu, picture):
    body = upload(http, picture)
    reference = FileReference.model_validate(body)
    assert reference.id.startswith("file_")
    assert reference.filename == "cat.png"
    assert reference.mime_type == "image/png"
    assert reference.size_bytes == len(picture)
    assert http.get(f"/v1/files/{reference.id}").json() == body
    deleted = http.delete(f"/v1/files/{reference.id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert http.get(f"/v1/files/{reference.id}").status_code == 404
    assert http.delete(f"/v1/files/{reference.id}").status_code == 404
    assert not list(emu.world.contents.iterdir())


@pytest.mark.parametrize(
    ("ttl", "seconds"), [(None, 86_400), ("60", 60), ("2592000", 2_592_000), ("persistent", None)]
)
def test_a_file_lives_as_long_as_was_asked(shared, picture, ttl, seconds):
    body = upload(shared, picture, **({} if ttl is None else {"ttl_seconds": ttl}))
    if seconds is None:
        assert body["expires_at"] is None
    else:
        made, ends = (datetime.fromisoformat(body[k]) for k in ("created_at", "expires_at"))
        assert (ends - made).total_seconds() == seconds


@pytest.mark.parametrize("ttl", ["59", "2592001", "-1", "1.5", "forever", "٦٠٠", "9" * 5000])
def test_other_lifetimes_are_refused(shared, picture, ttl):
    answer = shared.post("/v1/files", files={"file": picture}, data={"ttl_seconds": ttl})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "ttl_seconds"]


def test_an_expired_file_is_gone(picture):
    with (
        emulator(speed=100_000, render="canned") as emu,
        httpx.Client(base_url=emu.url, headers=KEY) as http,
    ):
        body = upload(http, picture, ttl_seconds="60")  # a moment, at this speed
        assert http.get(f"/v1/files/{body['id']}").status_code == 404
        assert not emu.world.files
        assert not list(emu.world.contents.iterdir())


def test_a_missing_or_empty_file_is_named(shared):
    for sent in ({}, {"file": b""}):
        answer = shared.post("/v1/files", files=sent, data={"ttl_seconds": "60"})
        assert answer.json()["detail"][0]["loc"] == ["body", "file"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.png", "cat.png"),
        ("a" * 500 + ".png", "a" * 200),
        ("été.png", "été.png"),
    ],
)
def test_a_file_name_is_shown_and_never_used(http, emu, picture, given, shown):
    body = upload(http, picture, given)
    assert body["filename"] == shown
    assert [path.name for path in emu.world.contents.iterdir()] == [body["id"]]


def test_content_decides_the_type(shared):
    assert upload(shared, b"plain text", "cat.png")["mime_type"] == "application/octet-stream"
