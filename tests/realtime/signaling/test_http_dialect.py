"""A session over HTTP, against a service that keeps its rules and breaks at every step."""

from __future__ import annotations

import asyncio
import gc
import json
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decart_lab._log import SafeLogger
from decart_lab.contract.realtime import Ended, Problem, RestartWanted, Started, Tick, Unknown
from decart_lab.errors import (
    AuthError,
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
from decart_lab.realtime.signaling.base import KEEP, Change, Summary
from tests.helpers.signaling import (
    ENDED,
    KEY,
    OFFER,
    QUICK,
    TOKEN,
    SignalingService,
    everywhere,
    lost_after,
    lost_before,
    problem,
    says,
    signaling,
    sse,
    stream,
)

pytestmark = pytest.mark.anyio

TICKS = [sse("generation_tick", {"seconds": n}, n) for n in range(1, 6)]


async def everything(session):
    return [event async for event in session.events()]


async def heard(*streams):
    """Return what is read from these streams, one after another, and the service."""
    service = SignalingService()
    service.then("events", *streams)
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        async with asyncio.timeout(30):
            return await everything(session), service, session


# --- creation -------------------------------------------------------------------------------


async def test_a_creation_says_everything_at_once_and_remembers_what_it_is_told():
    service = SignalingService()
    async with signaling(service) as session:
        answer = await session.open(OFFER, Change("a fox", "aW1hZ2U=", enhance=False))
        farewell = session.farewell()
    [sent] = [r for r in service.requests if r.kind == "create"]
    assert sent.body == {
        "model": "lucy-2.1",
        "sdp": {"type": "offer", "sdp": OFFER},
        "prompt": "a fox",
        "enhance_prompt": False,
        "image_data": "aW1hZ2U=",
    }
    assert answer == "v=0 answer"
    assert (session.session_id, session.ice_servers[0].username) == ("rs_1", "u")
    assert session.expires_at.isoformat() == "2026-11-21T12:00:00+00:00"
    assert (farewell.url, farewell.key.reveal()) == (
        service.url + "/v1/realtime/sessions/rs_1",
        KEY,
    )


@pytest.mark.parametrize(
    ("status", "slug", "cause"),
    [
        (400, "invalid-sdp", RejectedError),
        (401, "unauthorized", AuthError),
        (404, "not-found", NotFoundError),
        (413, "content-too-large", RejectedError),
        (422, "moderation-rejected", ModerationError),
        (422, "unsupported-model", RejectedError),
        (503, "unavailable", ServerError),
    ],
)
async def test_a_refused_creation_is_an_error_of_its_cause_and_leaves_nothing(status, slug, cause):
    service = SignalingService()
    service.then("create", says(status, problem(slug, status), Retry_After="7"))
    async with signaling(service) as session:
        with pytest.raises(cause) as caught:
            await session.open(OFFER, Change("a fox"))
        assert isinstance(caught.value, WebRTCError)
        assert caught.value.retry_after_s == 7
        assert await session.end() is None
    assert [r.kind for r in service.requests] == ["create"]


async def test_an_image_that_is_too_large_is_refused_before_anything_is_sent():
    service = SignalingService()
    async with signaling(service) as session:
        with pytest.raises(InvalidInputError, match="10,000,001 characters"):
            await session.open(OFFER, Change(image="x" * 10_000_001))
    assert service.requests == []


async def test_a_creation_whose_answer_is_lost_is_tried_once_more():
    service = SignalingService()
    service.then("create", lost_after)
    async with signaling(service) as session:
        assert await session.open(OFFER, Change()) == "v=0 answer"
        assert (session.orphans, service.created) == (1, 2)


async def test_a_creation_whose_answer_is_lost_twice_says_that_one_may_have_been_created():
    service = SignalingService()
    service.then("create", lost_after, lost_after, lost_after)
    async with signaling(service) as session:
        with pytest.raises(NetworkError, match="may have been created all the same") as caught:
            await session.open(OFFER, Change())
    assert (caught.value.sent, service.created) == ("all", 2)


@pytest.mark.parametrize(
    "body",
    [b"{", {}, {"session_id": "rs_1"}, {"session_id": "../x", "sdp": {"sdp": "v=0"}}, [1], None],
)
async def test_what_a_senseless_answer_created_is_ended(body):
    service = SignalingService()
    service.then("create", says(201, body, Location="/v1/realtime/sessions/rs_1"))
    async with signaling(service) as session:
        with pytest.raises(ResponseError):
            await session.open(OFFER, Change())
    assert service.deleted == 1


async def test_a_creation_that_is_given_up_is_ended_as_soon_as_it_has_a_name():
    service = SignalingService()
    began = asyncio.Event()

    async def slowly(service, request, writer):
        began.set()
        await asyncio.sleep(0.1)
        await says(*service.reply(request)[:2])(service, request, writer)

    service.then("create", slowly)
    async with signaling(service) as session:
        opening = asyncio.ensure_future(session.open(OFFER, Change()))
        await began.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    assert (service.created, service.deleted) == (1, 1)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/v1/realtime/sessions/us/rs_1", "/v1/realtime/sessions/us/rs_1"),
        ("{url}/v1/realtime/sessions/us/rs_1", "/v1/realtime/sessions/us/rs_1"),
        ("https://api.decart.ai/v1/realtime/sessions/rs_1", "/v1/realtime/sessions/rs_1"),
        ("//evil.example/v1/realtime/sessions/rs_1", "/v1/realtime/sessions/rs_1"),
        ("{url}.evil.example/v1/realtime/sessions/rs_1", "/v1/realtime/sessions/rs_1"),
        ("/v1/jobs/rs_1", "/v1/realtime/sessions/rs_1"),
        ("/v1/realtime/sessions/../../jobs/rs_1", "/v1/realtime/sessions/rs_1"),
        ("/v1/realtime/sessions/rs_2", "/v1/realtime/sessions/rs_1"),
        ("/v1/realtime/sessions/rs_1?x=1", "/v1/realtime/sessions/rs_1"),
        ("", "/v1/realtime/sessions/rs_1"),
    ],
)
async def test_a_location_is_followed_only_to_where_sessions_are(location, path):
    service = SignalingService()
    async with signaling(service) as session:
        service.location = location.format(url=service.url)
        await session.open(OFFER, Change())
        await session.state()
    assert {r.path for r in service.requests if r.kind == "get"} == {path}


# --- events ---------------------------------------------------------------------------------


async def test_events_come_in_order_until_the_end():
    events, service, session = await heard(
        stream(sse("generation_started", id=1), sse("strange", id=2), TICKS[2], ENDED)
    )
    assert events == [Started(), Unknown("strange"), Tick(3.0), Ended(9.0, "timeout")]
    assert service.count("events") == 1
    assert session.inbox.unknown == 1


async def test_the_stream_is_opened_by_its_token_and_not_by_the_key():
    _, service, _ = await heard(stream(ENDED))
    [asked] = [r for r in service.requests if r.kind == "events"]
    assert parse_qs(asked.query) == {"event_token": [TOKEN]}
    assert "x-api-key" not in asked.headers
    assert asked.headers["accept"] == "text/event-stream"
    assert "last-event-id" not in asked.headers


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "ended well"])
async def test_a_cut_stream_resumes_where_it_ended(cut):
    events, service, _ = await heard(
        stream(*TICKS[:2], cut=cut), stream(*TICKS[2:4], cut=cut), stream(TICKS[4], ENDED)
    )
    assert [e.seconds for e in events] == [1, 2, 3, 4, 5, 9]
    asked = [r.headers.get("last-event-id") for r in service.requests if r.kind == "events"]
    assert asked == [None, "2", "4"]


async def test_an_event_that_comes_again_is_told_once():
    events, _, _ = await heard(
        stream(*TICKS[:3], TICKS[2], cut=True), stream(*TICKS), stream(*TICKS, ENDED)
    )
    assert [e.seconds for e in events] == [1, 2, 3, 4, 5, 9]


async def test_the_end_is_believed_under_an_id_that_was_seen():
    events, _, _ = await heard(stream(sse("generation_tick", {"seconds": 1}, 99), ENDED))
    assert events[-1] == Ended(9.0, "timeout")


async def test_a_hundred_cuts_lose_no_event():
    async def one_more(service, request, writer):
        last = int(request.headers.get("last-event-id", 0))
        if last == 100:
            await stream(ENDED)(service, request, writer)
        else:
            await stream(sse("generation_tick", {"seconds": last}, last + 1), cut=True)(
                service, request, writer
            )

    events, service, _ = await heard(*[one_more] * 150)
    assert [e.seconds for e in events] == [*range(100), 9]
    assert service.count("events") >= 101


async def test_gone_means_over_and_is_asked_about_once():
    service = SignalingService()
    service.then("events", stream(TICKS[0], cut=True), says(410, problem("session-ended", 410)))
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        service.gone = True
        with pytest.raises(SessionClosedError) as caught:
            await everything(session)
    assert caught.value.reason == ""
    assert [r.kind for r in service.requests][-3:] == ["events", "events", "get"]


async def test_gone_tells_why_when_the_service_does():
    told = {"status": "ended", "reason": "insufficient_credits", "seconds": 12}
    service = SignalingService()
    service.then("events", says(410))
    service.then("get", says(200, told))
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        assert await everything(session) == [Ended(12.0, "insufficient_credits")]
        assert await session.end() == Summary(12.0, "insufficient_credits")
    assert service.deleted == 0


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_renewed_once_by_asking(status):
    service = SignalingService()
    service.then("events", says(status), stream(TICKS[0], cut=True), says(status), stream(ENDED))
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        assert len(await everything(session)) == 2
    assert service.count("get") == 2


async def test_a_fresh_token_that_is_refused_too_is_an_error():
    service = SignalingService()
    service.then("events", says(401), says(401), says(401))
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        with pytest.raises(AuthError):
            await everything(session)
    assert (service.count("events"), service.count("get")) == (2, 1)


async def test_a_silent_stream_is_taken_for_a_broken_one():
    service = SignalingService()
    service.then("events", stream(TICKS[0], hold=True), stream(ENDED))
    patience = type(QUICK)(**{f: getattr(QUICK, f) for f in QUICK.__slots__} | {"quiet_s": 0.1})
    async with signaling(service, patience=patience) as session:
        await session.open(OFFER, Change())
        async with asyncio.timeout(5):
            assert len(await everything(session)) == 2


@pytest.mark.parametrize(
    "nonsense",
    [
        stream(b"<html>", kind="text/html"),
        stream(TICKS[0], content_encoding="gzip"),
        stream("data: " + "x" * 1_100_000),
        says(500),
        says(204),
        says(404),
        lost_before,
    ],
    ids=["a page", "gzip", "too large", "500", "204", "404", "no answer"],
)
async def test_what_is_no_stream_is_tried_again(nonsense):
    events, _, _ = await heard(nonsense, stream(TICKS[0], ENDED))
    assert [e.seconds for e in events] == [1, 9]


async def test_a_stream_that_never_comes_back_is_an_error_after_a_while():
    service = SignalingService()
    service.then("events", *[says(500)] * 500)
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        with pytest.raises(ServerError):
            await everything(session)


async def test_a_session_that_is_unknown_is_over():
    service = SignalingService()
    service.then("events", says(404))
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        service.gone = True
        with pytest.raises(SessionClosedError):
            await everything(session)


async def test_the_servers_of_a_restart_are_remembered():
    wanted = {"ice_servers": [{"urls": "turn:new.example", "username": "n", "credential": "c"}]}
    events, _, session = await heard(stream(sse("ice-restart", wanted, 1), ENDED))
    assert isinstance(events[0], RestartWanted)
    assert session.ice_servers[0].urls == ("turn:new.example",)


async def test_garbage_is_reported_a_few_times_counted_and_otherwise_ignored():
    garbage = [
        "event: generation_tick\ndata: {]\n\n",
        sse("generation_tick", [1]),
        sse("generation_tick", {"x": 1}),
    ]
    deep = "event: error\ndata: " + "[" * 100_000 + "\n\n"
    events, _, session = await heard(stream(*garbage * 10, deep, ENDED))
    assert all(isinstance(e, Problem) for e in events[:-1])
    assert (len(events), session.inbox.malformed) == (11, 31)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.tuples(
                st.sampled_from(
                    [
                        "ice-candidate",
                        "ice-restart",
                        "generation_tick",
                        "error",
                        "queue_position",
                        "x",
                    ]
                ),
                st.recursive(
                    st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.integers(),
                    lambda inner: (
                        st.lists(inner, max_size=3)
                        | st.dictionaries(
                            st.sampled_from(
                                [
                                    "candidate",
                                    "sdpMid",
                                    "seconds",
                                    "ice_servers",
                                    "urls",
                                    "position",
                                ]
                            ),
                            inner,
                            max_size=3,
                        )
                    ),
                    max_leaves=8,
                ),
            ).map(lambda row: f"event: {row[0]}\ndata: {json.dumps(row[1])}\n\n".encode()),
        ),
        max_size=8,
    )
)
async def test_no_event_of_the_service_stops_the_listening(pieces):
    events, _, _ = await heard(stream(b"\n\n".join([*pieces, b""]), "\n\n" + ENDED))
    assert events[-1] == Ended(9.0, "timeout")


# --- changes --------------------------------------------------------------------------------


async def test_changes_go_one_after_another_in_the_documented_fields():
    service = SignalingService()
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        await asyncio.gather(
            session.change(Change("a", enhance=False)),
            session.change(Change(image="aW1n")),
            session.change(Change(None)),
            session.change(Change("b", None)),
            session.change(Change()),
        )
    sent = [(r.kind, r.body) for r in service.requests if r.kind in ("prompt", "image")]
    assert sent == [
        ("prompt", {"prompt": "a", "enhance_prompt": False}),
        ("image", {"image_data": "aW1n"}),
        ("image", {"image_data": "aW1n", "prompt": None}),
        ("image", {"image_data": None, "prompt": "b", "enhance_prompt": True}),
    ]


async def test_a_prompt_that_is_moderated_leaves_the_session_alive():
    service = SignalingService()
    service.then("prompt", says(422, problem("moderation-rejected", 422)))
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        with pytest.raises(ModerationError):
            await session.change(Change("bad"))
        await session.change(Change("good"))
    assert service.deleted == 0


@pytest.mark.parametrize("mishap", [lost_before, lost_after, says(502)])
async def test_a_change_that_meets_a_restarting_proxy_is_sent_again(mishap):
    service = SignalingService()
    service.then("prompt", mishap)
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        await session.change(Change("a fox"))
    assert service.count("prompt") == 2


async def test_a_change_after_the_end_says_why_without_asking():
    service = SignalingService()
    service.then("events", stream(ENDED))
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        await everything(session)
        with pytest.raises(SessionClosedError, match="timeout") as caught:
            await session.change(Change("late"))
    assert caught.value.reason == "timeout"
    assert service.count("prompt") == 0


async def test_a_reference_to_a_file_is_refused():
    service = SignalingService()
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        with pytest.raises(InvalidInputError, match="no file references"):
            await session.change(Change(KEEP, "file_abc"))


# --- the end --------------------------------------------------------------------------------


async def test_ending_is_done_once_and_gives_the_summary_every_time():
    service = SignalingService()
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        summaries = await asyncio.gather(session.end(), session.end())
        assert [*summaries, await session.end()] == [Summary(7.0, "disconnect")] * 3
    assert service.count("delete") == 1


@pytest.mark.parametrize(
    "mishaps",
    [[lost_before], [lost_after], [says(503)] * 3, [says(500), lost_before, says(429)]],
    ids=["lost", "answer lost", "unavailable", "all of it"],
)
async def test_an_end_is_told_until_it_is_heard(mishaps):
    service = SignalingService()
    service.then("delete", *mishaps)
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        await session.end()
    assert service.deleted == 1


@pytest.mark.parametrize("status", [404, 410])
async def test_ending_what_is_over_is_success(status):
    service = SignalingService()
    service.then("delete", says(status))
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        assert await session.end() is None


async def test_an_end_that_nobody_hears_says_that_it_may_still_be_counted():
    service = SignalingService()
    service.then("delete", *[says(503)] * 100)
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        with pytest.raises(ServerError, match="may still be running, and counted"):
            await session.end()


async def test_who_gives_up_waiting_for_the_end_does_not_stop_it():
    service = SignalingService()
    service.then("delete", says(503))
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await session.end()
    assert service.deleted == 1


async def test_closing_ends_the_events_and_leaves_no_task():
    service = SignalingService()
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        reading = asyncio.ensure_future(everything(session))
        await asyncio.sleep(0.05)
        await session.aclose()
        await session.aclose()
        assert await reading == []
    assert service.deleted == 0
    left = [t for t in asyncio.all_tasks() if "signaling/" in str(t) and "tests" not in str(t)]
    assert left == []


# --- secrets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mishap",
    [says(401), says(500), lost_before, stream(TICKS[0], cut=True), stream(b"x", kind="text/html")],
    ids=["401", "500", "no answer", "cut", "a page"],
)
async def test_neither_key_nor_token_is_in_an_error_its_variables_or_the_log(mishap):
    lines = []
    logger = SafeLogger(
        SimpleNamespace(**dict.fromkeys(["debug", "info", "warning", "error"], lines.append))
    )
    service = SignalingService()
    service.then("events", *[mishap] * 500)
    service.then("get", *[says(500)] * 500)
    async with signaling(service, logger=logger) as session:
        await session.open(OFFER, Change())
        service.then("prompt", *[lost_before] * 50)
        shown = repr(session) + repr(session._resource)
        for call in (everything(session), session.change(Change("a")), session.state()):
            with pytest.raises(WebRTCError) as caught:
                await call
            shown += everywhere(caught.value)
    gc.collect()
    shown += "\n".join(lines)
    for secret in (KEY, TOKEN, "evt_secret", "hush"):
        assert secret not in shown
