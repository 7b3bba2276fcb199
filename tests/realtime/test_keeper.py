"""One task keeps a session connected; whatever happens, nothing is left running at the service."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decart_lab._clock import ManualClock
from decart_lab.contract.realtime import (
    Candidate,
    Ended,
    Problem,
    RemoteCandidate,
    RestartWanted,
    SessionState,
    Started,
    Tick,
    Unknown,
)
from decart_lab.errors import (
    AuthError,
    DecartSDKError,
    ModerationError,
    NetworkError,
    NotFoundError,
    ServerError,
    SessionClosedError,
    WebRTCError,
    combined,
)
from decart_lab.realtime.keeper import Keeper, Outcome
from decart_lab.realtime.policy import NEVER, Reconnect
from decart_lab.realtime.signaling.base import Change
from tests.helpers.scripted import Service

S = SessionState


class Owner:
    """What a session would note."""

    def __init__(self) -> None:
        self.states: list[SessionState] = []
        self.events: list[Any] = []
        self.told: list[tuple[str, Any]] = []
        self.problems: list[DecartSDKError] = []
        self.ids: list[str] = []
        self.change = Change(prompt="anime")
        self.reason: str | None = None
        self.sending: float | None = None

    def wanted(self) -> Change:
        return self.change

    def identify(self, signaling: Any) -> None:
        self.ids += [signaling.session_id] if signaling.session_id else []

    def on_state(self, state: SessionState) -> None:
        self.states.append(state)

    def on_event(self, event: Any) -> None:
        self.events.append(event)

    def on_peer(self, peer: Any) -> None:
        pass

    def on_gone(self, summary: Any) -> None:
        pass

    def on_problem(self, error: DecartSDKError) -> None:
        self.problems.append(error)

    def tell(self, name: str, data: object) -> None:
        self.told.append((name, data))

    def look(self, now: float) -> str | None:
        return self.reason

    def sending_since(self) -> float | None:
        return self.sending


class Kept:
    """A keeper at work on a scripted service."""

    def __init__(self, service: Service, policy: Reconnect | None = None) -> None:
        self.clock, self.owner, self.service = ManualClock(), Owner(), service
        self.keeper = Keeper(
            service.link(self.clock), self.owner, policy or Reconnect(), self.clock
        )
        self.task = asyncio.create_task(self.keeper.run())

    async def stop(self) -> Outcome:
        self.keeper.stop("disconnect")
        return await self.task


async def _kept(service: Service | None = None, policy: Reconnect | None = None) -> Kept:
    kept = Kept(service or Service(), policy)
    await kept.clock.advance(1)
    return kept


async def test_a_session_connects_listens_and_is_ended_once() -> None:
    kept = await _kept()
    for event in (Started(), Tick(1.0), Unknown("x"), Problem("hm")):
        kept.service.say(event)
    await kept.clock.advance(1)
    assert await kept.stop() == Outcome("disconnect")
    assert kept.owner.states == [S.CONNECTING, S.CONNECTED]
    assert kept.owner.events == [Started(), Tick(1.0), Unknown("x"), Problem("hm")]
    assert [session.ends for session in kept.service.sessions] == [1]
    assert all(peer.closed for peer in kept.service.peers)


async def test_a_lost_event_stream_makes_a_new_session_that_shows_the_same() -> None:
    kept = await _kept()
    kept.owner.change = Change(prompt="ink", image="aGk=")  # what was accepted meanwhile
    kept.service.say(NetworkError("the stream broke"))
    await kept.clock.advance(3)
    first, second = kept.service.sessions
    assert (first.ends, second.opened) == (1, True)
    assert second.initial == Change(prompt="ink", image="aGk=")
    assert kept.owner.states == [S.CONNECTING, S.CONNECTED, S.RECONNECTING, S.CONNECTED]
    await kept.stop()


@pytest.mark.parametrize("reason", ["timeout", "moderation_violation", "nobody knows this word"])
async def test_a_final_reason_ends_it_verbatim_and_nothing_new_is_made(reason: str) -> None:
    kept = await _kept()
    kept.service.say(Ended(12.0, reason))
    await kept.clock.advance(60)
    outcome = await kept.task
    assert outcome.reason == reason
    assert isinstance(outcome.error, SessionClosedError)
    assert len(kept.service.sessions) == 1


@pytest.mark.parametrize("reason", ["ice_failure", "error"])
async def test_a_fault_of_the_network_is_survived(reason: str) -> None:
    kept = await _kept()
    kept.service.say(Ended(12.0, reason))
    await kept.clock.advance(3)
    assert len(kept.service.running) == 1
    assert kept.keeper.up.is_set()
    await kept.stop()


async def test_a_restart_that_is_wanted_brings_a_new_peer_on_the_same_session() -> None:
    kept = await _kept()
    kept.service.say(RestartWanted(()))
    await kept.clock.advance(1)
    assert len(kept.service.sessions) == 1
    assert [peer.state for peer in kept.service.peers] == ["closed", "connected"]
    assert ("restarted", None) in kept.owner.told
    await kept.stop()


async def test_of_several_restarts_that_wait_only_the_newest_is_made() -> None:
    kept = await _kept()
    for _ in range(5):
        kept.service.say(RestartWanted(()))
    await kept.clock.advance(5)
    assert len(kept.service.peers) <= 3  # the first, perhaps one that was under way, the newest
    assert kept.service.peers[-1].state == "connected"
    await kept.stop()


async def test_media_that_is_lost_comes_back_on_the_same_session() -> None:
    kept = await _kept()
    kept.service.peers[-1].become("failed")
    await kept.clock.advance(1)
    assert (len(kept.service.sessions), len(kept.service.peers)) == (1, 2)
    assert kept.owner.states[-2:] == [S.RECONNECTING, S.CONNECTED]
    await kept.stop()


async def test_a_session_that_refuses_a_new_offer_is_ended_and_replaced() -> None:
    refused = combined(WebRTCError, NotFoundError)("gone", status=404)
    kept = await _kept(Service(reoffers=[refused]))
    kept.service.peers[-1].become("failed")
    await kept.clock.advance(5)
    assert [session.over for session in kept.service.sessions] == [True, False]
    await kept.stop()


async def test_a_session_is_held_while_the_network_is_away() -> None:
    kept = await _kept(Service(reoffers=[NetworkError("no route")] * 4))
    kept.service.peers[-1].become("failed")
    await kept.clock.advance(25)
    assert len(kept.service.sessions) == 1
    assert kept.service.peers[-1].state == "connected"
    await kept.stop()


async def test_silence_while_we_send_is_noticed_and_mended() -> None:
    kept = await _kept()
    kept.owner.sending = 0.0
    kept.service.peers[-1].last_packet_s = kept.clock.now()
    await kept.clock.advance(2.0)
    assert [name for name, _ in kept.owner.told] == ["stalled"]
    await kept.clock.advance(4.0)
    assert len(kept.service.peers) == 2
    await kept.stop()


async def test_silence_while_nothing_is_sent_is_no_fault() -> None:
    kept = await _kept()
    kept.service.peers[-1].last_packet_s = kept.clock.now()
    await kept.clock.advance(60.0)
    assert (len(kept.service.peers), kept.owner.told) == (1, [])
    await kept.stop()


async def test_a_permanent_error_is_not_tried_again() -> None:
    refused = combined(WebRTCError, AuthError)("Invalid API key", status=401)
    kept = await _kept(Service(refusals=[refused]))
    assert (await kept.task).error is refused
    assert len(kept.service.sessions) == 1


async def test_moderation_of_the_first_prompt_leaves_nothing_behind() -> None:
    refused = combined(WebRTCError, ModerationError)("refused", status=422)
    kept = await _kept(Service(refusals=[refused]))
    assert (await kept.task).error is refused
    assert kept.service.running == []


async def test_tries_come_at_growing_intervals_and_come_to_an_end() -> None:
    down = combined(WebRTCError, ServerError)("down", status=500)
    kept = await _kept(Service(refusals=[down] * 20))
    await kept.clock.advance(100)
    assert (await kept.task).error is down
    assert len(kept.service.sessions) == 6


async def test_a_busy_service_is_not_waited_for_longer_than_ten_seconds_at_first() -> None:
    busy = combined(WebRTCError, ServerError)("busy", status=503, retry_after_s=30.0)
    kept = await _kept(Service(refusals=[busy] * 3))
    assert (await kept.task).error is busy
    assert len(kept.service.sessions) == 1


async def test_media_that_never_comes_about_is_an_error_and_the_session_is_ended() -> None:
    kept = await _kept(Service(media=["never"]), NEVER)
    await kept.clock.advance(20)
    outcome = await kept.task
    assert isinstance(outcome.error, WebRTCError)
    assert [session.ends for session in kept.service.sessions] == [1]


async def test_a_reason_of_ours_ends_it() -> None:
    kept = await _kept()
    kept.owner.reason = "max_seconds"
    await kept.clock.advance(1)
    assert await kept.task == Outcome("max_seconds")
    assert kept.service.running == []


async def test_stopping_while_it_reconnects_leaves_nothing_behind() -> None:
    kept = await _kept(Service(refusals=[None, NetworkError("down")]))
    kept.service.say(NetworkError("lost"))
    await kept.clock.advance(1.5)
    assert (await kept.stop()).reason == "disconnect"
    assert kept.service.running == []


_steps = st.sampled_from(
    [
        *("tick", "restart", "restart_fails", "media_fails", "media_never", "stream_breaks"),
        *("ended_network", "refuse_next", "nonsense", "silence", "wait", "wait_long", "gone"),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_steps, max_size=12), st.booleans())
def test_whatever_happens_at_most_one_session_runs_and_none_is_left(
    steps: list[str], can_reoffer: bool
) -> None:
    async def live() -> None:
        kept = await _kept(Service(can_reoffer=can_reoffer))
        service, clock = kept.service, kept.clock
        for step in steps:
            if kept.task.done():
                break
            match step:
                case "tick":
                    service.say(Tick(1.0))
                case "restart":
                    service.say(RestartWanted(()))
                case "restart_fails":
                    service.reoffers.append(NetworkError("away"))
                    service.say(RestartWanted(()))
                case "media_fails":
                    service.peers[-1].become("failed")
                case "media_never":
                    service.media.append("never")
                    service.peers[-1].become("failed")
                case "stream_breaks":
                    service.say(NetworkError("broke"))
                case "gone":
                    service.say(SessionClosedError("gone"))
                case "ended_network":
                    service.say(Ended(math.nan, "ice_failure"))
                case "refuse_next":
                    service.refusals.append(NetworkError("down"))
                case "nonsense":
                    service.say(RemoteCandidate(Candidate("nonsense", "0", 0)))
                case "silence":
                    kept.owner.sending = 0.0
                    service.peers[-1].last_packet_s = clock.now() - 10
                case "wait":
                    await clock.advance(0.3)
                case "wait_long":
                    await clock.advance(12)
            assert len(service.running) <= 1
        await clock.advance(1)
        for _ in range(20):  # six tries that each wait in vain take less than 200 s
            if kept.task.done() or kept.keeper.up.is_set():
                break
            await clock.advance(10)
        assert kept.task.done() or kept.keeper.up.is_set()  # never hanging in between
        await kept.stop()
        assert service.running == []
        assert all(session.ends == 1 for session in service.sessions if session.opened)
        assert all(peer.closed for peer in service.peers)

    asyncio.run(live())
