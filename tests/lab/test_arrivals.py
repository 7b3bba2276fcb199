"""Pictures that had come whole when the kernel died, before it could say so."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

import decart_lab as dl
from decart_lab._engine import engine
from decart_lab.errors import InvalidInputError
from decart_lab.lab import opening
from decart_lab.lab.connect import connect
from decart_lab.media import samples
from decart_lab.sweep.journal import Journal
from decart_lab.sweep.store import Store

INK = {"model": "lucy-image-2", "prompt": "ink", "data": samples.path("cat.jpg")}


@pytest.fixture
def lab(emu):
    with connect(emu.url) as made:
        yield made


class Left:
    """A run as a kernel leaves it that dies between an answer and the row that says so."""

    def __init__(self, lab, *, attempt=1):
        self.run = lab.sweep(**INK, seed=range(12)).start(concurrency=1)
        self.run.stop()
        self.run.wait()
        run = lab.sweep(**INK, seed=[99]).run()
        self.picture = (run.folder / run.df["media"].iloc[0]).read_bytes()
        self.store = Store(self.run.folder, self.run.folder.parent)
        self.point_id = None
        self.attempt = attempt

    def intend(self):
        """Write an intent, and nothing after it."""

        async def intent():
            journal = Journal.open(self.run.folder)
            lease = journal.acquire()
            planned = [row for row in journal.rows() if row["status"] == "planned"]
            self.point_id = planned[0]["point_id"]
            for number in range(1, self.attempt + 1):
                found = await journal.intent(lease, self.point_id, reserve_usd=0.02, route="direct")
                if number < self.attempt:
                    await journal.ended(lease, found, "planned")
            await asyncio.to_thread(journal.close)

        engine().run(intent)
        self.store.incoming("any")
        return self

    def put(self, content=None, *, number=None, name=None):
        """Put a file where an answer would be."""
        path = self.store.arrival_path(self.point_id, number or self.attempt)
        path = path if name is None else path.with_name(path.name + name)
        path.write_bytes(self.picture if content is None else content)
        return path


@pytest.fixture
def left(lab):
    return Left(lab)


def forget():
    opening._open.clear()


def status(run):
    return Counter(run.df["status"].astype(str))


def test_a_picture_that_came_whole_before_the_kernel_died_is_kept(left, emu, lab):
    left.intend().put()
    bought = len(emu.ledger)
    before = left.run._journal.spent()
    forget()
    run = dl.open_run(left.run.folder, lab=lab)
    run.wait()
    [row] = [row for _, row in run.df.iterrows() if row.name == left.point_id]
    assert row["status"] == "completed"
    assert (run.folder / row["media"]).read_bytes() == left.picture
    assert (row["simulated"], row["cost"]) == (True, 0.02)
    assert row[["error_type", "error_message"]].isna().all()
    assert len(emu.ledger) == bought
    after = run._journal.spent()
    assert after.spent == pytest.approx(before.spent + 0.02)
    assert (after.reserved, after.in_doubt) == (0, 0)


@pytest.mark.parametrize(
    "wrong", ["a part", "half a picture", "another attempt's", "no picture", "nothing"]
)
def test_nothing_less_than_the_whole_answer_to_this_attempt_is_taken_for_one(lab, emu, wrong):
    left = Left(lab, attempt=2).intend()
    match wrong:
        case "a part":
            left.put(name=".0badcafe.part")
        case "half a picture":
            left.put(left.picture[: len(left.picture) // 2])
        case "another attempt's":
            left.put(number=1)
        case "no picture":
            left.put(b"<html>Not Found</html>")
    forget()
    run = dl.open_run(left.run.folder, lab=lab)
    run.wait()
    run.resume().wait()
    assert status(run)["in_doubt"] == 1
    assert run.df.loc[left.point_id, "status"] == "in_doubt"


def test_giving_up_and_buying_again_spare_what_had_come(left, emu, lab):
    left.intend().put()
    forget()
    run = opening.look_at(left.run.folder, lab)
    with run._held():
        pass  # what was on its way is in doubt now
    assert status(run)["in_doubt"] == 1
    assert run.resolve("in_doubt", "abandon") == 0
    assert run.clear().files == 0
    run.resume().wait()
    assert run.df.loc[left.point_id, "status"] == "completed"
    # one picture more was bought, outside the run, and this one's was not
    assert len(emu.ledger) == status(run)["completed"] == 12


def test_a_picture_that_had_come_is_not_bought_again_when_doubts_are(left, emu, lab):
    left.intend().put()
    bought = len(emu.ledger)
    forget()
    run = opening.look_at(left.run.folder, lab)
    with run._held():
        pass
    assert run.resolve("in_doubt", "resubmit", max_spend=1) == 1
    run.wait()
    assert run.df.loc[left.point_id, "status"] == "completed"
    assert len(emu.ledger) == bought
    with pytest.raises(InvalidInputError):
        run.resolve("in_doubt", "anything")
