"""What is left of a damaged journal."""

from __future__ import annotations

import hashlib

import pytest

from decart_lab.errors import StoreError
from decart_lab.sweep.journal import JOURNAL_NAME, Journal
from decart_lab.sweep.salvage import salvage

from .journals import PRICE, buy, held

pytestmark = pytest.mark.anyio


async def damaged(folder, *places):
    """The journal of a run of which twenty points are bought, spoilt at shares of its length."""
    journal, lease = held(folder, *(f"{n:016x}" for n in range(400)), budget=9.0)
    for number in range(20):
        await buy(journal, lease, f"{number:016x}")
    before = journal.rows()
    journal.close()
    path = folder / JOURNAL_NAME
    content = bytearray(path.read_bytes())
    for place in places:
        start = int(len(content) * place) // 4096 * 4096
        content[start : start + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    return before


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7, 0.85])
async def test_every_row_outside_the_damage_is_saved_and_the_damaged_file_left(tmp_path, place):
    before = await damaged(tmp_path, place)
    path = tmp_path / JOURNAL_NAME
    digest = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(StoreError, match="damaged"):
        Journal.open(tmp_path)
    saved = salvage(tmp_path)
    assert hashlib.sha256(path.read_bytes()).digest() == digest
    assert saved.points + saved.events + saved.attempts > 700
    saved.path.replace(path)
    with Journal.open(tmp_path) as journal:
        found = {row["point_id"]: row for row in journal.rows()}
        assert len(found) == saved.points
        known = {row["point_id"]: row for row in before}
        assert found.items() <= known.items()
        assert journal.budget == 9.0
        assert journal.spent().spent == pytest.approx(0.01 * saved.attempts)
        assert journal.acquire() is not None


async def test_a_whole_journal_is_saved_whole(tmp_path):
    before = await damaged(tmp_path)
    saved = salvage(tmp_path)
    assert (saved.points, saved.attempts) == (400, 20)
    saved.path.replace(tmp_path / JOURNAL_NAME)
    with Journal.open(tmp_path) as journal:
        assert journal.rows() == before == journal.rebuild()


def test_nothing_can_be_made_of_what_is_no_database(tmp_path):
    (tmp_path / JOURNAL_NAME).write_bytes(b"x" * 9000)
    with pytest.raises(StoreError, match="cannot be salvaged"):
        salvage(tmp_path)


async def test_the_money_and_the_epoch_of_a_saved_run_go_on_from_where_they_were(tmp_path):
    """Else a cap would be spent twice, and a kernel that had slept could buy again."""
    journal, first = held(tmp_path, "a", "b", budget=9.0)
    await journal.intent(first, "a", reserve_usd=PRICE)
    journal.release(first)
    second = journal.acquire()
    await journal.intent(second, "b", reserve_usd=PRICE)
    before = journal.spent()
    journal.close()
    assert (before.reserved, second.epoch) == (2 * PRICE, 2)
    salvage(tmp_path).path.replace(tmp_path / JOURNAL_NAME)
    with Journal.open(tmp_path) as saved:
        assert saved.spent() == before
        assert saved.acquire().epoch == 3
