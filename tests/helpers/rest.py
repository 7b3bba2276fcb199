"""What a person would do with curl: submit, poll, download; for tests of the emulator."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

KEY = {"x-api-key": "a-key"}


def eventually(holds: Callable[[], object], *, limit_s: float = 10.0) -> None:
    """Wait until it holds, for what happens just after an answer."""
    until = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until, "it never held"
        time.sleep(0.005)


def submit(
    http: httpx.Client, model: str, files: dict[str, Any] | None = None, **fields: Any
) -> str:
    """Queue a job and return its id."""
    answer = http.post(f"/v1/jobs/{model}", data=fields, files=files)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "pending"
    return str(body["job_id"])


def poll(http: httpx.Client, job_id: str, *, limit_s: float = 30.0) -> dict[str, Any]:
    """Ask until the job is final; return its last description."""
    until = time.monotonic() + limit_s
    while True:
        answer = http.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        if body["status"] in ("completed", "failed"):
            return body
        assert time.monotonic() < until, f"{job_id} is still {body['status']}"
        time.sleep(0.01)  # a client polls; nothing is waited out here
