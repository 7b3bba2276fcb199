"""A session over a WebSocket, against servers that answer well, late, wrongly or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import serve

from decart_lab._log import SafeLogger
from decart_lab.config import Secret
from decart_lab.contract.realtime import (
    Candidate,
    Ended,
    Problem,
    Queued,
    RemoteCandidate,
    RestartWanted,
    Started,
    Tick,
    Unknown,
)
from decart_lab.errors import (
    AuthError,
    CreditsError,
    DeadlineError,
    InvalidAPIKeyError,
    InvalidBaseURLError,
    InvalidInputError,
    ModerationError,
    NetworkError,
    NotFoundError,
    RejectedError,
    ResponseError,
    ServerError,
    SessionClosedError,
    WebRTCError,
)
from decart_lab.realtime.policy import permanent
from decart_lab.realtime.signaling.address import stream_address
from decart_lab.realtime.signaling.base import KEEP, Change, Summary
from decart_lab.realtime.signaling.patience import Patience
from decart_lab.realtime.signaling.subscription import Subscription, make_token, read_token
from decart_lab.realtime.signaling.websocket import WebSocketSignaling
from tests.helpers.signaling import KEY, OFFER, everywhere

pytestmark = pytest.mark.anyio

QUICK = Patience(open_s=5, answer_s=0.3, prompt_s=0.3, image_s=0.3)
HELLO = {"type": "session_id", "session_id": "rs_1", "server_ip": "10.0.0.1", "server_port": 80}
ACK = {"success": True, "error": None}


class Server:
    """Answers as the wire contract says (7.2), but for what a test takes away or adds."""

    def __init__(self, *after, silent=(), instead=None, before=()):
        self.got = []
        self.address = ""
        self.after = after  # sent when the offer is answered
        self.before = before  # sent when the socket opens
        self.silent = silent  # kinds of message that are not answered
        self.instead = instead or {}  # answers by kind

    async def __call__(self, socket):
        self.socket = socket
        self.address = socket.request.path
        for message in (HELLO, *self.before):
            await self.say(socket, message)
        async for text in socket:
            message = json.loads(text)
            self.got.append(message)
            kind = message["type"]
            if kind in self.silent:
                continue
            for answer in self.instead.get(kind, [self.answer(message)]):
                await self.say(socket, answer)
            if kind == "offer":
                for event in self.after:
                    await self.say(socket, event)

    def answer(self, message):
        match message["type"]:
            case "prompt":
                return {
                    "type": "prompt_ack",
                    "prompt": message["prompt"],
                    "success": True,
                    "error": None,
                }
            case "set_image":
                return {"type": "set_image_ack", "success": True, "error": None}
            case "offer":
                return {"type": "answer", "sdp": "v=0 answer"}
        return None

    async def say(self, socket, message):
        if message is None:
            return
        if isinstance(message, int):
            await socket.close(message, "bye")
        elif callable(message):
            await message(socket)
        else:
            await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))


@contextlib.asynccontextmanager
async def talking(server, *, patience=QUICK, viewer=False, logger=None, **server_options):
    async with serve(server, "127.0.0.1", 0, **server_options) as running:
        port = running.sockets[0].getsockname()[1]
        base = f"ws://127.0.0.1:{port}"
        address, host = stream_address(
            base, Secret(KEY), "/v1/stream", model="lucy-2.1", speed=None
        )
        signaling = WebSocketSignaling(
            address, host, logger=logger or SafeLogger(), patience=patience, viewer=viewer
        )
        try:
            yield signaling
        finally:
            await signaling.aclose()


async def everything(session):
    async with asyncio.timeout(10):
        return [event async for event in session.events()]


def candidate(number):
    return Candidate(f"candidate:{number} 1 udp 1 ::1 9 typ host", "0", 0)


# --- opening --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initial", "said"),
    [
        (Change(), {"type": "set_image", "image_data": None, "prompt": None}),
        (Change("fox"), {"type": "prompt", "prompt": "fox", "enhance_prompt": True}),
        (
            Change("fox", "aW0=", enhance=False),
            {"type": "set_image", "image_data": "aW0=", "prompt": "fox", "enhance_prompt": False},
        ),
        (Change(image="file_1"), {"type": "set_image", "image_ref": "file_1"}),
    ],
)
async def test_the_state_is_acknowledged_before_the_offer_goes(initial, said):
    server = Server()
    async with talking(server) as session:
        assert await session.open(OFFER, initial) == "v=0 answer"
        assert session.simulated is False
    assert server.got == [said, {"type": "offer", "sdp": OFFER}]
    asked = urlsplit(server.address)
    assert (asked.path, parse_qs(asked.query)) == (
        "/v1/stream",
        {"api_key": [KEY], "model": ["lucy-2.1"]},
    )


async def test_a_viewer_only_offers():
    server = Server()
    async with talking(server, viewer=True) as session:
        await session.open(OFFER, Change())
        with pytest.raises(InvalidInputError, match="viewer"):
            await session.change(Change("mine"))
        assert session.subscribe_token is None
    assert [m["type"] for m in server.got] == ["offer"]


async def test_the_session_is_named_and_can_be_shared():
    async with talking(Server()) as session:
        await session.open(OFFER, Change())
        assert session.session_id == "rs_1"
        assert read_token(session.subscribe_token) == Subscription("rs_1", "10.0.0.1", 80)


@pytest.mark.parametrize(
    ("words", "cause", "final"),
    [
        ("Invalid API key", AuthError, True),
        ("401", AuthError, True),
        ("Invalid session: over", NotFoundError, True),
        ("Input rejected by moderation: no", ModerationError, True),
        ("Insufficient credits", CreditsError, True),
        ("At capacity, try again", ServerError, False),
        ("", ServerError, False),
    ],
)
@pytest.mark.parametrize("closing", [(), (1008,), (1013,)], ids=["open", "1008", "1013"])
async def test_an_error_at_the_beginning_is_of_its_cause(words, cause, final, closing):
    server = Server(before=[{"type": "error", "error": words}, *closing], silent={"set_image"})
    async with talking(server) as session:
        with pytest.raises(WebRTCError) as caught:
            await session.open(OFFER, Change())
    assert isinstance(caught.value, cause)
    assert permanent(caught.value) == final


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_a_refused_upgrade_is_an_error_with_its_status(status):
    def refuse(connection, request):
        response = connection.respond(status, "no")
        response.headers["Retry-After"] = "3"
        return response

    async with talking(Server(), process_request=refuse) as session:
        with pytest.raises(WebRTCError) as caught:
            await session.open(OFFER, Change())
    assert (caught.value.status, caught.value.retry_after_s) == (status, 3)


async def test_no_redirect_is_followed_with_the_key():
    seen = []

    def redirect(connection, request):
        seen.append(request.path)
        response = connection.respond(302, "there")
        response.headers["Location"] = "/elsewhere?api_key=stolen"
        return response

    async with talking(Server(), process_request=redirect) as session:
        with pytest.raises(ResponseError, match="redirected"):
            await session.open(OFFER, Change())
    assert len(seen) == 1


async def test_nobody_there_is_a_network_error():
    address, host = stream_address("ws://127.0.0.1:9", Secret(KEY), "/v1/stream")
    session = WebSocketSignaling(address, host, logger=SafeLogger())
    with pytest.raises(NetworkError, match=r"No answer from 127\.0\.0\.1:9"):
        await session.open(OFFER, Change())
    await session.end()


@pytest.mark.parametrize("kind", ["set_image", "offer"])
async def test_an_answer_that_does_not_come_is_not_waited_for_and_leaves_nothing_open(kind):
    server = Server(silent={kind})
    async with talking(server) as session:
        with pytest.raises(DeadlineError):
            await session.open(OFFER, Change())
        async with asyncio.timeout(5):
            await server.socket.wait_closed()


async def test_news_of_the_queue_give_every_step_its_time_anew():
    async def queue(socket):
        for place in range(5, 0, -1):
            await socket.send(
                json.dumps({"type": "queue_position", "position": place, "queue_size": 9})
            )
            await asyncio.sleep(0.15)
        await socket.send(json.dumps({"type": "answer", "sdp": "v=0 late"}))

    server = Server(instead={"offer": [queue]})
    async with talking(server) as session:
        assert await session.open(OFFER, Change()) == "v=0 late"
        heard = session.events()
        assert [await anext(heard) for _ in range(5)] == [Queued(n, 9) for n in range(5, 0, -1)]


async def test_opening_as_a_whole_has_its_time():
    async def queue(socket):
        for place in range(100):
            await socket.send(json.dumps({"type": "queue_position", "position": place}))
            await asyncio.sleep(0.05)

    server = Server(instead={"offer": [queue]})
    async with talking(server, patience=Patience(open_s=0.5, answer_s=0.3)) as session:
        with pytest.raises(DeadlineError, match=r"longer than 0\.5 s"):
            await session.open(OFFER, Change())


async def test_an_opening_that_is_given_up_closes_the_socket():
    server = Server(silent={"offer"})
    async with talking(server, patience=Patience()) as session:
        opening = asyncio.ensure_future(session.open(OFFER, Change()))
        while len(server.got) < 2:
            await asyncio.sleep(0.01)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        async with asyncio.timeout(5):
            await server.socket.wait_closed()


# --- changes --------------------------------------------------------------------------------


async def test_changes_wait_for_their_own_acknowledgement():
    stray = {"type": "prompt_ack", "prompt": "another", "success": False, "error": "not yours"}
    mine = {"type": "prompt_ack", "prompt": "fox", "success": True, "error": None}
    async with talking(Server(instead={"prompt": [stray, mine]})) as session:
        await session.open(OFFER, Change())
        await session.change(Change("fox"))


@pytest.mark.parametrize(
    ("error", "cause"),
    [("Input rejected by moderation", ModerationError), ("Bad picture", RejectedError)],
)
async def test_a_refused_change_is_an_error_and_the_session_goes_on(error, cause):
    refusal = {"type": "prompt_ack", "prompt": "bad", "success": False, "error": error}
    server = Server(instead={"prompt": [refusal]})
    async with talking(server) as session:
        await session.open(OFFER, Change())
        with pytest.raises(cause):
            await session.change(Change("bad"))
        server.instead.clear()
        await session.change(Change("good"))


async def test_clearing_the_prompt_keeps_the_image():
    server = Server()
    async with talking(server) as session:
        await session.open(OFFER, Change("fox", "aW0="))
        await session.change(Change(None))
        await session.change(Change(KEEP, None))
    assert server.got[-2:] == [
        {"type": "set_image", "image_data": "aW0=", "prompt": None},
        {"type": "set_image", "image_data": None},
    ]


async def test_a_late_acknowledgement_is_not_taken_for_that_of_the_next_image():
    late = {"type": "set_image_ack", "success": True, "error": None}
    server = Server()
    async with talking(server) as session:
        await session.open(OFFER, Change())
        server.silent = {"set_image"}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.change(Change(KEEP, "MQ=="))
        server.silent = ()
        server.instead = {"set_image": [late, late | {"success": False, "error": "Bad picture"}]}
        with pytest.raises(RejectedError, match="Bad picture"):
            await session.change(Change(KEEP, "Mg=="))


async def test_an_acknowledgement_that_never_comes_costs_one_change_and_not_all_later_ones():
    server = Server()
    async with talking(server) as session:
        await session.open(OFFER, Change())
        server.silent = {"set_image"}
        with pytest.raises(DeadlineError):
            await session.change(Change(KEEP, "MQ=="))
        server.silent = ()
        with contextlib.suppress(DeadlineError):
            await session.change(Change(KEEP, "Mg=="))
        await session.change(Change(KEEP, "Mw=="))


async def test_an_error_fails_what_waits_and_is_told_and_the_session_goes_on():
    server = Server(instead={"prompt": [{"type": "error", "error": "Out of order"}]})
    async with talking(server) as session:
        await session.open(OFFER, Change())
        with pytest.raises(ServerError, match="Out of order"):
            await session.change(Change("fox"))
        assert await anext(session.events()) == Problem("Out of order")
        await session.change(Change(KEEP, None))


# --- events and the end ---------------------------------------------------------------------


async def test_events_come_in_order_until_the_end():
    server = Server(
        {"type": "status", "status": "Ready"},
        {"type": "ready"},
        {"type": "generation_started"},
        {"type": "ice-candidate", "candidate": {"candidate": None}},
        {"type": "generation_tick", "seconds": 1},
        {"type": "news"},
        {"type": "generation_ended", "seconds": 2, "reason": "timeout"},
        1000,
    )
    async with talking(server) as session:
        await session.open(OFFER, Change())
        assert await everything(session) == [
            Started(),
            RemoteCandidate(None),
            Tick(1.0),
            Unknown("news"),
            Ended(2.0, "timeout"),
        ]
        assert await session.end() == Summary(2.0, "timeout")
        with pytest.raises(SessionClosedError) as caught:
            await session.change(Change("late"))
        assert caught.value.reason == "timeout"


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1013, 4000])
async def test_a_socket_that_closes_without_a_word_ends_the_session_but_not_for_good(code):
    async with talking(Server(code)) as session:
        await session.open(OFFER, Change())
        with pytest.raises(SessionClosedError, match=f"code {code}: bye") as caught:
            await everything(session)
    assert (caught.value.reason, caught.value.data["code"]) == ("", code)
    assert not permanent(caught.value)


async def test_a_socket_that_breaks_ends_what_waits_with_a_name():
    async def cut(socket):
        socket.transport.abort()

    async with talking(Server(instead={"prompt": [cut]})) as session:
        await session.open(OFFER, Change())
        with pytest.raises(SessionClosedError, match="code 1006"):
            await session.change(Change("fox"))
        with pytest.raises(SessionClosedError):
            await everything(session)
        with pytest.raises(SessionClosedError):
            await session.send_candidates([None])


async def test_a_server_that_answers_no_ping_is_noticed():
    async def sleep(socket):
        socket.transport.pause_reading()

    server = Server(sleep)
    async with talking(server, patience=Patience(quiet_s=0.3), close_timeout=0.1) as session:
        await session.open(OFFER, Change())
        with pytest.raises(SessionClosedError):
            await everything(session)


async def test_candidates_and_restarts_go_both_ways():
    wanted = {
        "type": "ice-restart",
        "turn_config": {"username": "u", "credential": "c", "server_url": "turn:t"},
    }
    server = Server(wanted)
    async with talking(server) as session:
        await session.open(OFFER, Change())
        assert isinstance(await anext(session.events()), RestartWanted)
        assert session.can_reoffer
        await session.send_candidates([candidate(1), None])
        again = await session.reoffer("v=0 second")
    assert (again.answer_sdp, again.ice_servers[0].urls) == ("v=0 answer", ("turn:t",))
    assert [m for m in server.got if m["type"] == "ice-candidate"] == [
        {"type": "ice-candidate", "candidate": candidate(1).as_json()},
        {"type": "ice-candidate", "candidate": None},
    ]


async def test_ending_closes_the_socket_in_good_order_and_can_be_repeated():
    server = Server()
    async with talking(server) as session:
        await session.open(OFFER, Change())
        assert [await session.end(), await session.end()] == [None, None]
        await server.socket.wait_closed()
        assert server.socket.close_code == 1000
        assert await everything(session) == []


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "candidate", "seconds", "session_id", "error", "sdp", "prompt"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
KINDS = [
    "answer",
    "error",
    "session_id",
    "prompt_ack",
    "set_image_ack",
    "ice-candidate",
    "ice-restart",
]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.text(max_size=40)
        | st.binary(max_size=40)
        | st.tuples(st.sampled_from(KINDS), anything).map(
            lambda row: json.dumps(
                {"type": row[0]} | (row[1] if isinstance(row[1], dict) else {"error": row[1]})
            )
        ),
        max_size=8,
    )
)
async def test_no_message_of_the_service_stops_the_reading(messages):
    harmless = [m for m in messages if not (isinstance(m, str) and "generation_ended" in m)]
    server = Server(*harmless, {"type": "generation_ended", "seconds": 2, "reason": "timeout"})
    async with talking(server) as session:
        await session.open(OFFER, Change())
        assert (await everything(session))[-1] == Ended(2.0, "timeout")


@pytest.mark.parametrize("message", ["x" * 1_100_000, "[" * 100_000, '{"type": 7}', b"\xff\x00"])
async def test_garbage_is_reported_or_ends_the_session_with_a_name(message):
    server = Server(message, {"type": "generation_ended", "seconds": 2, "reason": "timeout"})
    async with talking(server) as session:
        await session.open(OFFER, Change())
        if len(message) > 1_000_000:
            with pytest.raises(SessionClosedError):
                await everything(session)
        else:
            problem, end = await everything(session)
            assert "makes no sense" in problem.title
            assert isinstance(end, Ended)


# --- addresses, tokens, secrets --------------------------------------------------------------


def test_the_key_is_only_sent_where_nobody_listens_in():
    for base in ("ws://api.example", "http://10.0.0.1:80"):
        with pytest.raises(InvalidBaseURLError, match="unencrypted"):
            stream_address(base, Secret(KEY), "/v1/stream")
    with pytest.raises(InvalidAPIKeyError, match="websocket dialect"):
        stream_address("wss://api.example", None, "/v1/stream")
    address, host = stream_address(
        "https://api.example/x/", Secret("a&b"), "/v1/stream", speed="fast"
    )
    assert address.reveal() == "wss://api.example/x/v1/stream?api_key=a%26b&speed=fast"
    assert (host, KEY in repr((address, host))) == ("api.example", False)


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}", fullmatch=True),
    st.ip_addresses().map(str),
    st.integers(1, 65_535),
)
def test_a_token_names_its_session_in_either_alphabet(name, ip, port):
    told = Subscription(name, ip, port)
    token = make_token(told)
    assert read_token(token) == read_token(token.translate(str.maketrans("-_", "+/"))) == told
    assert read_token(token.rstrip("=")) == told


@given(
    st.text(max_size=60) | st.binary().map(lambda b: make_token(Subscription(str(b), "x y", -1)))
)
def test_what_is_no_token_is_refused(token):
    with pytest.raises(InvalidInputError, match="no subscribe token"):
        read_token(token)


@pytest.mark.parametrize("mishap", ["401", "nobody", "silence", "cut", "error"])
async def test_the_key_is_in_no_error_no_variable_and_no_log(mishap, caplog):
    caplog.set_level(logging.DEBUG)
    options = {}
    server = Server()
    if mishap == "401":
        options["process_request"] = lambda connection, _: connection.respond(401, "no")
    elif mishap == "silence":
        server.silent = {"offer"}
    elif mishap == "cut":
        server.instead = {"offer": [1011]}
    elif mishap == "error":
        server.instead = {"offer": [{"type": "error", "error": f"no such api_key={KEY}"}]}
    async with talking(server, **options) as session:
        if mishap == "nobody":
            address, host = stream_address("ws://127.0.0.1:9", Secret(KEY), "/v1/stream")
            session = WebSocketSignaling(address, host, logger=SafeLogger())
        with pytest.raises(WebRTCError) as caught:
            await session.open(OFFER, Change())
        shown = everywhere(caught.value) + repr(session) + repr(vars(session))
    ours = [r.getMessage() for r in caplog.records if "server" not in r.name]
    assert KEY not in shown + "\n".join(ours)
