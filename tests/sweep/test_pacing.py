"""When jobs are asked after and how much may be under way: arithmetic, held to what it promises."""

from __future__ import annotations

import asyncio
import math
import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab._clock import ManualClock, RealClock
from decart_lab.errors import InvalidInputError
from decart_lab.sweep.durations import SPENT, Durations, best_schedule, weighed
from decart_lab.sweep.limits import EPISODE_S, Adaptive, Gate
from decart_lab.sweep.polling import LONGEST_S, MISSES, Follow
from decart_lab.sweep.settings import Settings
from decart_lab.sweep.turns import Turns, shared_turns

KIND = ("lucy-2.1", 6)


def lognormal(mean, sigma, dice):
    return dice.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)


def polled(schedule, durations):
    """Polls per job and mean lateness of jobs that last so long, asked by a schedule."""
    polls = late = 0.0
    for duration in durations:
        at = 0.0
        while at < duration:
            at += schedule.after(at, LONGEST_S)
            polls += 1
        late += at - duration
    return polls / len(durations), late / len(durations)


@pytest.mark.parametrize("mean", [0.5, 2.0, 10.0, 100.0])
def test_known_jobs_are_seen_sooner_than_by_the_vendors_loop_with_fewer_calls(mean):
    dice = random.Random(1)
    plan = best_schedule([lognormal(mean, 0.6, dice) for _ in range(64)])
    polls, late = polled(plan, [lognormal(mean, 0.6, dice) for _ in range(3000)])
    assert late <= 0.08 * mean
    assert polls <= 6.8
    assert abs(plan.polls - polls) < 1.0  # and it knows what it will take


def test_polls_gather_where_completions_do():
    dice = random.Random(2)
    plan = best_schedule([dice.gauss(30.0, 1.0) for _ in range(64)])
    assert plan.times[0] > 25.0
    around = [time for time in plan.times if 28.0 < time < 32.0]
    assert len(around) >= 3


def test_a_kind_is_learned_within_a_run_and_its_share_of_calls_is_kept():
    dice, known = random.Random(3), Durations()
    before = known.schedule(KIND, 100.0)
    lasted = [lognormal(0.5, 0.6, dice) for _ in range(64)]
    known.learn(KIND, *lasted)
    free, scarce = known.schedule(KIND, 100.0), known.schedule(KIND, 3.0)
    assert before.times[0] == 0.4  # nothing was known
    # a little over its share: some of the jobs that share are only being sent or fetched
    assert scarce.polls <= SPENT * fmean(lasted) * 3.0 < free.polls
    assert scarce.lag_s > free.lag_s


def test_the_first_to_end_are_not_taken_for_all():
    ended = [1.0, 1.2, 1.4, 1.5]
    values, weights = weighed(ended, [1.6] * 28)
    assert sum(w for v, w in zip(values, weights, strict=True) if v > 1.6) == pytest.approx(28 / 32)


@given(
    st.lists(st.floats(0.01, 1000), min_size=1, max_size=20),
    st.lists(st.floats(0.01, 1000), max_size=20),
)
def test_weights_add_up_whatever_has_ended_and_whatever_runs(ended, ages):
    values, weights = weighed(ended, ages)
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) > 0
    assert len(values) == len(weights) >= len(ended)


@given(st.lists(st.floats(0.01, 1000), min_size=4, max_size=20), st.floats(0.0, 5000.0))
def test_the_next_poll_is_always_ahead_and_never_far(samples, elapsed):
    plan = best_schedule(samples)
    assert list(plan.times) == sorted(set(plan.times))
    delay = plan.after(elapsed, LONGEST_S)
    assert delay > 0
    if elapsed > plan.times[-1]:
        assert delay <= LONGEST_S or delay <= plan.times[-1]


def test_a_failed_poll_only_makes_the_next_one_later():
    follow = Follow()
    follow.failed()
    follow.failed()
    assert follow.delay_s(0.1) > 0.1
    follow.answered("processing")
    assert follow.delay_s(0.1) == 0.1


def test_a_job_is_lost_only_after_being_unknown_for_two_minutes():
    follow, waited = Follow(), 0.0
    while not follow.missed():
        waited += follow.delay_s(0.1)
    assert (follow.polls, waited) == (MISSES, 120.0)


@pytest.mark.parametrize(("asked", "waits"), [(3.0, 3.0), (1e9, 900.0), (-5.0, 0.1), (0.0, 0.1)])
def test_an_absurd_wait_is_not_obeyed(asked, waits):
    assert Follow().delay_s(0.1, asked) == waits


def test_too_many_jobs_shrink_the_limit_once_for_each_episode_and_quiet_time_grows_it():
    limit = Adaptive(32)
    for moment in range(5):
        limit.too_many(float(moment))
    assert limit.allowed == 22
    limit.too_many(EPISODE_S)
    assert limit.allowed == 15
    for _ in range(1000):
        limit.well(2 * EPISODE_S)
    assert limit.allowed == 32


def test_passing_trouble_pauses_growth_and_shrinks_nothing():
    limit = Adaptive(10)
    limit.too_many(0.0)
    shrunk = limit.allowed
    limit.trouble(10.0)
    limit.well(11.0)
    assert limit.allowed == shrunk
    limit.well(11.0 + EPISODE_S)
    assert limit.limit > shrunk


def test_a_refusal_closes_the_gate_for_all_and_for_a_quarter_of_an_hour_at_most():
    gate = Gate()
    gate.refused(100.0, 7.0, dice=0.0)
    assert gate.wait_s(100.0) == 7.0
    gate.refused(100.0, 1e6, dice=1.0)
    assert gate.wait_s(100.0) == pytest.approx(990.0)


def test_after_five_failures_in_a_row_only_one_tries():
    gate = Gate()
    for _ in range(4):
        gate.unreached(0.0, 0.5)
    assert not gate.alone
    assert gate.wait_s(0.0) == 0.0
    gate.unreached(0.0, 0.5)
    assert gate.alone
    assert gate.wait_s(0.0) > 0.0
    gate.reached()
    assert not gate.alone


@pytest.mark.anyio
async def test_turns_are_given_in_the_order_they_are_due_and_no_faster_than_the_rate():
    clock = ManualClock()
    turns = Turns(clock, rate=10.0)
    taken = []

    async def one(name, at):
        await turns.at(at)
        taken.append((name, clock.now()))

    tasks = [asyncio.create_task(one(number, 1.0 - number / 100)) for number in range(30)]
    await clock.advance(0.5)
    assert taken == []
    await clock.advance(0.5)
    assert 5 <= len(taken) <= 8  # what had gathered, and what has come since
    await clock.advance(1.0)
    assert 15 <= len(taken) <= 18
    await clock.advance(10.0)
    assert [name for name, _ in taken] == list(range(29, -1, -1))
    await asyncio.gather(*tasks)


@pytest.mark.anyio
async def test_a_refused_poll_halves_the_rate_for_a_while():
    clock = ManualClock()
    turns = Turns(clock, rate=100.0)
    turns.refused()
    assert turns.rate == 50.0
    await clock.advance(60.0)
    await turns.at(clock.now())
    assert turns.rate == 100.0


@pytest.mark.anyio
async def test_a_turn_that_nobody_waits_for_costs_nothing():
    clock = ManualClock()
    turns = Turns(clock, rate=10.0)
    gone = asyncio.create_task(turns.at(0.5))
    stays = asyncio.create_task(turns.at(0.6))
    await clock.advance(0.1)
    gone.cancel()
    await clock.advance(0.6)
    assert stays.done()
    assert turns.waiting == 0


@pytest.mark.anyio
async def test_all_runs_of_a_kernel_share_their_turns():
    assert shared_turns(RealClock()) is shared_turns(RealClock())
    assert shared_turns(ManualClock()) is not shared_turns(RealClock())


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"window": 0}, {"image_route": "x"}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(InvalidInputError):
        Settings(**wrong)


@pytest.mark.anyio
async def test_a_wait_that_is_only_rounding_does_not_spin_for_ever():
    """A clock of floats far from 0 does not move by the last bit of a token."""
    clock = ManualClock()
    await clock.advance(1e6)
    turns = Turns(clock, rate=100.0)
    turns._tokens = 1 - 2**-53
    turn = asyncio.create_task(turns.at(clock.now()))
    async with asyncio.timeout(5):
        await clock.advance(1.0)
    assert turn.done()
