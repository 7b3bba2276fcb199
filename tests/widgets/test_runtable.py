"""The live table from the kernel's side: what is told, when, and to whom."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest

import decart_lab as dl
from decart_lab.media import samples
from decart_lab.widgets.columns import changes, shown_columns, summary, wanted, whole
from decart_lab.widgets.runtable import RunTable, details

AXES = {"style": "string", "seed": "Int64", "same": "string"}


def point(n, status="planned", **more):
    row = {"point_id": f"p{n}", "run_id": "r1", "status": status, "style": ["ink", "clay"][n % 2]}
    return {**row, "seed": n, "same": "x", **more}


def held(rows, names=None):
    return {name: [row.get(name) for row in rows] for name in names or ["point_id", *wanted(AXES)]}


class Kept:
    """A journal of rows that a test changes."""

    def __init__(self, rows):
        self.points = rows
        self.ended = False

    def columns_of(self, names):
        return held(self.points, ["point_id", *names])

    def row(self, point_id):
        return next(dict(row) for row in self.points if row["point_id"] == point_id)


class Overheard(RunTable):
    """A table whose messages a test reads, as a front end would."""

    def tell(self, kind, content, buffers=()):
        self.__dict__.setdefault("told", []).append((kind, content, buffers))
        super().tell(kind, content, buffers)

    def hear(self, message):
        self._handle_custom_msg(message, [])


@pytest.fixture
def kept():
    return Kept([point(n) for n in range(6)])


@pytest.fixture
def table(kept, tmp_path):
    made = Overheard(kept, tmp_path / "r1", AXES, lambda: kept.ended)
    made._closed.set()  # the test says when to look
    yield made
    made.close()


def test_the_first_message_is_everything_and_the_next_only_what_changed(kept, table):
    kind, content, _ = table.told[0]
    assert (kind, content["count"]) == ("whole", 6)
    kept.points[2] |= {"status": "completed", "cost": 0.02, "total_s": 1.5}
    assert table.refresh() == 1
    kind, content, _ = table.told[-1]
    assert (kind, content["at"]) == ("changes", [2])
    assert content["values"]["0"] == ["completed"]
    assert content["facts"]["counts"] == {"planned": 5, "completed": 1}
    assert content["seq"] == 2


def test_nothing_is_sent_while_nothing_changes(table):
    sent = len(table.told)
    assert table.refresh() == 0
    assert len(table.told) == sent


def test_the_end_is_said_even_when_no_row_changed(kept, table):
    kept.ended = True
    table.refresh()
    assert table.told[-1][1]["facts"]["finished"]


def test_points_that_join_later_are_told_with_all_others(kept, table):
    kept.points.append(point(6))
    table.refresh()
    assert (table.told[-1][0], table.told[-1][1]["count"]) == ("whole", 7)


def test_a_view_that_says_ready_is_told_everything(table):
    table.hear({"kind": "ready"})
    assert table.told[-1][0] == "whole"
    assert table.seen.is_set()


@pytest.mark.parametrize("message", [None, [], {}, {"kind": "close"}, {"kind": "open", "row": "1"}])
def test_a_message_that_makes_no_sense_changes_nothing(table, message):
    sent = len(table.told)
    table.hear(message)
    assert len(table.told) == sent


def test_a_run_is_followed_to_its_end_by_itself(kept, tmp_path):
    table = Overheard(kept, tmp_path, AXES, lambda: kept.ended)
    table.hear({"kind": "ready"})
    kept.points[0]["status"] = "completed"
    kept.ended = True
    until = time.monotonic() + 10
    while time.monotonic() < until and not table.told[-1][1]["facts"]["finished"]:
        threading.Event().wait(0.02)
    assert table.told[-1][1]["facts"]["finished"]
    table.close()


def test_everything_is_sent_again_until_a_front_end_listens(kept, tmp_path, monkeypatch):
    """While a cell runs, a front end may listen and be unable to say so."""
    monkeypatch.setattr("decart_lab.widgets.runtable.PATIENCE_S", 0.1)
    table = Overheard(kept, tmp_path, AXES, lambda: kept.ended)
    until = time.monotonic() + 10
    while time.monotonic() < until and len(table.told) < 2:
        threading.Event().wait(0.02)
    assert [kind for kind, _, _ in table.told[:2]] == ["whole", "whole"]
    table.close()


def test_only_columns_that_say_something_have_a_place(kept):
    names = [column.name for column in shown_columns(held(kept.points), AXES)]
    assert names == ["status", "style", "seed", "total_s", "cost", "error_message"]


def test_what_varies_has_a_place_and_a_prompt_only_when_no_variable_says_it():
    rows = [point(n, model="m" + str(n % 2), prompt=f"p{n}", input="cat.jpg") for n in range(4)]
    names = [column.name for column in shown_columns(held(rows), {})]
    assert names == ["status", "model", "prompt", "seed", "total_s", "cost", "error_message"]
    made = [{**row, "template": "a {style} look"} for row in rows]
    assert "prompt" not in [column.name for column in shown_columns(held(made), AXES)]


def test_figures_that_are_not_known_are_nothing_and_not_a_number():
    rows = [point(0, "completed", cost=float("nan"), total_s=float("inf")), point(1, "completed")]
    assert summary(held(rows)) == {
        "counts": {"completed": 2},
        "cost": 0,
        "unpriced": 2,
        "simulated": None,
    }
    columns = shown_columns(held(rows), AXES)
    json.dumps([whole(held(rows), columns), changes(held(rows), [0], columns)], allow_nan=False)


def test_a_point_that_is_opened_comes_with_its_picture(kept, tmp_path):
    folder = tmp_path / "r1"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(samples.path("cat.jpg").read_bytes())
    done = point(0, "completed", media="a.jpg", mime="image/jpeg", prompt="<b>ink</b>", cost=0.02)
    told, [picture] = details(done, folder, AXES)
    assert picture[8:12] == b"WEBP"
    assert told["media"] == ["image/webp"]
    assert ["prompt", "<b>ink</b>"] in told["facts"]
    assert ["cost", "$0.02"] in told["facts"]


def test_a_clip_comes_with_its_poster_and_itself(tmp_path):
    (tmp_path / "a.mp4").write_bytes(samples.path("clip.mp4").read_bytes())
    done = point(0, "completed", media="a.mp4", mime="video/mp4", kind="video")
    told, buffers = details(done, tmp_path, AXES)
    assert told["media"] == ["image/webp", "video/mp4"]
    assert len(buffers) == 2


def test_a_path_out_of_the_folder_brings_nothing(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(samples.path("cat.jpg").read_bytes())
    (tmp_path / "run").mkdir()
    done = point(0, "completed", media="../secret.jpg", mime="image/jpeg")
    assert details(done, tmp_path / "run", AXES)[1] == []


def test_without_a_front_end_the_same_is_there_as_text(kept, table):
    kept.points[0] |= {"status": "in_doubt"}
    said = table._repr_mimebundle_()
    text = (said[0] if isinstance(said, tuple) else said)["text/plain"]
    assert text == repr(table) == "Run r1, running: 1 in doubt, 5 planned; $0.00."


def test_a_run_s_own_journal_can_be_watched_and_its_points_opened(emu):
    with dl.connect(emu.url) as lab:
        sweep = lab.sweep(
            model="lucy-image-2", prompt="ink", data=samples.path("cat.jpg"), seed=[1, 2]
        )
        run = sweep.start()
        table = run.watch()
        run.wait()
        table.refresh(everything=True)
        assert re.search(r"finished: 2 completed; \$0.04; simulated", repr(table))
        assert [column.name for column in table._columns[:2]] == ["status", "seed"]
        _, buffers = details(run._journal.row(run.df.index[1]), run.folder, {})
        assert len(buffers) == 1
        table.close()


def test_rows_are_messages_and_not_saved_with_the_notebook(table):
    assert "ink" not in json.dumps(table.get_state(), default=str).replace(table._css, "")
