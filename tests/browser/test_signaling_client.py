"""The browser client that the vendor's signaling guide prints, in Chromium, against the emulator.

``data/signaling_client.js`` is that client as it is printed; only its BASE is set. Between the two
is what the guide asks of a platform: a stateless pass-through that adds the key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from decart_lab.emulator import Emulator, emulator
from tests.helpers.jupyter import CAMERA
from tests.helpers.rest import KEY, eventually
from tests.helpers.serve import serve

CLIENT = (Path(__file__).parent / "data" / "signaling_client.js").read_text(encoding="utf-8")
PRINTED = 'const BASE = "https://api.yourplatform.com/v1/realtime";'
PAGE = """<!doctype html><title>A session</title>
<video id="remote-video" autoplay muted playsinline></video>
<p id="status"></p><p id="usage"></p>
<script type="module" src="/client.js"></script>"""
LIVE = "document.getElementById('status').textContent === '● Live'"
SHOWN = "document.getElementById('remote-video').getVideoPlaybackQuality().totalVideoFrames"
PASSED_ON = ("content-type", "if-match", "last-event-id")
PASSED_BACK = ("content-type", "location", "etag", "retry-after", "cache-control")


def pass_through(url: str) -> Starlette:
    """Return the platform: a page, its script, and a stateless way to the emulator."""

    async def page(_: Request) -> Response:
        return HTMLResponse(PAGE)

    async def client(_: Request) -> Response:
        assert CLIENT.count(PRINTED) == 1
        ours = "const BASE = `${location.origin}/v1/realtime`;"
        return Response(CLIENT.replace(PRINTED, ours), media_type="text/javascript")

    async def on(request: Request) -> Response:
        headers = {k: v for k, v in request.headers.items() if k in PASSED_ON} | KEY
        http = httpx.AsyncClient(base_url=url, timeout=30)
        target = httpx.URL(request.url.path, query=request.url.query.encode())
        sent = http.build_request(
            request.method, target, headers=headers, content=await request.body()
        )
        answer = await http.send(sent, stream=True)
        back = {k: v for k, v in answer.headers.items() if k in PASSED_BACK}

        async def body() -> AsyncIterator[bytes]:
            try:
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:
                await answer.aclose()
                await http.aclose()

        return StreamingResponse(body(), answer.status_code, back)

    methods = ["GET", "POST", "PATCH", "DELETE"]
    return Starlette(
        routes=[
            Route("/", page),
            Route("/client.js", client),
            Route("/v1/realtime/{rest:path}", on, methods=methods),
        ]
    )


@pytest.fixture(scope="module")
def emu() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(scope="module")
def flags() -> list[str]:
    """A camera that is none, and the right to use it."""
    return CAMERA


@pytest.fixture
def live(page: Any, emu: Emulator) -> Iterator[Any]:
    """The page, with a session that shows frames."""
    with serve(pass_through(emu.url)) as url:
        page.goto(url)
        page.wait_for_function(LIVE, timeout=20_000)
        page.wait_for_function(f"{SHOWN} > 5", timeout=20_000)
        yield page
        page.goto("about:blank")


def test_it_connects_shows_frames_and_counts_seconds(live, emu):
    live.wait_for_function("document.getElementById('usage').textContent !== ''", timeout=10_000)
    assert live.inner_text("#usage").endswith("s")
    assert live.evaluate("document.getElementById('remote-video').videoWidth") > 0
    assert live.evaluate("window.setPrompt('snow').then(answer => answer.status)") == 200
    entry = list(emu.ledger)[-1]
    assert entry.enhanced_prompt.startswith("snow")
    before = live.evaluate(SHOWN)
    live.wait_for_function(f"{SHOWN} > {before + 5}", timeout=10_000)
    live.evaluate("window.disconnect()")
    eventually(lambda: entry.reason == "disconnect")
    assert live.broken == []


def test_it_survives_an_ice_restart(live, emu):
    [session] = [s for s in emu.sessions.values() if not s.log.closed]
    first = session.peer
    emu.faults.add("ice_restart", after_s=0, times=1)
    eventually(lambda: session.peer is not first, limit_s=15)
    before = live.evaluate(SHOWN)
    live.wait_for_function(f"{SHOWN} > {before + 10}", timeout=15_000)
    eventually(lambda: session.state == "generating")
    live.evaluate("window.disconnect()")
    eventually(lambda: session.reason == "disconnect")
    assert live.broken == []


def test_it_learns_that_its_session_has_ended(live, emu):
    [session] = [s for s in emu.sessions.values() if not s.log.closed]
    emu.faults.add("session_ended", after_s=0, times=1, reason="moderation_violation")
    live.wait_for_function("document.getElementById('status').textContent === 'Ended'")
    assert session.reason == "moderation_violation"
    assert live.broken == []
