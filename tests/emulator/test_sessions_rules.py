"""Rules that hold for any order of requests, and for any nonsense among them."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from decart_lab.emulator import Emulator, emulator
from tests.helpers.calling import PATH, an_offer, asked
from tests.helpers.rest import KEY

OFFER = asyncio.run(an_offer())
LINE = "candidate:{} 1 UDP 2130706431 127.0.0.1 {} typ host"


@pytest.fixture(scope="module")
def emu():
    with emulator(session_limit=None, restart_s=600, idle_s=600) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_fails_inside(caplog):
    """Nothing that a client says may be an error inside, answered or in the background."""
    yield
    failed = [row for row in caplog.records if row.levelno >= logging.ERROR]
    assert [(row.name, row.getMessage()) for row in failed] == []


class Etags(RuleBasedStateMachine):
    """One client's PATCHes against a model of what an ETag allows."""

    emu: Emulator

    @initialize()
    def open(self) -> None:
        self.http = httpx.Client(base_url=self.emu.url, headers=KEY, timeout=20)
        answer = self.http.post(PATH, json=asked(OFFER))
        assert answer.status_code == 201
        self.path = answer.headers["location"]
        self.etags = [answer.headers["etag"]]
        self.open_still = True
        self.sent = 0

    def patch(self, body: Any, tag: str | None) -> httpx.Response:
        headers = {} if tag is None else {"If-Match": tag}
        return self.http.patch(self.path, json=body, headers=headers)

    def candidate(self) -> dict[str, Any]:
        self.sent += 1
        return {"candidates": [LINE.format(self.sent, 1024 + self.sent)]}

    @precondition(lambda self: self.open_still)
    @rule(tag=st.sampled_from(["current", "*", '"*"', "weak"]))
    def a_good_patch_is_taken_and_makes_the_etag_stale(self, tag):
        current = self.etags[-1]
        given = {"current": current, "weak": f"W/{current}"}.get(tag, tag)
        answer = self.patch(self.candidate(), given)
        assert answer.status_code == 204
        assert answer.headers["etag"] not in self.etags
        self.etags.append(answer.headers["etag"])

    @precondition(lambda self: self.open_still)
    @rule(pick=st.integers(0, 20), data=st.sampled_from(["old", "foreign", "bare"]))
    def a_stale_one_is_refused(self, pick, data):
        old = self.etags[pick % len(self.etags)]
        tag = {"old": old, "foreign": '"ice-000000000000"', "bare": "ice"}[data]
        if tag == self.etags[-1]:
            return
        assert self.patch(self.candidate(), tag).status_code == 412

    @precondition(lambda self: self.open_still)
    @rule()
    def none_at_all_is_asked_for(self):
        assert self.patch(self.candidate(), None).status_code == 428

    @precondition(lambda self: self.open_still)
    @rule()
    def nonsense_changes_nothing(self):
        assert self.patch({"candidates": ["x"]}, self.etags[-1]).status_code == 400

    @precondition(lambda self: self.open_still)
    @rule()
    def another_offer_takes_its_turn(self):
        body = {"sdp": {"type": "offer", "sdp": OFFER}}
        answer = self.patch(body, self.etags[-1])
        assert answer.status_code == 200
        assert answer.headers["etag"] not in self.etags
        self.etags.append(answer.headers["etag"])

    @precondition(lambda self: self.open_still)
    @rule()
    def the_end_is_the_end(self):
        assert self.http.delete(self.path).status_code == 200
        self.open_still = False

    @precondition(lambda self: not self.open_still)
    @rule(tag=st.sampled_from(["*", "current", None]))
    def what_is_over_takes_no_patch(self, tag):
        given = self.etags[-1] if tag == "current" else tag
        assert self.patch(self.candidate(), given).status_code == 404

    @invariant()
    def the_current_etag_can_be_read(self):
        if not hasattr(self, "path"):
            return
        answer = self.http.get(self.path)
        if self.open_still:
            assert answer.headers["etag"] == self.etags[-1]
        else:
            assert answer.status_code == 404

    def teardown(self) -> None:
        if hasattr(self, "http"):
            self.http.delete(self.path)
            self.http.close()


def test_etags_keep_to_their_rules(emu):
    machine = type("Machine", (Etags,), {"emu": emu})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# -- nonsense ------------------------------------------------------------------------------------

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=30)
    | st.sampled_from([LINE.format(1, 9), OFFER, "offer", "*", "lucy_2_rt", "[[blocked]]"])
)
KNOWN = (
    "type model sdp prompt enhance_prompt image_data image_ref candidates candidate sdpMid "
    "sdpMLineIndex speed resolution"
)
NAMES = st.text(max_size=5) | st.sampled_from(KNOWN.split())
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=12,
)
LINES = OFFER.splitlines()


@st.composite
def broken_offers(draw) -> str:
    """A real offer with lines left out, doubled, swapped, cut or filled with rubbish."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "cut", "fill"])):
            case "drop":
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case _:
                lines[at] += draw(st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
        lines = lines or ["v=0"]
    return "\r\n".join(lines) + "\r\n"


FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def http(emu):
    with httpx.Client(base_url=emu.url, headers=KEY, timeout=20) as http:
        yield http


@pytest.fixture(scope="module")
def path(http):
    """A session that outlives whatever is said to it."""
    return http.post(PATH, json=asked(OFFER)).headers["location"]


@FUZZ
@given(offer=broken_offers())
def test_a_broken_offer_is_refused_or_answered_and_never_more(http, emu, offer):
    answer = http.post(PATH, content=json.dumps(asked(offer)).encode("utf-8", "surrogatepass"))
    assert answer.status_code in (201, 400), answer.text
    if answer.status_code == 201:
        http.delete(answer.headers["location"])
    else:
        assert answer.json()["type"].endswith("/invalid-sdp")


@FUZZ
@given(body=JSON, part=st.sampled_from(["", "/prompt", "/image"]))
def test_any_json_is_refused_or_taken_and_the_session_goes_on(http, path, body, part):
    method = "POST" if part else "PATCH"
    content = json.dumps(body).encode()
    answer = http.request(method, path + part, content=content, headers={"If-Match": "*"})
    assert answer.status_code in (200, 204, 400, 413, 422), answer.text
    assert http.get(path).status_code == 200


@FUZZ
@given(body=JSON)
def test_any_json_creates_a_session_or_is_refused(http, body):
    answer = http.post(PATH, content=json.dumps(body).encode())
    assert answer.status_code in (400, 413, 422), answer.text


@FUZZ
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused(http, path, content):
    for url in (PATH, f"{path}/prompt", f"{path}/image"):
        assert http.post(url, content=content).status_code == 400


@FUZZ
@given(
    text=st.text(st.characters(exclude_categories=("Cs",)), max_size=60),
    port=st.integers(-5, 70_000),
)
def test_any_candidate_is_refused_or_taken_and_the_session_goes_on(http, path, text, port):
    lines = [text, f"candidate:{text}", LINE.format(text or 1, port), f"candidate:1 1 udp 1 {text}"]
    for line in lines:
        body = {"candidates": [{"candidate": line, "sdpMid": text[:5], "sdpMLineIndex": 0}]}
        answer = http.patch(path, json=body, headers={"If-Match": "*"})
        assert answer.status_code in (204, 400)
    assert http.get(path).status_code == 200


@FUZZ
@given(
    token=st.text(st.characters(exclude_categories=("Cs",)), max_size=60),
    tag=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
)
def test_any_token_and_any_tag_are_refused(http, path, token, tag):
    answer = http.get(f"{path}/events", params={"event_token": token})
    assert answer.status_code == 401
    answer = http.patch(path, json={"candidates": [None]}, headers={"If-Match": tag})
    assert answer.status_code in (412, 204)
    assert (answer.status_code == 204) == (tag in ("*", '"*"', "W/*", 'W/"*"'))


SAYINGS = st.lists(
    st.binary(max_size=40)
    | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace").decode())
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["prompt", "set_image", "offer", "ice-candidate", "answer", ""])},
        optional={
            "prompt": LEAVES,
            "image_data": LEAVES,
            "enhance_prompt": LEAVES,
            "sdp": broken_offers() | LEAVES,
            "candidate": JSON,
        },
    ).map(json.dumps),
    max_size=8,
)


@settings(FUZZ, max_examples=60)
@given(sayings=SAYINGS)
def test_a_socket_bears_anything_that_is_said(emu, sayings):
    from websockets.sync.client import connect

    with connect(f"{emu.ws_url}/v1/stream?api_key=k&model=lucy-2.1", max_size=2**24) as socket:
        for saying in sayings:
            socket.send(saying)
        socket.send(json.dumps({"type": "prompt", "prompt": "the last word"}))
        while True:
            told = json.loads(socket.recv(timeout=20))
            if told.get("type") == "prompt_ack" and told["prompt"] == "the last word":
                assert told["success"] is True
                break
