"""The HTTP dialect as an impolite client finds it: every status, every header, ETags and events."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import struct
import zlib
from datetime import UTC, datetime

import httpx
import pytest

from decart_lab.emulator import emulator
from tests.helpers.calling import (
    PATH,
    an_offer,
    asked,
    browsing,
    calling,
    connect,
    create,
    until,
)
from tests.helpers.clips import still

pytestmark = pytest.mark.anyio

CANDIDATE = {
    "candidate": "candidate:1 1 UDP 2130706431 192.168.1.5 54321 typ host",
    "sdpMLineIndex": 0,
    "sdpMid": "0",
}
ALIEN = "https://evil.example"


@pytest.fixture(scope="module")
def emu():
    with emulator(session_limit=None, restart_s=60, allow_origins=["https://app.example"]) as emu:
        yield emu


@pytest.fixture(scope="module")
def offer():
    return asyncio.run(an_offer())


@pytest.fixture
async def http(emu):
    async with browsing(emu.url) as http:
        yield http


def png64() -> str:
    return base64.b64encode(still("PNG")).decode()


def commented(text: bytes) -> bytes:
    """Return a picture with a comment in it."""
    data = still("PNG")
    chunk = b"tEXtComment\0" + text
    size, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    return data[:33] + size + chunk + check + data[33:]


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return status and slug of a refusal, having checked its shape."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "detail", "status"}
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    before, _, slug = body["type"].rpartition("/")
    assert before == "https://api.decart.ai/errors"
    return answer.status_code, slug


# -- creating ------------------------------------------------------------------------------------


async def test_a_session_is_created_with_all_that_its_client_needs(emu, http, offer):
    live = await create(http, offer, prompt="anime", image_data=png64())
    body = live.created.json()
    assert set(body) == {"session_id", "sdp", "ice_servers", "events", "expires_at"}
    assert live.created.headers["location"] == live.path
    assert live.etag.startswith('"ice-')
    assert live.etag.endswith('"')
    assert body["sdp"]["type"] == "answer"
    assert "a=candidate" in body["sdp"]["sdp"]
    expires = datetime.fromisoformat(body["expires_at"])
    assert 590 < (expires - datetime.now(UTC)).total_seconds() <= 600
    [entry] = [entry for entry in emu.ledger if entry.session_id == live.id]
    assert (entry.route, entry.model, entry.model_resolved) == ("realtime", "lucy_2_rt", "lucy-2.1")
    assert (entry.seconds, entry.price, entry.reason) == (0, 0, "")
    assert entry.enhanced_prompt.startswith("anime. ")
    assert (await http.delete(live.path)).json() == {
        "session_id": live.id,
        "seconds": 0,
        "reason": "disconnect",
    }


@pytest.mark.parametrize("model", ["lucy_2_rt", "lucy_2_rt_preview", "lucy-2.5", "live_avatar"])
async def test_realtime_models_are_served(http, offer, model):
    live = await create(http, offer, model=model)
    await http.delete(live.path)


CREATIONS = {
    "no json": (b"{", 400, "bad-request"),
    "no object": (b"[]", 400, "bad-request"),
    "deep": (b"[" * 100_000, 400, "bad-request"),
    "not utf-8": (b'{"model": "\xff"}', 400, "bad-request"),
    "no model": ({"model": None}, 400, "bad-request"),
    "a model of numbers": ({"model": 7}, 400, "bad-request"),
    "an unknown model": ({"model": "nothing"}, 422, "unsupported-model"),
    "a model for clips": ({"model": "lucy-clip"}, 422, "unsupported-model"),
    "a retired model": ({"model": "mirage"}, 422, "unsupported-model"),
    "no offer": ({"sdp": None}, 400, "invalid-sdp"),
    "an offer of text": ({"sdp": "v=0"}, 400, "invalid-sdp"),
    "an answer": ({"sdp": {"type": "answer", "sdp": "v=0"}}, 400, "invalid-sdp"),
    "an empty offer": ({"sdp": {"type": "offer", "sdp": ""}}, 400, "invalid-sdp"),
    "the offer of the documentation": (
        {"sdp": {"type": "offer", "sdp": "v=0\r\no=- 123 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"}},
        400,
        "invalid-sdp",
    ),
    "a prompt of numbers": ({"prompt": 7}, 400, "bad-request"),
    "half a character": (
        b'{"model": "lucy_2_rt", "sdp": {"type": "offer", "sdp": "x"}, "prompt": "\\ud800"}',
        400,
        "bad-request",
    ),
    "enhance as text": ({"enhance_prompt": "yes"}, 400, "bad-request"),
    "an image that is no base64": ({"image_data": "..."}, 400, "bad-request"),
    "an image of numbers": ({"image_data": 7}, 400, "bad-request"),
    "an image that is none": ({"image_data": "aGVsbG8="}, 422, "invalid-image"),
    "an image over 10 MB": ({"image_data": "A" * 10_000_001}, 413, "content-too-large"),
    "moderation of words": ({"prompt": "a [[blocked]] thing"}, 422, "moderation-rejected"),
    "moderation of a picture": (
        {"image_data": base64.b64encode(commented(b"[[blocked]]")).decode()},
        422,
        "moderation-rejected",
    ),
}


@pytest.mark.parametrize(("body", "status", "slug"), CREATIONS.values(), ids=CREATIONS)
async def test_a_refused_creation_leaves_nothing_behind(emu, http, offer, body, status, slug):
    before = (len(emu.ledger), (await http.get("/v1/realtime/quota")).json())
    given = body if isinstance(body, bytes) else json.dumps(asked(offer) | body).encode()
    answer = await http.post(PATH, content=given, headers={"content-type": "application/json"})
    assert problem(answer) == (status, slug)
    assert (len(emu.ledger), (await http.get("/v1/realtime/quota")).json()) == before


async def test_a_picture_with_a_harmless_comment_is_welcome(http, offer):
    image = base64.b64encode(commented(b"a blocked drain")).decode()
    await http.delete((await create(http, offer, image_data=image)).path)


async def test_more_than_ten_megabytes_are_refused_however_they_come(http):
    answer = await http.post(PATH, content=b" " * 12_000_000)
    assert problem(answer) == (413, "content-too-large")


async def test_an_offer_without_a_ufrag_is_told_apart(http, offer):
    lines = [line for line in offer.splitlines() if not line.startswith("a=ice-ufrag")]
    answer = await http.post(PATH, json=asked("\r\n".join(lines) + "\r\n"))
    assert problem(answer) == (400, "invalid-sdp")
    assert "ufrag" in answer.json()["detail"]


async def test_candidates_can_be_kept_out_of_the_answer(offer):
    with emulator(server_candidates="events") as emu:
        async with browsing(emu.url) as http:
            live = await create(http, offer)
            sdp = live.created.json()["sdp"]["sdp"]
            assert "a=candidate" not in sdp
            assert "a=end-of-candidates" not in sdp
            told = [event async for event in _first(live, 2)]
            assert told[0][2]["candidate"].startswith("candidate:")


async def _first(live, count):
    async for event in live.listen():
        yield event
        count -= 1
        if not count:
            return


async def test_turn_servers_come_with_credentials_of_their_own(offer):
    urls = ["stun:127.0.0.1:3478", "turn:127.0.0.1:3478"]
    with emulator(ice_urls=urls) as emu:
        async with browsing(emu.url) as http:
            live = await create(http, offer)
            stun, turn = live.created.json()["ice_servers"]
            assert stun == {"urls": urls[0]}
            assert turn["username"] == live.id
            [_, again] = (await http.get(live.path)).json()["ice_servers"]
            assert again["credential"] != turn["credential"]


# -- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "invalid-key", "ek_forged", "eyJ.eyJ.x"])
async def test_a_key_is_asked_for_everywhere(emu, http, offer, key):
    live = await create(http, offer)
    async with browsing(emu.url, key) as stranger:
        for method, path in [
            ("POST", PATH),
            ("GET", live.path),
            ("PATCH", live.path),
            ("DELETE", live.path),
            ("POST", f"{live.path}/prompt"),
            ("POST", f"{live.path}/image"),
        ]:
            assert problem(await stranger.request(method, path)) == (401, "unauthorized")
    assert (await http.get(live.path)).status_code == 200


async def token_for(http, **fields) -> str:
    answer = await http.post("/v1/client/tokens", json=fields)
    assert answer.status_code == 200
    return answer.json()["apiKey"]


async def test_a_client_token_is_held_to_its_models_and_origins(emu, http, offer):
    key = await token_for(
        http, allowedModels=["lucy-2.5"], allowedOrigins=["https://app.example"], expiresIn=60
    )
    async with browsing(emu.url, key) as page:
        wrong = await page.post(PATH, json=asked(offer))
        assert problem(wrong) == (403, "forbidden")
        body = asked(offer, model="lucy-2.5")
        for origin in (ALIEN, "https://app.example:444", "null"):
            refused = await page.post(PATH, json=body, headers={"Origin": origin})
            assert problem(refused) == (403, "forbidden")
        given = {"Origin": "https://app.example"}
        taken = await page.post(PATH, json=body, headers=given)
        assert taken.status_code == 201
        path = taken.headers["location"]
        refused = await page.delete(path, headers={"Origin": ALIEN})
        assert problem(refused) == (403, "forbidden")
        assert (await page.delete(path)).status_code == 200  # what is no browser says no origin


async def test_a_session_is_its_tokens_and_the_accounts_and_nobody_elses(emu, http, offer):
    one, two = await token_for(http), await token_for(http)
    async with browsing(emu.url, one) as mine, browsing(emu.url, two) as other:
        live = await create(mine, offer)
        assert problem(await other.get(live.path)) == (404, "session-not-found")
        assert problem(await other.delete(live.path)) == (404, "session-not-found")
        assert (await http.get(live.path)).status_code == 200
        assert (await mine.delete(live.path)).status_code == 200


@pytest.mark.parametrize("form", ["apiKey", "token"])
async def test_an_expired_token_opens_nothing_and_still_ends_what_it_opened(offer, form):
    with emulator(speed=10) as emu:
        async with browsing(emu.url) as http:
            made = await http.post("/v1/client/tokens", json={"expiresIn": 5})
            key = made.json()[form]
            async with browsing(emu.url, key) as page:
                live = await create(page, offer)
                await asyncio.sleep(0.6)
                assert problem(await page.post(PATH, json=asked(offer))) == (401, "unauthorized")
                assert (await page.delete(live.path)).status_code == 200


async def test_a_browser_may_read_the_headers_that_matter(http, offer):
    answer = await http.post(PATH, json=asked(offer), headers={"Origin": "http://localhost:8888"})
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert {"etag", "location", "retry-after"} <= {part.strip() for part in exposed.split(",")}
    path = answer.headers["location"]
    asking = {
        "Origin": "http://localhost:8888",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "if-match,content-type,x-api-key",
    }
    assert (await http.options(path, headers=asking)).status_code == 200
    assert (await http.options(path, headers=asking | {"Origin": ALIEN})).status_code == 400


# -- ETags ---------------------------------------------------------------------------------------


async def test_every_accepted_patch_makes_the_etags_before_it_stale(http, offer):
    live = await create(http, offer)
    body = {"candidates": [CANDIDATE, None]}
    first = await http.patch(live.path, json=body, headers={"If-Match": live.etag})
    assert (first.status_code, first.content) == (204, b"")
    assert first.headers["etag"] != live.etag
    again = await http.patch(live.path, json=body, headers={"If-Match": live.etag})
    assert problem(again) == (412, "stale-etag")
    assert problem(await http.patch(live.path, json=body)) == (428, "precondition-required")
    current = (await http.get(live.path)).headers["etag"]
    assert current == first.headers["etag"]
    retried = await http.patch(live.path, json=body, headers={"If-Match": current})
    assert retried.status_code == 204


@pytest.mark.parametrize("tag", ["*", '"*"'])
async def test_a_wildcard_is_never_stale(http, offer, tag):
    live = await create(http, offer)
    for _ in range(2):
        body = {"candidates": [CANDIDATE]}
        answer = await http.patch(live.path, json=body, headers={"If-Match": tag})
        assert answer.status_code == 204


async def test_of_patches_at_the_same_moment_one_is_first(http, offer):
    live = await create(http, offer)
    answers = await asyncio.gather(
        *(
            http.patch(live.path, json={"candidates": [CANDIDATE]}, headers={"If-Match": live.etag})
            for _ in range(12)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [204] + [412] * 11


PATCHES = {
    "nothing": ({}, "bad-request"),
    "no list": ({"candidates": 7}, "bad-request"),
    "an empty list": ({"candidates": []}, "bad-request"),
    "numbers": ({"candidates": [7]}, "invalid-candidate"),
    "words": ({"candidates": ["hello"]}, "invalid-candidate"),
    "a line feed": ({"candidates": [{"candidate": "candidate:1 1\n"}]}, "invalid-candidate"),
    "a third component": (
        {"candidates": ["candidate:1 3 UDP 1 127.0.0.1 9 typ host"]},
        "invalid-candidate",
    ),
    "too many": ({"candidates": [CANDIDATE] * 101}, "invalid-candidate"),
    "no offer": ({"sdp": "x"}, "invalid-sdp"),
}


@pytest.mark.parametrize(("body", "slug"), PATCHES.values(), ids=PATCHES)
async def test_a_refused_patch_leaves_the_etag_as_it_was(http, offer, body, slug):
    live = await create(http, offer)
    answer = await http.patch(live.path, json=body, headers={"If-Match": live.etag})
    assert problem(answer) == (400, slug)
    assert (await http.get(live.path)).headers["etag"] == live.etag


async def test_a_candidate_that_is_repeated_is_taken_once(emu, http, offer, monkeypatch):
    live = await create(http, offer)
    peer, taken = emu.sessions[live.id].peer, []
    take = peer.add_candidate
    monkeypatch.setattr(peer, "add_candidate", lambda c: taken.append(c) or take(c))
    tag = live.etag
    for _ in range(3):
        body = {"candidates": [CANDIDATE, CANDIDATE, None]}
        answer = await http.patch(live.path, json=body, headers={"If-Match": tag})
        tag = answer.headers["etag"]
    assert [c and c.candidate for c in taken] == [CANDIDATE["candidate"], None]


# -- what it shows -------------------------------------------------------------------------------


async def test_a_prompt_is_echoed_as_it_was_given(emu, http, offer):
    live = await create(http, offer)
    answer = await http.post(f"{live.path}/prompt", json={"prompt": "  Ink "})
    assert (answer.status_code, answer.json()) == (200, {"prompt": "  Ink "})
    [entry] = [entry for entry in emu.ledger if entry.session_id == live.id]
    assert entry.enhanced_prompt.startswith("Ink. ")
    plain = {"prompt": "Ink", "enhance_prompt": False}
    await http.post(f"{live.path}/prompt", json=plain)
    assert entry.enhanced_prompt == "Ink"


async def test_an_image_is_set_and_cleared(http, offer):
    live = await create(http, offer)
    body = {"image_data": png64(), "prompt": "this one", "enhance_prompt": True}
    answer = await http.post(f"{live.path}/image", json=body)
    assert (answer.status_code, answer.json()) == (200, {"prompt": "this one"})
    answer = await http.post(f"{live.path}/image", json={"image_data": None})
    assert (answer.status_code, answer.json()) == (200, {"prompt": None})


async def test_a_file_that_was_uploaded_can_be_named(http, offer):
    live = await create(http, offer)
    files = {"file": ("x.png", io.BytesIO(still("PNG")))}
    name = (await http.post("/v1/files", files=files)).json()["id"]
    answer = await http.post(f"{live.path}/image", json={"image_ref": name})
    assert answer.status_code == 200
    answer = await http.post(f"{live.path}/image", json={"image_ref": "file_none"})
    assert problem(answer) == (422, "invalid-image")


@pytest.mark.parametrize(
    ("part", "body", "status", "slug"),
    [
        ("prompt", {}, 400, "bad-request"),
        ("prompt", {"prompt": None}, 400, "bad-request"),
        ("prompt", {"prompt": "[[BLOCKED]]"}, 422, "moderation-rejected"),
        ("prompt", {"prompt": "x" * 100_001}, 413, "content-too-large"),
        ("image", {}, 400, "bad-request"),
        ("image", {"image_data": "A" * 10_000_001}, 413, "content-too-large"),
        ("image", {"image_data": "aGVsbG8="}, 422, "invalid-image"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_refused_change_leaves_the_session_alive(http, offer, part, body, status, slug):
    live = await create(http, offer, prompt="ink")
    assert problem(await http.post(f"{live.path}/{part}", json=body)) == (status, slug)
    assert (await http.get(live.path)).status_code == 200
    good = await http.post(f"{live.path}/prompt", json={"prompt": "snow"})
    assert good.status_code == 200


# -- events --------------------------------------------------------------------------------------


async def test_events_come_in_order_and_end_with_an_empty_field(http, offer):
    live = await create(http, offer)
    reading = asyncio.ensure_future(_all(live))
    await asyncio.sleep(0.1)
    await http.delete(live.path)
    told = await reading
    assert told[-1] == (0, "", {})
    assert told[-2][1:] == ("generation_ended", {"seconds": 0, "reason": "disconnect"})
    candidates = [data for _, name, data in told if name == "ice-candidate"]
    assert candidates[-1] == {"candidate": None}
    assert all(data["candidate"].startswith("candidate:") for data in candidates[:-1])
    ids = [number for number, *_ in told[:-1]]
    assert ids == sorted(set(ids))
    gone = await http.get(f"{live.path}/events", params={"event_token": live.token})
    assert problem(gone) == (410, "session-ended")


async def _all(live, **kwargs):
    return [event async for event in live.listen(**kwargs)]


async def test_a_stream_is_one_of_events_and_is_not_cached(http, offer):
    live = await create(http, offer)
    query = {"event_token": live.token}
    async with http.stream("GET", f"{live.path}/events", params=query) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"


async def test_a_stream_is_taken_up_where_it_ended(http, offer):
    live = await create(http, offer)
    first = [event async for event in _first(live, 2)]
    reading = asyncio.ensure_future(_all(live, last_id=first[-1][0]))
    await asyncio.sleep(0.1)
    await http.delete(live.path)
    rest = await reading
    whole = first + rest[:-1]
    assert [number for number, *_ in whole] == list(range(1, len(whole) + 1))


async def test_event_tokens_read_one_session_and_do_nothing_else(emu, http, offer):
    one, two = await create(http, offer), await create(http, offer)
    fresh = (await http.get(one.path)).json()["events"]["event_token"]
    assert fresh != one.token
    async with httpx.AsyncClient(base_url=emu.url) as stranger:
        url = f"{one.path}/events"
        for token in ("", "evt_x.y", two.token, one.token[:-1], "ß"):
            answer = await stranger.get(url, params={"event_token": token})
            assert problem(answer) == (401, "unauthorized")
        assert problem(await stranger.get(url)) == (401, "unauthorized")
        for token in (one.token, fresh):  # old ones stay good
            query = {"event_token": token}
            async with stranger.stream("GET", url, params=query) as answer:
                assert answer.status_code == 200
        asking = {"x-api-key": one.token}
        answer = await stranger.delete(one.path, headers=asking)
        assert problem(answer) == (401, "unauthorized")


@pytest.mark.parametrize("name", ["rs_nothing", "x" * 300, "..%2f..", "%00"])
async def test_nobodys_session_is_not_found(http, name):
    for method, rest in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/prompt"),
        ("GET", "/events"),
    ]:
        answer = await http.request(method, f"{PATH}/{name}{rest}", json={})
        assert problem(answer)[0] == 404


async def test_what_is_over_is_not_found_but_for_its_events(http, offer):
    live = await create(http, offer)
    await http.delete(live.path)
    headers = {"If-Match": "*"}
    for method, rest in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/prompt")]:
        answer = await http.request(method, live.path + rest, json={"prompt": "x"}, headers=headers)
        assert problem(answer) == (404, "session-ended")


async def test_another_method_is_a_problem_too(http):
    assert problem(await http.put(PATH)) == (405, "method-not-allowed")


# -- media ---------------------------------------------------------------------------------------


async def test_media_flows_and_is_counted(emu, http):
    async with calling() as call:
        live = await connect(http, call, prompt="ink")
        told = await live.events(until="generation_tick")
        names = [name for _, name, _ in told if name != "ice-candidate"]
        assert names == ["generation_started", "generation_tick"]
        assert told[-1][2] == {"seconds": 1}
        await until(lambda: len(call.frames) > 10 and call.sounds > 10)
        assert (await http.get(live.path)).json()["status"] == "generating"
        summary = (await http.delete(live.path)).json()
    [entry] = [entry for entry in emu.ledger if entry.session_id == live.id]
    assert summary["seconds"] == entry.seconds >= 1
    assert entry.price == pytest.approx(0.02 * entry.seconds)
    assert entry.reason == "disconnect"


async def test_a_client_without_sound_is_served(http):
    async with calling(audio=False) as call:
        live = await connect(http, call)
        await until(lambda: len(call.frames) > 3)
        await http.delete(live.path)


async def test_an_offer_that_nobody_asked_for_brings_another_peer(http):
    async with calling() as call:
        live = await connect(http, call)
        await until(lambda: call.frames)
        async with calling() as second:
            body = {"sdp": {"type": "offer", "sdp": await second.offer()}}
            answer = await http.patch(live.path, json=body, headers={"If-Match": '"*"'})
            assert answer.status_code == 200
            assert answer.headers["etag"] != live.etag
            await second.accept(answer.json()["sdp"]["sdp"])
            await until(lambda: len(second.frames) > 3)
            told = await live.events(until="generation_tick")
            assert [name for _, name, _ in told].count("generation_started") == 1
            await http.delete(live.path)


async def test_or_is_refused_where_the_settings_say_so(offer):
    with emulator(restarts="refuse") as emu:
        async with browsing(emu.url) as http:
            live = await create(http, offer)
            body = {"sdp": {"type": "offer", "sdp": offer}}
            answer = await http.patch(live.path, json=body, headers={"If-Match": "*"})
            assert problem(answer) == (422, "restart-refused")
            assert (await http.get(live.path)).status_code == 200
