"""The schema: one table of columns, and frames that are alike whatever is in them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from decart_lab.contract.states import PointStatus
from decart_lab.sweep.journal import Journal
from decart_lab.sweep.table import FIXED, SCHEMA, frame_of, run_frame, to_frame

FULL = {
    "string": "x",
    "category": "a",
    "status": "completed",
    "boolean": True,
    "Int16": 3,
    "Int64": 4_294_967_295,
    "Float64": 0.5,
    "datetime": datetime(2026, 1, 1, tzinfo=UTC),
}
AXES = {"style": "string", "strength": "Float64", "anchor": "boolean", "steps": "Int64"}


def row(**more):
    return {"point_id": "a" * 16, "status": PointStatus.PLANNED, **more}


def full_row():
    found = {column.name: FULL[column.dtype] for column in SCHEMA}
    return found | {"point_id": "b" * 16, **{name: FULL[kind] for name, kind in AXES.items()}}


def shape(frame):
    """Columns with dtypes; the values a category happens to hold are not its type."""
    return {
        name: "category"
        if isinstance(dtype, pd.CategoricalDtype) and not dtype.ordered
        else str(dtype)
        for name, dtype in frame.dtypes.items()
    } | {frame.index.name: str(frame.index.dtype)}


def test_an_empty_a_partial_and_a_full_run_have_the_same_dtypes():
    empty, partial = to_frame([], AXES), to_frame([row()], AXES)
    full = to_frame([full_row()], AXES)
    assert shape(empty) == shape(partial) == shape(full)
    assert shape(to_frame([row(), full_row()], AXES)) == shape(empty)
    assert not full.isna().any().any()


def test_text_is_kept_as_python_s_own_whatever_else_is_installed():
    """pandas would give it to pyarrow, which refuses half of a surrogate pair."""
    pytest.importorskip("pyarrow")
    half = "half \ud800"
    frame = to_frame([full_row() | {"prompt": half, "model": half, "style": half}], AXES)
    assert [frame[name].iloc[0] for name in ("prompt", "model", "style")] == [half] * 3
    dtypes = [frame.index.dtype, *frame.dtypes]
    dtypes += [d.categories.dtype for d in dtypes if isinstance(d, pd.CategoricalDtype)]
    assert {d.storage for d in dtypes if isinstance(d, pd.StringDtype)} == {"python"}


def test_every_column_has_the_dtype_that_the_schema_promises():
    frame = to_frame([full_row()])
    assert list(frame.columns) == [column.name for column in SCHEMA]
    assert frame.index.name == "point_id"
    for column in SCHEMA:
        dtype = frame.dtypes[column.name]
        if column.dtype == "string":
            assert dtype == pd.StringDtype("python"), column.name
        elif column.dtype == "datetime":
            assert str(dtype) == "datetime64[us, UTC]", column.name
        elif column.dtype == "status":
            assert dtype.ordered
            assert list(dtype.categories) == [status.value for status in PointStatus]
        else:
            assert str(dtype) == column.dtype, column.name


def test_statuses_can_be_compared_because_they_are_ordered():
    frame = to_frame([row(), row(status="completed") | {"point_id": "c"}])
    assert (frame["status"] >= "completed").tolist() == [False, True]


def test_unknown_numbers_are_missing_and_never_nan_or_zero():
    frame = to_frame([row(cost=math.nan, cost_estimate=math.nan)])
    assert frame["cost"].isna().all()
    assert frame["cost"].sum() == 0
    assert frame["cost_estimate"].array[0] is pd.NA


@pytest.mark.parametrize("fixed", ["point_id", "status", "media", "input", "cost"])
def test_fixed_names_are_known_to_the_grid(fixed):
    assert fixed in FIXED


def test_frames_of_several_runs_can_be_put_together():
    both = pd.concat([to_frame([full_row()]), to_frame([row()])])
    assert len(both) == 2
    assert str(both.dtypes["seed"]) == "Int64"


def test_categories_are_sorted_so_that_they_do_not_depend_on_which_point_came_first():
    frame = to_frame([row(model="b"), row(model=None), row(model="a")])
    assert frame["model"].cat.categories.tolist() == ["a", "b"]


def test_values_that_are_no_plain_text_become_text_in_an_axis_column():
    frame = to_frame([row(style=[{"x": 1.5}])], {"style": "string"})
    assert frame["style"].tolist() == ['[{"x":1.5}]']


def test_a_frame_built_by_columns_is_the_one_built_from_rows():
    rows = [row(prompt="ink", style=None), full_row(), row(point_id="c" * 16, seed=3)]
    columns = {name: [r.get(name) for r in rows] for name in {key for r in rows for key in r}}
    asked: list[str] = []

    def column(name):
        asked.append(name)
        return columns.get(name)  # what no row has is None, and missing in the frame

    made = frame_of(columns["point_id"], column, AXES)
    pd.testing.assert_frame_equal(made, to_frame(rows, AXES))
    assert len(asked) == len(set(asked)) == len(made.columns)


def test_the_table_of_a_journal_is_the_one_of_its_rows(tmp_path):
    rows = [full_row(), row(cached=False, submitted_at=None)]
    with Journal.create(tmp_path, {"run_id": "r"}, rows, AXES) as journal:
        assert journal.rows()[0]["submitted_at"] == FULL["datetime"]
        pd.testing.assert_frame_equal(run_frame(journal), to_frame(journal.rows(), AXES))


def test_a_text_that_stands_in_many_rows_of_a_journal_is_held_once(tmp_path):
    rows = [row(point_id=f"{number:016x}", prompt="a long prompt") for number in range(3)]
    with Journal.create(tmp_path, {"run_id": "r"}, rows, {}) as journal:
        assert len({id(text) for text in run_frame(journal)["prompt"]}) == 1


def test_times_may_come_as_a_journal_keeps_them():
    at = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
    micros = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    held = {"submitted_at": [micros, None], "cached": [1, None]}
    frame = frame_of(["a", "b"], held.get)
    expected = to_frame([{"point_id": "a", "submitted_at": at, "cached": True}, {"point_id": "b"}])
    pd.testing.assert_frame_equal(frame, expected)
