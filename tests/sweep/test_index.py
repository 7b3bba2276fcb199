"""The same request is bought once, whatever the number of runs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from decart_lab.errors import StoreError
from decart_lab.sweep.durations import REMEMBERED
from decart_lab.sweep.identity import point_id
from decart_lab.sweep.index import INDEX_NAME, Index, rebuild
from decart_lab.sweep.journal import JOURNAL_NAME, Journal

from .journals import PRICE, buy, row

pytestmark = pytest.mark.anyio

KEY = ("k" * 64, 0)


def run_with(root, run_id, *keys):
    """A new run whose points send these requests, held by this process."""
    rows = [row(point_id(*key), request_key=key[0], replicate=key[1]) for key in keys]
    journal = Journal.create(root / run_id, {"run_id": run_id}, rows, {})
    lease = journal.acquire()
    assert lease is not None
    return journal, lease


@pytest.fixture
def index(tmp_path):
    with Index(tmp_path) as made:
        yield made


def test_the_first_run_that_asks_gets_the_request(tmp_path, index):
    one, _ = run_with(tmp_path, "one", KEY)
    assert index.find(*KEY) is None
    assert index.claim(*KEY, "one").verdict == "yours"
    assert index.claim(*KEY, "one").verdict == "yours"
    claim = index.claim(*KEY, "two")
    assert (claim.verdict, claim.run_id, claim.folder) == ("owned", "one", tmp_path / "one")
    assert claim.row is not None
    assert claim.row["status"] == "planned"
    assert claim.result is None
    assert index.claim(KEY[0], 1, "two").verdict == "yours"  # another replicate is another buy
    one.close()


async def test_a_result_is_found_with_its_media_while_that_is_there(tmp_path, index):
    one, lease = run_with(tmp_path, "one", KEY)
    index.claim(*KEY, "one")
    await buy(one, lease, point_id(*KEY))
    one.close()
    claim = index.claim(*KEY, "two")
    assert claim.verdict == "owned"
    assert claim.result is None
    media = tmp_path / "one" / "media/ab/c.png"
    media.parent.mkdir(parents=True)
    media.write_bytes(b"x")
    assert claim.result is not None
    assert claim.result["cost"] == PRICE


async def test_a_request_is_coming_only_while_somebody_buys_it(tmp_path, index):
    """Who waited for a dead kernel's job would wait for ever."""
    one, lease = run_with(tmp_path, "one", KEY)
    index.claim(*KEY, "one")
    assert index.claim(*KEY, "two").coming
    attempt = await one.intent(lease, point_id(*KEY), reserve_usd=PRICE)
    await one.ack(lease, attempt, "job-1", "{}")
    assert index.claim(*KEY, "two").coming
    one.release(lease)
    left = index.claim(*KEY, "two")
    assert (left.verdict, left.coming) == ("owned", False)
    lease = one.acquire()
    await one.ended(lease, attempt, "failed")
    assert not index.claim(*KEY, "two").coming  # somebody holds it, and will not buy it
    one.close()


def test_a_claim_of_a_run_that_bought_nothing_and_is_dead_is_void(tmp_path, index):
    one, _ = run_with(tmp_path, "one", KEY)
    index.claim(*KEY, "one")
    one.close()
    assert index.find(*KEY) is None
    assert index.claim(*KEY, "two").verdict == "yours"
    assert index.claim(*KEY, "gone").verdict == "yours"  # there is no run "two" on the disk


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("in_doubt", "owned"), ("lost", "owned"), ("failed", "yours"), ("rejected", "yours")],
)
async def test_what_may_have_been_paid_for_stays_claimed_when_the_run_has_ended(
    tmp_path, index, status, verdict
):
    one, lease = run_with(tmp_path, "one", KEY)
    index.claim(*KEY, "one")
    attempt = await one.intent(lease, point_id(*KEY), reserve_usd=PRICE)
    if status == "lost":
        await one.ack(lease, attempt, "job")
    await one.ended(lease, attempt, status)
    one.close()
    assert index.claim(*KEY, "two").verdict == verdict


async def test_a_run_nobody_can_read_keeps_what_it_claimed(tmp_path, index):
    one, _ = run_with(tmp_path, "one", KEY)
    index.claim(*KEY, "one")
    one.close()
    (tmp_path / "one" / JOURNAL_NAME).write_bytes(b"PK" * 100)
    claim = index.claim(*KEY, "two")
    assert (claim.verdict, claim.row) == ("owned", None)


def test_claims_can_be_given_up(tmp_path, index):
    one, _ = run_with(tmp_path, "one", KEY)
    index.claim(*KEY, "one")
    index.release("two", [KEY])
    assert index.find(*KEY) is not None
    index.release("one", [KEY])
    assert index.find(*KEY) is None
    one.close()


async def test_the_claims_are_made_anew_from_the_journals(tmp_path, index):
    other = ("m" * 64, 1)
    one, lease = run_with(tmp_path, "one", KEY, other)
    await buy(one, lease, point_id(*KEY))
    one.close()
    two, lease = run_with(tmp_path, "two", KEY)
    await buy(two, lease, point_id(*KEY))
    two.close()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / JOURNAL_NAME).write_bytes(b"")
    index.claim("z" * 64, 0, "one")
    assert rebuild(tmp_path) == 1
    found = index.find(*KEY)
    assert found is not None
    assert found.run_id == "one"
    assert index.find("z" * 64, 0) is None


async def test_a_damaged_index_is_set_aside_and_made_anew(tmp_path):
    one, lease = run_with(tmp_path, "one", KEY)
    await buy(one, lease, point_id(*KEY))
    one.close()
    (tmp_path / INDEX_NAME).write_bytes(b"no database" * 500)
    with Index(tmp_path) as index:
        assert index.claim(*KEY, "two").verdict == "owned"
    assert len(list(tmp_path.glob(f"{INDEX_NAME}.damaged-*"))) == 1


def test_a_newer_index_is_refused_and_left_as_it_is(tmp_path, index):
    with sqlite3.connect(tmp_path / INDEX_NAME) as db:
        db.execute("PRAGMA user_version=9")
    db.close()
    before = (tmp_path / INDEX_NAME).read_bytes()
    with pytest.raises(StoreError, match="version 9"):
        Index(tmp_path)
    assert (tmp_path / INDEX_NAME).read_bytes() == before


def test_durations_are_remembered_by_kind_and_the_oldest_forgotten(tmp_path, index):
    index.learn("lucy-2.1", 5, *map(float, range(3 * REMEMBERED)))
    index.learn("lucy-2.1", 10, 1.5)
    with Index(tmp_path) as again:
        found = again.durations()
    assert found["lucy-2.1", 5] == [float(n) for n in range(2 * REMEMBERED, 3 * REMEMBERED)]
    assert found["lucy-2.1", 10] == [1.5]


CLAIM = """
import sys
from pathlib import Path
from decart_lab.sweep.index import Index
with Index(Path(sys.argv[1])) as index:
    claims = index.claim_all([(str(n), 0) for n in range(200)], sys.argv[2])
print(sum(claim.verdict == "yours" for claim in claims.values()))
"""


def test_processes_that_claim_at_the_same_time_share_without_overlap(tmp_path):
    keys = [(str(n), 0) for n in range(200)]
    runs = [run_with(tmp_path, f"run-{n}", *keys) for n in range(4)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(tmp_path), f"run-{n}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    won = sorted(int(process.communicate(timeout=60)[0]) for process in processes)
    assert won == [0, 0, 0, 200]
    for journal, _ in runs:
        journal.close()
