"""The record of a run on the disk: what it keeps, what it refuses, and what it makes of a crash."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decart_lab._clock import ManualClock
from decart_lab.errors import BudgetError, LeaseError, StoreError
from decart_lab.sweep._records import joined
from decart_lab.sweep._schema import WAL_SINCE, journal_mode, why_not_local
from decart_lab.sweep.journal import JOURNAL_NAME, Journal
from decart_lab.sweep.lease import Owner

from .journals import PRICE, buy, held, planned, row

pytestmark = pytest.mark.anyio


async def test_a_point_is_bought_step_by_step_and_every_step_is_an_event(tmp_path):
    journal, lease = held(tmp_path / "r", "a", "b")
    with journal:
        await buy(journal, lease, "a", {"media_bytes": 7, "simulated": True})
        tally = journal.tally()
        assert (tally.total, tally.done, tally.failed, tally.cost) == (2, 1, 0, PRICE)
        assert tally.by_status == {"planned": 1, "completed": 1}
        found = journal.row("a")
        assert found["status"] == "completed"
        assert (found["job_id"], found["attempt"], found["polls"]) == ("job-a", 1, 2)
        assert (found["simulated"], found["cached"], found["cost"]) == (True, False, PRICE)
        assert found["submitted_at"].tzinfo is UTC
        assert [e.kind for e in journal.events()] == [
            *("planned", "planned", "intent", "ack", "status", "done", "stored")
        ]
        [attempt] = journal.attempts()
        assert (attempt["point_id"], attempt["status"], attempt["job_id"]) == (
            *("a", "completed"),
            "job-a",
        )
        assert journal.rows()[1]["style"] == "ink"
        assert journal.rows() == journal.rebuild()


async def test_everything_is_there_again_when_the_journal_is_opened_again(tmp_path):
    journal, lease = held(tmp_path / "r", "a", "b", budget=1.5)
    await buy(journal, lease, "a")
    before = journal.rows()
    journal.close()
    with Journal.open(tmp_path / "r") as again:
        assert again.rows() == before
        assert again.run_id == "r"
        assert again.columns == {"style": "string"}
        assert again.budget == 1.5
        assert again.spent().spent == PRICE
        assert again.holder() is None


async def test_changes_that_cost_nothing_are_gathered_and_none_is_lost_by_closing(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    attempt = await journal.intent(lease, "a", reserve_usd=PRICE)
    await journal.ack(lease, attempt, "job-a")
    for polls in range(20):
        await journal.record("status", "a", polls=polls)
    journal.close()
    with Journal.open(tmp_path / "r", readonly=True) as again:
        assert again.row("a")["polls"] == 19
        assert len(again.events()) == 1 + 2 + 20


async def test_an_impossible_change_of_state_is_a_bug_and_changes_nothing(tmp_path):
    journal, lease = held(tmp_path / "r", "a", "b")
    await buy(journal, lease, "a")
    events = journal.events()
    with pytest.raises(AssertionError):
        await journal.intent(lease, "a", reserve_usd=PRICE)
    await journal.record("status", "a", status="pending")
    with pytest.raises(AssertionError):
        journal.flush()
    await journal.record("status", "b", status="submitting")
    with pytest.raises(AssertionError, match="begins with an intent"):
        journal.close()
    with Journal.open(tmp_path / "r") as again:
        assert again.events() == events
        assert again.spent().reserved == 0


async def test_a_point_that_is_on_its_way_ends_only_by_its_attempt(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    with journal:
        attempt = await journal.intent(lease, "a", reserve_usd=PRICE)
        for status in ("pending", "in_doubt", "failed"):
            journal.note("status", "a", status=status)
            with pytest.raises(AssertionError):
                journal.flush()
        with pytest.raises(AssertionError):  # and not a second time at once
            await journal.intent(lease, "a", reserve_usd=PRICE)
        await journal.ack(lease, attempt, "job-a")
        with pytest.raises(AssertionError):  # nor a second job
            await journal.ack(lease, attempt, "job-b")
        with pytest.raises(AssertionError):
            await journal.intent(lease, "a", reserve_usd=PRICE)


async def test_no_more_than_the_window_of_a_route_may_be_on_its_way(tmp_path):
    journal, lease = held(tmp_path / "r", *"abcd", window=2)
    with journal:
        first = await journal.intent(lease, "a", reserve_usd=PRICE)
        await journal.intent(lease, "b", reserve_usd=PRICE)
        with pytest.raises(AssertionError, match="2 requests of job"):
            await journal.intent(lease, "c", reserve_usd=PRICE)
        await journal.intent(lease, "c", reserve_usd=PRICE, facts={"route": "direct"})
        await journal.ack(lease, first, "job-a")
        await journal.intent(lease, "d", reserve_usd=PRICE)


async def test_an_intent_nobody_waits_for_any_more_counts_as_never_sent(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    with journal:
        task = asyncio.ensure_future(journal.intent(lease, "a", reserve_usd=PRICE))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(3):
            journal.flush()
        assert journal.row("a")["status"] == "planned"
        assert journal.spent().reserved == 0
        assert [e.kind for e in journal.events()] == ["planned", "intent", "ended"]


async def test_an_answer_is_written_down_though_nobody_waits_for_that(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    with journal:
        attempt = await journal.intent(lease, "a", reserve_usd=PRICE)
        task = asyncio.ensure_future(journal.ack(lease, attempt, "job-a"))
        await asyncio.sleep(0)
        task.cancel()
        journal.flush()
        assert journal.row("a")["job_id"] == "job-a"


async def test_a_new_attempt_starts_with_clean_columns_and_the_old_one_keeps_its_own(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    with journal:
        attempt = await journal.intent(lease, "a", reserve_usd=PRICE)
        facts = {"error_type": "ServerError", "http_status": 500, "total_s": 1.5}
        await journal.ended(lease, attempt, "failed", facts)
        assert journal.row("a")["http_status"] == 500
        again = await journal.intent(lease, "a", reserve_usd=PRICE)
        assert again.number == 2
        assert journal.row("a")["http_status"] is None
        assert journal.row("a")["attempt"] == 2
        first, second = journal.attempts()
        assert (first["status"], first["http_status"]) == ("failed", 500)
        assert (second["status"], second.get("http_status")) == ("submitting", None)
        assert journal.attempt_of("a") == again


async def test_what_a_killed_kernel_left_open_is_in_doubt_once_and_keeps_its_money(tmp_path):
    journal, lease = held(tmp_path / "r", *"abcd")
    await journal.intent(lease, "a", reserve_usd=PRICE)
    acked = await journal.intent(lease, "b", reserve_usd=PRICE)
    await journal.ack(lease, acked, "job-b")
    unsent = await journal.intent(lease, "c", reserve_usd=PRICE)
    await journal.ended(lease, unsent, "planned", {"sent": "none"})
    again = Journal.open(tmp_path / "r")
    assert again.row("a")["status"] == "submitting"  # opening alone changes nothing
    taken = again.acquire(takeover_after_s=0)
    assert taken is not None
    assert [r["status"] for r in again.rows()] == ["in_doubt", "pending", "planned", "planned"]
    assert again.spent().in_doubt == PRICE
    assert again.spent().reserved == 2 * PRICE
    [attempt] = again.under_way()
    assert (attempt.point_id, attempt.job_id, attempt.state) == ("b", "job-b", "acked")
    assert again.acquire(takeover_after_s=0) is not None
    again.close()
    with Journal.open(tmp_path / "r") as third:
        third.acquire(takeover_after_s=0)
        assert [e.kind for e in third.events()].count("recovered") == 1
        assert third.rows() == third.rebuild()
    with pytest.raises(LeaseError):
        journal.note("status", "d", polls=1)
        journal.flush()


async def test_a_late_answer_to_an_owner_that_lost_the_run_is_attached_to_the_point(tmp_path):
    journal, lease = held(tmp_path / "r", "a", "b")
    first = await journal.intent(lease, "a", reserve_usd=PRICE)
    second = await journal.intent(lease, "b", reserve_usd=PRICE)
    other = Journal.open(tmp_path / "r")
    taken = other.acquire(takeover_after_s=0)
    assert taken is not None
    # the new owner has sent b again already: its first job is evidence and no more
    await other.intent(taken, "b", reserve_usd=PRICE)
    for attempt, job_id in ((first, "late-a"), (second, "late-b")):
        with pytest.raises(LeaseError, match="does not hold the run"):
            await journal.ack(lease, attempt, job_id, "{raw}")
    assert (other.row("a")["status"], other.row("a")["job_id"]) == ("pending", "late-a")
    assert (other.row("b")["status"], other.row("b")["job_id"]) == ("submitting", None)
    kinds = [(e.kind, e.changes.get("late_job_id")) for e in other.events()]
    assert kinds.count(("evidence", "late-b")) == 1
    assert [a.job_id for a in other.under_way()] == ["late-a"]
    assert journal._reserve.kept() == []  # what is in the journal needs no other place
    for late in (journal.done(lease, first), journal.stored(lease, first, {"media": "x"})):
        with pytest.raises(LeaseError):
            await late
    assert other.row("a")["media"] is None
    assert other.rows() == other.rebuild()
    other.close()
    journal.close()


async def test_an_extended_grid_joins_with_its_new_points_and_axes(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    await buy(journal, lease, "a")
    more = [row("a", style="other"), row("b", style="clay", size=2)]
    assert journal.extend(more, {"style": "string", "size": "Int64"}) == ["b"]
    assert journal.row("a")["style"] == "ink"
    assert journal.row("a")["status"] == "completed"
    assert journal.row("b")["size"] == 2
    journal.close()
    with Journal.open(tmp_path / "r") as again:
        assert again.columns == {"style": "string", "size": "Int64"}
        assert again.rows() == again.rebuild()
    assert joined({"x": "Int64"}, {"x": "boolean"}) == {"x": "string"}


def test_values_come_back_as_they_went_in(tmp_path):
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    known = {
        "Style": Path("a/b.png"),
        "style": "\ud800é",
        "RUN_ID": True,
        "size": 2,
        "submitted_at": at,
        "simulated": False,
        "cost_estimate": float("nan"),
        "unknown": "stays in the event",
    }
    columns = {"Style": "string", "style": "string", "RUN_ID": "boolean", "size": "Float64"}
    made = Journal.create(tmp_path, {"run_id": "r"}, [row("a", **known)], columns)
    with made as journal:
        found = journal.row("a")
        assert (found["Style"], found["style"], found["RUN_ID"]) == ("a/b.png", "?é", True)
        assert (found["submitted_at"], found["simulated"]) == (at, False)
        assert found["cost_estimate"] is None
        assert journal.columns_of(["simulated"]) == {"point_id": ["a"], "simulated": [0]}
        assert journal.events()[0].changes["unknown"] == "stays in the event"
        assert journal.rows() == journal.rebuild()


def test_events_are_dated_by_the_clock_that_is_given(tmp_path):
    clock = ManualClock()
    with planned(tmp_path / "r", "a", clock=clock) as journal:
        assert [e.at for e in journal.events()] == [clock.utc()]


def test_a_run_is_begun_once(tmp_path):
    planned(tmp_path / "r", "a").close()
    with pytest.raises(StoreError, match="a journal at"):
        planned(tmp_path / "r", "b")
    with Journal.open(tmp_path / "r") as journal:
        assert [r["point_id"] for r in journal.rows()] == ["a"]


@pytest.mark.parametrize("place", ["plan.before", "plan.after"])
def test_a_kill_while_planning_leaves_no_run_or_a_whole_one(tmp_path, place):
    code = (
        "import sys; from pathlib import Path; from decart_lab.sweep.journal import Journal\n"
        "Journal.create(Path(sys.argv[1]), {}, [{'point_id': 'a'}], {})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"DECART_LAB_CRASH_AT": place},
        check=False,
    )
    assert done.returncode == -9
    assert (tmp_path / JOURNAL_NAME).exists() == (place == "plan.after")
    if place == "plan.before":
        planned(tmp_path, "a").close()
    with Journal.open(tmp_path) as journal:
        assert journal.tally().total == 1


# -- what is refused -------------------------------------------------------------------------------


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE x (y)")
    db.close()


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(4096, len(content), 512):
        content[place : place + 16] = b"\xff" * 16
    path.write_bytes(content)


def _without_points(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE points")
    db.close()


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_newer, "version 99; this package reads up to version 1"),
        (_foreign, "not the journal of a run"),
        (_flipped, "damaged.*salvage"),
        (_without_points, "damaged: tables are missing"),
        (lambda path: path.write_bytes(b"PK" * 500), "not a database"),
        (lambda path: path.write_bytes(b""), "not a database"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged"),
    ],
)
def test_what_cannot_be_opened_says_why_and_is_left_as_it_is(tmp_path, spoil, says, readonly):
    planned(tmp_path, *map(str, range(200))).close()
    path = tmp_path / JOURNAL_NAME
    spoil(path)
    before = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(StoreError, match=says):
        Journal.open(tmp_path, readonly=readonly)
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_no_journal_is_an_error_that_names_the_place(tmp_path):
    with pytest.raises(StoreError, match="There is no journal at"):
        Journal.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_journal_for_looking_only_refuses_to_buy(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    with Journal.open(tmp_path / "r", readonly=True) as looking:
        with pytest.raises(StoreError, match="looking only"):
            looking.acquire()
        await buy(journal, lease, "a")
        assert looking.row("a")["status"] == "completed"  # and sees what the other writes
    journal.close()
    with pytest.raises(StoreError, match="closed"):
        await journal.intent(lease, "a", reserve_usd=PRICE)


def test_a_folder_that_may_not_be_written_to_can_be_looked_at(tmp_path, monkeypatch):
    planned(tmp_path / "r", "a").close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreError, match="may not be written to"):
        Journal.open(tmp_path / "r")
    with Journal.open(tmp_path / "r", readonly=True) as journal:
        assert journal.tally().total == 1


async def test_a_full_disk_stops_the_purchase_before_anything_is_sent(tmp_path):
    journal, lease = held(tmp_path / "r", "a")
    full = await asyncio.wrap_future(
        journal._put(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    )
    journal._writer._db.execute(f"PRAGMA max_page_count={full}")
    long = {"error_message": "x" * 100_000}
    with pytest.raises(StoreError, match="full"):
        await journal.intent(lease, "a", reserve_usd=PRICE, facts=long)
    assert journal.row("a")["status"] == "planned"
    assert journal.spent().reserved == 0
    journal._writer._db.execute("PRAGMA max_page_count=1000000")
    await buy(journal, lease, "a")  # and goes on when there is space again
    journal.close()


async def test_a_job_id_the_full_disk_refuses_is_there_when_the_run_is_taken_again(tmp_path):
    journal, lease = held(tmp_path / "r", "a", "b")
    attempts = [await journal.intent(lease, point, reserve_usd=PRICE) for point in "ab"]
    db = journal._writer._db
    db.execute(f"PRAGMA max_page_count={db.execute('PRAGMA page_count').fetchone()[0]}")
    long = {"error_message": "x" * 100_000}
    for attempt, job_id in zip(attempts, ("job-a", "job-ß"), strict=True):
        with pytest.raises(StoreError, match="full"):
            await journal.ack(lease, attempt, job_id, "{}", long)
    with Journal.open(tmp_path / "r") as again:
        taken = again.acquire(takeover_after_s=0)
        assert taken is not None
        assert [r["job_id"] for r in again.rows()] == ["job-a", "job-ß"]
        assert [r["status"] for r in again.rows()] == ["pending", "pending"]
        assert again.spent().in_doubt == 0
        again.release(taken)
        again.acquire()
        assert [e.kind for e in again.events()].count("ack") == 2
    journal.close()


def test_a_copy_is_whole_while_the_run_goes_on(tmp_path):
    journal, _ = held(tmp_path / "r", "a")
    (tmp_path / "copy").mkdir()
    journal.backup(tmp_path / "copy" / JOURNAL_NAME)
    journal.close()
    with Journal.open(tmp_path / "copy") as copy:
        assert [r["point_id"] for r in copy.rows()] == ["a"]


# -- the file --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "mounts", "says"),
    [
        ("/home/a/runs", "/dev/sda / ext4 rw 0 0", ""),
        ("/mnt/x/runs", "/dev/sda / ext4 rw 0 0\nhost:/x /mnt/x nfs4 rw 0 0", "/mnt/x is nfs4"),
        ("/mnt/xy/runs", "/dev/sda / ext4 rw 0 0\nhost:/x /mnt/x nfs4 rw 0 0", ""),
        ("/mnt/a b/runs", "x /mnt/a\\040b fuse.sshfs rw 0 0", "/mnt/a b is fuse.sshfs"),
        ("/c/Users/a/OneDrive - Firm/runs", "", "OneDrive is synchronised"),
        ("/content/drive/MyDrive/runs", "", "MyDrive is synchronised"),
    ],
)
def test_folders_that_are_not_this_machines_own_are_known(path, mounts, says):
    assert why_not_local(Path(path), mounts) == says


def test_the_log_ahead_mode_is_used_only_where_it_is_safe(tmp_path):
    assert journal_mode(tmp_path, WAL_SINCE) == "WAL"
    assert journal_mode(tmp_path, (3, 51, 2)) == "TRUNCATE"
    synced = tmp_path / "Dropbox"
    synced.mkdir()
    with pytest.warns(UserWarning, match="Dropbox is synchronised"):
        assert journal_mode(synced, WAL_SINCE) == "TRUNCATE"


def test_money_is_written_with_the_most_careful_sync(tmp_path):
    journal, _ = held(tmp_path / "r", "a")
    seen = []

    def look(db):
        seen.append(db.execute("PRAGMA synchronous").fetchone()[0])

    journal._put(look).result()
    journal._put(look, durable=False).result()
    mode = journal._reader.execute("PRAGMA journal_mode").fetchone()[0]
    assert seen == [2 if mode == "wal" else 3, 1]
    journal.close()


async def test_where_the_log_ahead_mode_is_safe_it_works_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr("decart_lab.sweep._schema.WAL_SINCE", (3, 0, 0))
    journal, lease = held(tmp_path / "r", "a", "b")
    modes = journal._put(lambda db: db.execute("PRAGMA journal_mode").fetchone()).result()
    assert modes == ("wal",)
    await buy(journal, lease, "a")
    with Journal.open(tmp_path / "r", readonly=True) as looking:
        assert looking.row("a")["status"] == "completed"
        await buy(journal, lease, "b")
        assert looking.rows() == journal.rows()
        journal.backup(tmp_path / "copy.sqlite")
    journal.close()
    assert {path.name for path in (tmp_path / "r").glob("journal*")} == {JOURNAL_NAME}
    monkeypatch.undo()
    with Journal.open(tmp_path / "r") as again:  # and an older library takes it back
        assert again.acquire() is not None
        assert again.tally().done == 2


async def test_work_that_is_refused_leaves_nothing_and_spoils_nothing_beside_it(tmp_path):
    journal, lease = held(tmp_path / "r", "a", budget=1.0)

    def half(db):
        db.execute("UPDATE budget SET cap = 0")
        raise ValueError("no")

    with sqlite3.connect(tmp_path / "r" / JOURNAL_NAME, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # so that both wait and are committed together
        refused = journal._put(half)
        bought = asyncio.ensure_future(journal.intent(lease, "a", reserve_usd=PRICE))
        await asyncio.sleep(0)
        other.execute("COMMIT")
    other.close()
    with pytest.raises(ValueError, match="no"):
        await asyncio.wrap_future(refused)
    await bought
    assert journal.budget == 1.0
    assert journal.spent().reserved == PRICE
    journal.close()


# -- the view is what the events say ---------------------------------------------------------------

MOVES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(
            (
                *("intent", "intent", "ack", "done", "stored", "poll", "pending", "failed"),
                *("in_doubt", "planned", "lost", "rejected", "cancelled", "cached", "kill"),
                "skipped_budget",
            )
        ),
        st.sampled_from([None, 0.0, 0.01, 0.1]),
    ),
    min_size=5,
    max_size=30,
)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves=MOVES)
async def test_after_any_history_the_points_and_the_money_follow_from_the_events(
    tmp_path_factory, moves
):
    """Every refusal is one of the agreed ones, and leaves nothing behind."""
    folder = tmp_path_factory.mktemp("history")
    journal, lease = held(folder / "r", *"0123", budget=0.25)
    opened = [journal]
    for number, what, price in moves:
        point = str(number)
        attempt = journal.attempt_of(point)
        try:
            if what == "kill":
                journal = Journal.open(folder / "r")
                opened.append(journal)
                taken = journal.acquire(Owner.here(), takeover_after_s=0)
                assert taken is not None
                lease = taken
            elif what == "intent":
                await journal.intent(lease, point, reserve_usd=price)
            elif what == "cached":
                await journal.record("done", point, status="completed", cached=True, cost=0.0)
                journal.flush()
            elif what in ("poll", "pending", "skipped_budget"):
                status = "processing" if what == "poll" else what
                await journal.record("status", point, status=status)
                journal.flush()
            elif attempt is None:
                continue
            elif what == "ack":
                await journal.ack(lease, attempt, f"job-{attempt.id}")
            elif what == "done":
                await journal.done(lease, attempt)
            elif what == "stored":
                await journal.stored(lease, attempt, {"media": "m"})
            else:
                await journal.ended(lease, attempt, what)
        except (AssertionError, BudgetError):
            pass
        assert journal.rows() == journal.rebuild()
        _money_adds_up(journal)
    for one in reversed(opened):
        one.close()


def _money_adds_up(journal: Journal) -> None:
    (reserved, spent) = journal._read("SELECT sum(reserve), sum(spent) FROM attempts")[0]
    (kept, paid, _) = journal._read("SELECT reserved, spent, unpriced FROM budget")[0]
    assert ((reserved or 0), (spent or 0)) == (kept, paid)
    assert kept + paid <= 250_000
    for status, state, reserve in journal._read(
        'SELECT p."status", a.state, a.reserve FROM points p JOIN attempts a USING (point_id) '
        "WHERE a.number = p.attempt"
    ):
        if state == "intent":
            assert status == "submitting"
        if status in ("failed", "rejected", "completed", "planned"):
            assert reserve == 0
    doubts = {r[0] for r in journal._read("SELECT point_id FROM attempts WHERE state='in_doubt'")}
    assert {r["point_id"] for r in journal.rows() if r["status"] == "in_doubt"} <= doubts
