"""ICE operations go one at a time; no candidate is lost or sent twice, whatever becomes of it."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decart_lab._log import SafeLogger
from decart_lab.contract.realtime import Candidate
from decart_lab.errors import (
    DecartSDKError,
    NetworkError,
    RejectedError,
    SessionClosedError,
    WebRTCError,
    combined,
)
from decart_lab.realtime.signaling.base import Change
from decart_lab.realtime.signaling.ice import TRIES, IceSequence
from tests.helpers.signaling import (
    OFFER,
    SignalingService,
    lost_after,
    lost_before,
    says,
    signaling,
    stale,
)

pytestmark = pytest.mark.anyio


def candidate(number):
    return Candidate(f"candidate:{number} 1 udp 1 127.0.0.1 {number} typ host", "0", 0)


def numbers(candidates):
    return [c if c is None else int(c["candidate"].split(":")[1].split()[0]) for c in candidates]


class Rules:
    """The service's side of the sequence, after the wire contract (7.1), with a list of mishaps."""

    def __init__(self, mishaps=()):
        self.etag = "1"  # as the client knows it
        self.mishaps = list(mishaps)
        self.applied = []
        self.patches = 0
        self.offers = []
        self.busy = False
        self.hold = None
        self._current = 1

    async def refresh(self):
        await asyncio.sleep(0)
        self.etag = str(self._current)

    async def patch(self, what, body, if_match):
        assert not self.busy, "two at a time"
        self.busy = True
        try:
            await asyncio.sleep(0)
            if self.hold is not None:
                await self.hold.wait()
            return await self._patch(body, if_match)
        finally:
            self.busy = False

    async def _patch(self, body, if_match):
        self.patches += 1
        mishap = self.mishaps.pop(0) if self.mishaps else "none"
        if mishap == "race":
            self._current += 1
        if mishap == "never left":
            raise combined(WebRTCError, NetworkError)("refused", sent="none")
        if mishap == "lost on the way":
            raise combined(WebRTCError, NetworkError)("lost", sent="all")
        if mishap == "no if-match":
            raise combined(WebRTCError, RejectedError)("428", status=428)
        if if_match not in (str(self._current), "*"):
            raise combined(WebRTCError, RejectedError)("412", status=412)
        self._current += 1
        if "sdp" in body:
            self.offers.append(body["sdp"])
        else:
            self.applied += body["candidates"]
        if mishap == "answer lost":
            raise combined(WebRTCError, NetworkError)("lost", sent="all", response_started=True)
        self.etag = str(self._current)
        return SimpleNamespace()


async def test_ten_thousand_races_lose_nothing_and_send_nothing_twice():
    dice = random.Random(1)
    most = 0
    for turn in range(10_000):
        mishaps = [
            dice.choice(["race", "answer lost", "lost on the way"])
            for _ in range(dice.randint(1, 4))
        ]
        rules = Rules(mishaps)
        ice = IceSequence(rules, SafeLogger())
        await ice.send([candidate(turn), candidate(turn + 1), None])
        assert numbers(rules.applied) == [turn, turn + 1, None]
        most = max(most, rules.patches)
    assert most <= TRIES


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.lists(st.integers(1, 99), max_size=3), min_size=1, max_size=6),
    st.lists(
        st.sampled_from(
            ["none", "race", "answer lost", "lost on the way", "never left", "no if-match"]
        ),
        max_size=12,
    ),
    st.booleans(),
)
async def test_senders_at_the_same_time_keep_their_order(batches, mishaps, ended):
    """An error leaves what it concerns waiting, unless it was refused; a later call sends it."""
    rules = Rules(mishaps)
    ice = IceSequence(rules, SafeLogger())
    told = [[candidate(n) for n in batch] for batch in batches]
    ends = [None] if ended else []
    await asyncio.gather(*(ice.send(batch) for batch in told), return_exceptions=True)
    for _ in range(len(mishaps) + 2):
        try:
            await ice.send([*ends, *ends])
            break
        except DecartSDKError as error:
            if error.status == 428:
                return  # twice in a row: a proxy drops the header, and nothing can be sent at all
    assert numbers(rules.applied) == [n for batch in batches for n in batch] + ends


async def test_a_batch_that_is_lost_after_a_storm_of_stale_etags_is_sent_again():
    """The last refusal left an ETag that is not the newest: that another one is says nothing."""
    rules = Rules(["race"] * TRIES + ["lost on the way"])
    ice = IceSequence(rules, SafeLogger())
    with pytest.raises(RejectedError):
        await ice.send([candidate(1)])
    await ice.send([])
    assert numbers(rules.applied) == [1]


async def test_a_storm_of_stale_etags_ends_after_five_tries():
    rules = Rules(["race"] * 50)
    ice = IceSequence(rules, SafeLogger())
    with pytest.raises(RejectedError) as caught:
        await ice.send([candidate(1)])
    assert caught.value.status == 412
    assert rules.patches == TRIES


async def test_an_offer_drops_the_candidates_of_the_one_before():
    rules = Rules(["never left"])
    ice = IceSequence(rules, SafeLogger())
    with pytest.raises(NetworkError):
        await ice.send([candidate(1), None])
    await ice.offer("Restarting", {"sdp": "new"})
    await ice.send([candidate(2), None, candidate(3), None])
    assert (rules.offers, numbers(rules.applied)) == (["new"], [2, None])


async def test_an_offer_drops_what_waits_behind_a_request_that_is_under_way():
    rules = Rules()
    ice = IceSequence(rules, SafeLogger())
    sending = [asyncio.ensure_future(ice.send([candidate(1)]))]
    rules.hold = asyncio.Event()
    await asyncio.sleep(0.01)
    sending += [
        asyncio.ensure_future(ice.send([candidate(2)])),
        asyncio.ensure_future(ice.offer("Restarting", {"sdp": "new"})),
    ]
    await asyncio.sleep(0.01)
    rules.hold.set()
    await asyncio.gather(*sending)
    assert (rules.offers, numbers(rules.applied)) == (["new"], [1])


async def test_offers_at_the_same_time_go_one_after_another_and_the_newest_is_last():
    for turn in range(1_000):
        rules = Rules()
        ice = IceSequence(rules, SafeLogger())
        jobs = [ice.send([candidate(turn)])] if turn % 2 else []
        jobs += [ice.offer("Restarting", {"sdp": n}) for n in range(3)]
        await asyncio.gather(*jobs, return_exceptions=True)
        assert rules.offers == [0, 1, 2]


async def test_who_gives_up_waiting_does_not_interrupt_the_request():
    rules = Rules()
    ice = IceSequence(rules, SafeLogger())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await ice.send([candidate(1)])
    await ice.send([candidate(2)])
    assert numbers(rules.applied) == [1, 2]


async def test_closing_ends_the_waiting_with_a_name():
    rules = Rules()
    ice = IceSequence(rules, SafeLogger())
    waiting = asyncio.ensure_future(ice.send([candidate(1)]))
    await asyncio.sleep(0)
    await ice.aclose()
    with pytest.raises(SessionClosedError, match="closed before all candidates"):
        await waiting


# --- over the wire --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mishaps",
    [[], stale(), stale(4), [lost_after], [lost_before], [*stale(), lost_after, *stale()]],
    ids=["none", "one race", "four races", "answer lost", "request lost", "all of it"],
)
async def test_candidates_arrive_once_and_in_order(mishaps):
    service = SignalingService()
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        service.then("patch", *mishaps)
        await session.send_candidates([candidate(1), candidate(2)])
        await session.send_candidates([None, None])
    assert numbers(service.candidates) == [1, 2, None]


async def test_a_proxy_that_drops_if_match_is_named_in_the_log():
    lines = []
    logger = SimpleNamespace(
        debug=lines.append, info=lines.append, warning=lines.append, error=lines.append
    )
    service = SignalingService()
    async with signaling(service, logger=SafeLogger(logger)) as session:
        await session.open(OFFER, Change())
        service.then("patch", says(428))
        await session.send_candidates([candidate(1)])
        service.then("patch", says(428), says(428))
        with pytest.raises(RejectedError):
            await session.send_candidates([candidate(2)])
    assert numbers(service.candidates) == [1]
    assert any("a proxy may be dropping it" in line for line in lines)


async def test_a_refused_wildcard_is_spelt_the_other_way():
    service = SignalingService()
    async with signaling(service) as session:
        await session.open(OFFER, Change())
        service.then("patch", says(412))
        again = await session.reoffer("v=0 second")
        await session.send_candidates([candidate(1)])
    asked = [r.headers["if-match"] for r in service.requests if r.kind == "patch"]
    assert asked == ["*", '"*"', service_etag(2)]
    assert service.offers == ["v=0 second"]
    assert (again.answer_sdp, again.ice_servers[0].username) == ("v=0 answer", "u")


def service_etag(number):
    return f'"ice-{number}"'
