"""The cap: exact to the millionth of a dollar, whoever buys, and whatever becomes of a purchase."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from decart_lab.errors import BudgetError, InvalidInputError
from decart_lab.sweep.journal import Journal, Spent

from .journals import PRICE, buy, held, planned

pytestmark = pytest.mark.anyio

BUY = """
import asyncio, json, sys
from pathlib import Path
from decart_lab.errors import BudgetError
from decart_lab.sweep.journal import Journal, Lease, Owner
journal = Journal.open(Path(sys.argv[1]), window=1000)
lease = Lease(1, Owner(**json.loads(sys.argv[2])))

async def main():
    bought = 0
    for number in range(int(sys.argv[3]), 80, 8):
        try:
            await journal.intent(lease, str(number), reserve_usd=0.01)
            bought += 1
        except BudgetError:
            pass
    print(bought)

asyncio.run(main())
"""


async def test_eight_processes_together_never_reserve_more_than_the_cap(tmp_path):
    import json
    from dataclasses import asdict

    journal, lease = held(tmp_path / "r", *map(str, range(80)), budget=0.375)
    owner = json.dumps(asdict(lease.owner))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BUY, str(tmp_path / "r"), owner, str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    bought = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(bought) == 37
    assert journal.spent() == Spent(0.0, 0.37, 0.0)
    assert journal.tally().by_status == {"planned": 43, "submitting": 37}
    journal.close()


async def test_the_cap_is_exact_where_sums_of_floats_are_not(tmp_path):
    journal, lease = held(tmp_path / "r", *"abcd", budget=0.3)
    with journal:
        for point in "abc":
            await journal.intent(lease, point, reserve_usd=0.1)
        with pytest.raises(BudgetError, match=r"\$0.3000 reserved") as caught:
            await journal.intent(lease, "d", reserve_usd=0.000001)
        assert caught.value.data["cap"] == 0.3
        assert journal.row("d")["status"] == "planned"
        await journal.record("ended", "d", status="skipped_budget")
        journal.flush()
        assert journal.row("d")["status"] == "skipped_budget"
        await journal.set_budget(lease, 0.4)
        assert journal.budget == 0.4
        assert (await journal.intent(lease, "d", reserve_usd=0.1)).number == 1


@pytest.mark.parametrize(
    ("status", "spent", "reserved", "in_doubt"),
    [
        ("planned", 0.0, 0.0, 0.0),
        ("failed", 0.0, 0.0, 0.0),
        ("rejected", 0.0, 0.0, 0.0),
        ("in_doubt", 0.0, PRICE, PRICE),
    ],
)
async def test_only_what_may_have_been_bought_keeps_its_reservation(
    tmp_path, status, spent, reserved, in_doubt
):
    journal, lease = held(tmp_path / "r", "a")
    with journal:
        attempt = await journal.intent(lease, "a", reserve_usd=PRICE)
        assert journal.spent() == Spent(0.0, PRICE, 0.0)
        await journal.ended(lease, attempt, status)
        assert journal.spent() == Spent(spent, reserved, in_doubt)


async def test_a_lost_job_stays_reserved_and_a_doubt_given_up_counts_as_spent(tmp_path):
    journal, lease = held(tmp_path / "r", "a", "b")
    with journal:
        lost = await journal.intent(lease, "a", reserve_usd=PRICE)
        await journal.ack(lease, lost, "job-a")
        await journal.ended(lease, lost, "lost")
        assert journal.spent() == Spent(0.0, PRICE, PRICE)
        doubt = await journal.intent(lease, "b", reserve_usd=PRICE)
        await journal.ended(lease, doubt, "in_doubt")
        await journal.ended(lease, doubt, "cancelled")
        assert journal.spent() == Spent(PRICE, PRICE, PRICE)
        assert journal.row("b")["status"] == "cancelled"


async def test_a_doubt_that_is_bought_again_reserves_twice(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    with journal:
        first = await journal.intent(lease, "a", reserve_usd=PRICE)
        await journal.ended(lease, first, "in_doubt")
        await journal.intent(lease, "a", reserve_usd=PRICE)
        assert journal.spent() == Spent(0.0, 2 * PRICE, PRICE)


async def test_a_result_costs_what_was_reserved_unless_the_service_says_otherwise(tmp_path):
    journal, lease = held(tmp_path / "r", "a", "b")
    with journal:
        await buy(journal, lease, "a")
        attempt = await journal.intent(lease, "b", reserve_usd=PRICE)
        await journal.done(lease, attempt, {"cost": 0.025})
        assert journal.spent() == Spent(0.035, 0.0, 0.0)  # spent before the result is here
        await journal.stored(lease, attempt, {"media": "x"})
        assert journal.row("b")["cost"] == 0.025
        assert journal.spent() == Spent(0.035, 0.0, 0.0)


async def test_a_result_that_could_not_be_kept_is_spent_all_the_same(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    with journal:
        attempt = await journal.intent(lease, "a", reserve_usd=PRICE)
        await journal.ack(lease, attempt, "job-a")
        await journal.done(lease, attempt)
        await journal.ended(lease, attempt, "failed")
        assert journal.spent() == Spent(PRICE, 0.0, 0.0)


async def test_a_job_that_is_done_then_lost_and_found_is_paid_for_once(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    with journal:
        attempt = await journal.intent(lease, "a", reserve_usd=PRICE)
        await journal.ack(lease, attempt, "job-a")
        await journal.done(lease, attempt)
        await journal.ended(lease, attempt, "lost")
        assert journal.under_way() == []
        await journal.record("status", "a", status="pending")
        journal.flush()
        assert [a.state for a in journal.under_way()] == ["lost"]
        await journal.done(lease, attempt)
        await journal.stored(lease, attempt, {"media": "x"})
        assert journal.spent() == Spent(PRICE, 0.0, 0.0)
        assert journal.row("a")["cost"] == PRICE


async def test_an_unknown_price_reserves_nothing_and_is_counted(tmp_path):
    journal, lease = held(tmp_path / "r", "a", "b", budget=0.0)
    with journal:
        for point, price in (("a", None), ("b", float("nan"))):
            attempt = await journal.intent(lease, point, reserve_usd=price)
            await journal.stored(lease, attempt, {"media": "x"})
        assert journal.spent() == Spent(0.0, 0.0, 0.0, unpriced=2)
        assert journal.tally().unpriced == 2
        assert journal.row("a")["cost"] is None


@pytest.mark.parametrize("budget", [-1.0, float("nan"), float("inf")])
def test_a_budget_that_is_no_amount_is_refused(tmp_path, budget):
    with pytest.raises(InvalidInputError, match="at least 0"):
        planned(tmp_path / "r", "a", budget=budget)
    with pytest.raises(Exception, match="no journal"):
        Journal.open(tmp_path / "r")


async def test_intents_that_wait_together_are_checked_one_by_one(tmp_path):
    journal, lease = held(tmp_path / "r", *map(str, range(20)), budget=0.1, window=100)
    with journal:
        tasks = (journal.intent(lease, str(n), reserve_usd=PRICE) for n in range(20))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(o).__name__ for o in outcomes] == ["Attempt"] * 10 + ["BudgetError"] * 10
        assert journal.spent().reserved == 0.1
