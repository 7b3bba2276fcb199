"""The plan: every point checked, named and priced before any request."""

from __future__ import annotations

import io
from math import isnan

import pytest

from decart_lab.contract.models import ModelDefinition
from decart_lab.errors import GridError
from decart_lab.media import samples
from decart_lab.sweep.grid import Grid
from decart_lab.sweep.plan import build_plan
from decart_lab.sweep.spending import cost_of

CAT, CLIP = samples.path("cat.jpg"), samples.path("clip.mp4")


def plan(service="emulator", **keywords):
    return build_plan(Grid.of(**keywords), service=service)


def only(**keywords):
    [point] = plan(**keywords).points
    return point


def test_pairs_of_model_and_input_that_do_not_fit_are_excluded_with_the_reason():
    made = plan(model=["lucy-image-2", "lucy-2.1"], prompt="ink", data=[CAT, CLIP])
    assert [p.problem for p in made.points] == ["", "excluded", "excluded", ""]
    assert [p.reason for p in made.points][1:3] == [
        "lucy-image-2 takes a picture as data; clip.mp4 is a clip.",
        "lucy-2.1 takes a clip as data; cat.jpg is a picture.",
    ]
    made.check()
    assert "2 left out" in made.summary(cost_of(made))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "lucy-imago-2"}, "not found"),
        ({"model": "mirage"}, "model for realtime"),
        ({"model": "lucy-dev-v2v"}, "retired"),
        ({"model": 7}, "must be a name"),
        ({"prompt": None}, "prompt is missing"),
        ({"prompt": "x" * 1001}, "1001 characters"),
        ({"prompt": 5}, "prompt"),
        ({"seed": -1}, "whole number from 0"),
        ({"seed": 1.5}, "whole number from 0"),
        ({"resolution": "8k"}, "resolution"),
        ({"strength": 3}, "does not take 'strength'"),
        ({"data": None}, "data is missing"),
        ({"data": "no_such_file.png"}, "missing file"),
        ({"data": b"plain text"}, "it looks like text"),
        ({"reference_image": CLIP}, "takes a picture as reference_image"),
        ({"start": CAT}, "does not take start"),
    ],
)
def test_an_invalid_point_says_why_and_stops_the_run(change, says):
    keywords = {"model": "lucy-image-2", "prompt": "ink", "data": CAT} | change
    made = build_plan(Grid.of(**keywords), service="emulator")
    assert made.points[0].problem == "invalid"
    assert says in made.points[0].reason
    with pytest.raises(GridError, match="nothing was bought"):
        made.check()


def test_one_bad_point_among_many_stops_the_run_unless_it_may_be_a_row():
    made = plan(model="lucy-image-2", prompt=["ink", "x" * 1001], data=CAT, seed=[1, 2])
    with pytest.raises(GridError, match=r"2 of 4 points are not valid.*1001 characters"):
        made.check()
    made.check(allow_invalid=True)
    assert len(made.runnable) == 2


def test_a_plan_of_which_nothing_can_be_bought_is_refused():
    with pytest.raises(GridError, match="None of the 1 points"):
        plan(model="lucy-2.1", prompt="ink", data=CAT).check()


def test_clips_longer_than_the_model_takes_are_found_before_they_are_sent():
    short = ModelDefinition("short-1", schema="EDIT2", max_input_s=1.0)
    point = only(model=short, prompt="ink", data=CLIP)
    assert point.problem == "invalid"
    assert "at most 1 s" in point.reason


@pytest.mark.filterwarnings("ignore:Model 'lucy-clip'")
@pytest.mark.parametrize(
    ("keywords", "usd"),
    [
        ({"model": "lucy-image-2", "data": CAT}, 0.02),
        ({"model": "lucy-image-2", "data": CAT, "resolution": "480p"}, 0.01),
        ({"model": "lucy-image-latest", "data": CAT}, 0.02),
        ({"model": "lucy-2.1", "data": CLIP}, None),
        ({"model": "lucy-clip", "data": CLIP}, 0.75),
    ],
)
def test_estimates_come_from_the_price_table_and_the_length_of_the_clip(keywords, usd):
    point = only(prompt="ink", **keywords)
    length = point.files["data"].duration_s
    assert point.cost_estimate == (usd if usd is not None else round(0.04 * length, 6))


def test_an_unknown_price_is_nan_and_the_summary_says_so():
    made = plan(model=["lucy-2.1", "lucy-2.6"], prompt="ink", data=CLIP)
    assert isnan(made.points[1].cost_estimate)
    assert "at least $0.08: 1 of them have no known price" in made.summary(cost_of(made))
    frame = made.frame()
    assert frame["cost_estimate"].isna().tolist() == [False, True]
    assert frame["valid"].tolist() == [True, True]


def test_the_plan_is_a_table_with_axes_and_reasons():
    frame = plan(model=["lucy-image-2", "lucy-2.1"], prompt="ink", data=CAT, size=[1]).frame()
    assert frame.index.name == "point_id"
    assert frame.index.is_unique
    assert frame["size"].tolist() == [1, 1]
    assert {"valid", "problem", "reason", "cost_estimate", "input"} <= set(frame.columns)
    assert frame["reason"].notna().all()


def test_keys_follow_content_and_neither_names_nor_spelling(tmp_path):
    copy = tmp_path / "other name.jpg"
    copy.write_bytes(CAT.read_bytes())
    a = only(model="lucy-image-2", prompt="ink", data=CAT, enhance_prompt=None)
    b = only(data=str(copy), prompt="ink", model="lucy-image-2")
    c = only(model="lucy-image-2", prompt="ink", data=CAT.read_bytes())
    d = only(model="lucy-image-2", prompt="ink", data=CAT, enhance_prompt=True)
    assert a.request_key == b.request_key == c.request_key != d.request_key
    assert a.point_id == b.point_id
    assert only(service="decart", model="lucy-image-2", prompt="ink", data=CAT) != a.request_key


def test_points_that_would_send_the_same_request_are_bought_once_and_have_rows_of_their_own():
    made = plan(model="lucy-image-2", prompt="ink", data=[CAT, str(CAT)], seed=[1, 2])
    first, second, third, fourth = made.points
    assert third.twin_of == first.point_id
    assert fourth.twin_of == second.point_id
    assert len({p.point_id for p in made.points}) == 4
    assert (cost_of(made).likely, cost_of(made).unpriced) == (0.04, 0)
    assert "2 repeat" in made.summary(cost_of(made))


def test_replicates_are_different_buys_of_one_request():
    grid = Grid.of(model="lucy-image-2", prompt="ink", data=CAT).repeat(3)
    points = build_plan(grid, service="emulator").points
    assert len({p.request_key for p in points}) == 1
    assert len({p.point_id for p in points}) == 3
    assert [p.twin_of for p in points] == [None] * 3


def test_each_distinct_input_is_read_once_however_many_points_use_it():
    class Counting(io.BytesIO):
        reads = 0

        def read(self, size=-1):
            data = super().read(size)
            Counting.reads += len(data)
            return data

    file = Counting(CAT.read_bytes())
    grid = Grid.of(model="lucy-image-2", prompt=["a", "b", "c"], data=file)
    held: dict = {}
    for _ in range(2):  # planning again, as run() does after plan(), finds it still there
        made = build_plan(grid, service="emulator", held=held)
        assert [p.problem for p in made.points] == ["", "", ""], made.points[0].reason
    assert Counting.reads == CAT.stat().st_size


def test_urls_are_not_fetched_by_a_plan_and_their_queries_are_not_shown():
    point = only(model="lucy-image-2", prompt="x", data="http://127.0.0.1:9/cat.png?sig=hunter2")
    assert point.problem == ""
    assert point.files["data"].label == "cat.png"
    assert "hunter2" not in repr(point.row())


def test_aliases_go_by_what_the_service_says_they_stand_for():
    grid = Grid.of(model="lucy-latest", prompt="ink", data=CLIP)
    [registry] = build_plan(grid, service="decart").points
    [asked] = build_plan(grid, service="decart", resolved={"lucy-latest": "lucy-2.6"}).points
    assert registry.spec.canonical == "lucy-2.5"
    assert asked.row()["model_resolved"] == "lucy-2.6"
    assert asked.row()["model"] == "lucy-latest"
    assert asked.spec.queue_path == "/v1/jobs/lucy-latest"
    assert asked.request_key != registry.request_key
    assert isnan(asked.cost_estimate)


def test_a_grid_too_large_to_plan_is_refused_before_it_is_drawn():
    with pytest.raises(GridError, match="at most 100,000"):
        plan(model="lucy-image-2", prompt=["ink", "clay"], seed=range(100_000))


def test_a_filtered_grid_is_planned_when_little_enough_is_left_of_it(monkeypatch):
    monkeypatch.setattr("decart_lab.sweep.plan.MAX_POINTS", 100)
    wide = Grid.of(model="lucy-image-2", prompt="ink", data=CAT, seed=range(200), size=range(200))
    few = build_plan(wide.where(lambda seed, size: seed == size < 100), service="emulator")
    assert len(few.points) == 100
    with pytest.raises(GridError, match="at least 101 points; at most 100"):
        build_plan(wide.where(lambda seed, size: seed == size), service="emulator")
    with pytest.raises(GridError, match="has 39,800 points; at most 100"):
        build_plan(wide.where("seed != 3"), service="emulator")


def test_a_grid_that_would_take_hours_to_filter_is_refused_before_it_is_drawn():
    tangled = Grid.of(model="m", prompt="ink", seed=range(3000), size=range(3000))
    with pytest.raises(GridError, match="cannot be counted more exactly"):
        build_plan(tangled.where(lambda point: point["seed"] == 5), service="emulator")


def test_template_variables_are_columns_and_never_sent():
    from decart_lab.sweep.template import template

    look = template("a {style} look", style=["ink", "clay"])
    made = plan(model="lucy-image-2", prompt=look, data=CAT)
    assert [p.problem for p in made.points] == ["", ""]
    assert [p.row()["style"] for p in made.points] == ["ink", "clay"]
    assert made.points[0].fields == {"prompt": "a ink look"}
    assert made.points[0].row()["template"] == "a {style} look"
