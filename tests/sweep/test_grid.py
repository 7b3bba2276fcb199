"""The algebra of grids: what is counted, in which order points come, and what is refused."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.errors import GridError, MediaError
from decart_lab.sweep.axes import inputs
from decart_lab.sweep.grid import Grid
from decart_lab.sweep.product import Factor, Product, When
from decart_lab.sweep.template import template

NAMES = ("alpha", "beta", "gamma", "delta")


@st.composite
def axes(draw, most=4):
    count = draw(st.integers(1, most))
    return {
        name: draw(st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True))
        for name in NAMES[:count]
    }


def values(grid):
    return [dict(point.values) for point in grid.points()]


def nested_loops(found):
    return [dict(zip(found, row, strict=True)) for row in itertools.product(*found.values())]


@given(axes())
def test_points_come_as_nested_loops_would_visit_them(found):
    grid = Grid.of(**found)
    assert values(grid) == nested_loops(found)
    assert grid.count() == len(list(grid.points()))


@given(axes(), st.data())
def test_a_filter_keeps_what_a_comprehension_would(found, data):
    limit = data.draw(st.integers(0, 99))
    grid = Grid.of(**found).where(f"alpha < {limit} or not alpha in [{limit}]")
    expected = [v for v in nested_loops(found) if v["alpha"] < limit or v["alpha"] != limit]
    assert values(grid) == expected
    assert len(grid) == len(expected)
    assert values(Grid.of(**found).where(lambda v: v["alpha"] != limit)) == [
        v for v in nested_loops(found) if v["alpha"] != limit
    ]


@given(st.integers(1, 5), axes(most=2), st.integers(0, 3))
def test_linked_axes_move_as_zip_does(length, others, offset):
    a, b = list(range(length)), [chr(97 + i) for i in range(length)]
    keywords = {"left": a, **others, "right": b}
    grid = Grid.of(**keywords).linked("left", "right")
    rest = nested_loops(others)
    assert values(grid) == [
        {"left": x, "right": y} | other for x, y in zip(a, b, strict=True) for other in rest
    ]
    assert grid.count() == length * len(rest)


@given(axes(), st.data())
def test_a_sample_is_distinct_ordered_and_the_same_for_the_same_seed(found, data):
    grid = Grid.of(**found)
    n = data.draw(st.integers(1, grid.count()))
    seed = data.draw(st.integers())
    every, drawn = values(grid), values(grid.sample(n, seed))
    positions = [every.index(v) for v in drawn]
    assert len(drawn) == n == grid.sample(n, seed).count()
    assert positions == sorted(set(positions))
    assert drawn == values(grid.sample(n, seed))


@given(axes(most=3), st.data())
def test_a_conditional_axis_exists_only_where_its_condition_holds(found, data):
    name = data.draw(st.sampled_from(list(found)))
    chosen = data.draw(st.lists(st.sampled_from(found[name]), min_size=1, unique=True))
    grid = Grid.of(**found).when(**{name: chosen}, extra=["x", "y", "z"])
    expected = [
        v | {"extra": extra}
        for v in nested_loops(found)
        for extra in (("x", "y", "z") if v[name] in chosen else (None,))
    ]
    assert values(grid) == expected
    assert grid.count() == len(expected)


@given(axes(most=3), st.data())
def test_several_conditions_are_counted_and_indexed_together(found, data):
    grid, expected = Grid.of(**found), nested_loops(found)
    for number in range(data.draw(st.integers(1, 3))):
        chosen = {
            name: data.draw(st.lists(st.sampled_from(found[name]), min_size=1, unique=True))
            for name in data.draw(st.sets(st.sampled_from(list(found)), min_size=1))
        }
        extra = f"extra{number}"
        grid = grid.when(**chosen, **{extra: [1, 2]})
        expected = [
            v | {extra: value}
            for v in expected
            for value in ((1, 2) if all(v[n] in c for n, c in chosen.items()) else (None,))
        ]
    assert grid.count() == len(expected)
    assert values(grid) == expected


@given(axes(most=3), st.integers(1, 4), st.integers(1, 3))
def test_repeating_buys_each_point_as_numbered_replicates(found, n, again):
    grid = Grid.of(**found).repeat(n).repeat(again)
    assert grid.count() == len(nested_loops(found)) * n * again
    per_point = Counter(tuple(p.values.values()) for p in grid.points())
    assert set(per_point.values()) == {n * again}
    assert {p.replicate for p in grid.points()} == set(range(n * again))


def test_an_index_leads_to_one_point_and_every_point_has_one():
    when = When({"a": frozenset({(int, 1)})}, (Factor(("c",), ((8,), (9,))),))
    product = Product(
        (Factor(("a",), ((0,), (1,), (2,))), Factor(("b",), (("x",), ("y",)))), (when,)
    )
    found = [tuple(product.at(i).items()) for i in range(product.count)]
    assert len(set(found)) == product.count == 8
    with pytest.raises(IndexError):
        product.at(8)


def test_a_billion_points_are_counted_and_sampled_at_once():
    thousand = range(1000)
    grid = Grid.of(model=["a", "b"], alpha=thousand, beta=thousand, gamma=thousand)
    grid = grid.when(model="b", delta=[1, 2, 3]).repeat(2)
    started = time.monotonic()
    assert grid.count() == 8_000_000_000
    drawn = values(grid.sample(64, seed=3))
    filtered = values(grid.where("alpha != 5").sample(64, seed=3))
    assert time.monotonic() - started < 3  # enumerating would take hours
    assert len(drawn) == len(filtered) == 64
    assert all(v["alpha"] != 5 for v in filtered)


def test_a_sample_of_a_filter_that_almost_nothing_passes_says_so(monkeypatch):
    monkeypatch.setattr("decart_lab.sweep.drawing.MAX_DRAWS", 1000)
    grid = Grid.of(alpha=range(1000), beta=range(1000)).where("alpha == 1 and beta == 1")
    with pytest.raises(GridError, match="draws found"):
        list(grid.sample(2).points())


def test_operations_apply_in_the_order_they_were_asked_for():
    grid = Grid.of(alpha=range(10))
    assert values(grid.where("alpha > 4").sample(5)) == [{"alpha": a} for a in range(5, 10)]
    thinned = values(grid.sample(9, seed=1).where("alpha > 4"))
    assert thinned == [v for v in values(grid.sample(9, seed=1)) if v["alpha"] > 4]
    assert len(values(grid.sample(6).sample(2))) == 2


def test_scalars_are_constants_and_strings_are_never_split():
    grid = Grid.of(prompt="ink, clay || neon", seed=(1, 2))
    assert [v["prompt"] for v in values(grid)] == ["ink, clay || neon"] * 2
    assert list(grid.axes) == ["seed"]


def test_a_one_dimensional_array_of_numbers_is_an_axis_and_an_image_is_not():
    numpy = pytest.importorskip("numpy")
    picture = numpy.zeros((4, 4, 3), "uint8")
    grid = Grid.of(seed=numpy.arange(3), data=picture)
    assert [v["seed"] for v in values(grid)] == [0, 1, 2]
    assert all(type(v["seed"]) is int and v["data"] is picture for v in values(grid))


def test_template_variables_are_axes_in_the_place_of_the_prompt():
    look = template("a {style} look, {light} light", style=["ink", "clay"], light="noon")
    grid = Grid.of(model="m", prompt=look, seed=[1, 2])
    assert list(grid.axes) == ["style", "light", "seed"]
    assert values(grid)[0] == {
        "model": "m",
        "style": "ink",
        "light": "noon",
        "seed": 1,
        "prompt": "a ink look, noon light",
    }
    assert list(grid.columns) == ["style", "light"]
    assert values(grid.where("'clay' in prompt"))[0]["style"] == "clay"


def test_grids_are_never_changed_by_what_is_made_of_them():
    grid = Grid.of(alpha=[1, 2], beta=[3, 4])
    before = values(grid)
    for other in (grid.linked("alpha", "beta"), grid.where("alpha == 1"), grid.sample(1)):
        assert values(other) != before
    assert values(grid) == before


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Grid.of(alpha=[]), "has no values"),
        (lambda: Grid.of(alpha=[1, 1]), "twice"),
        (lambda: Grid.of(alpha=[{"x": 1}, {"x": 1}]), "twice"),
        (lambda: Grid.of(alpha=range(10**12)), "are held"),
        (lambda: Grid.of(alpha={1, 2}), "no fixed order"),
        (lambda: Grid.of(alpha=iter([1])), "no fixed order"),
        (lambda: Grid.of(status=["a"]), "column of that name"),
        (lambda: Grid.of(metric_sharpness=["a"]), "column of that name"),
        (lambda: Grid.of(point_id=["a"]), "column of that name"),
        (lambda: Grid.of(prompt=template("{cost}", cost=["a"])), "column of that name"),
        (lambda: Grid.of(**{"not a name": 1}), "not a plain name"),
        (lambda: Grid.of(prompt="a {style} look"), "no variables"),
        (lambda: Grid.of(prompt=["plain", "a {style} look"]), "no variables"),
        (lambda: Grid.of(prompt=[template("x")]), "one of several"),
        (lambda: Grid.of(seed=template("{a}", a=1)), "Only prompt"),
        (lambda: Grid.of(seed=1, prompt=template("{seed}", seed=1)), "also a keyword"),
        (lambda: Grid.of(alpha=[1, 2]).linked("alpha"), "two or more"),
        (lambda: Grid.of(alpha=[1, 2], beta=[1]).linked("alpha", "beta"), "alpha has 2"),
        (lambda: Grid.of(alpha=[1, 2], beta=1).linked("alpha", "beta"), "not an axis"),
        (lambda: Grid.of(alpha=[1, 2]).linked("alpha", "aplha"), "not an axis"),
        (lambda: Grid.of(alpha=[1, 2]).when(alpha=1), "one axis to add"),
        (lambda: Grid.of(alpha=[1, 2]).when(beta=1), "at least one condition"),
        (lambda: Grid.of(alpha=[1, 2]).when(alpha=3, beta=1), "met by no point"),
        (lambda: Grid.of(alpha=[1, 2]).when(alpha=1, cost=[1]), "column of that name"),
        (
            lambda: Grid.of(alpha=[1, 2]).when(alpha=1, beta=[1]).when(alpha=[1, 2], beta=[2]),
            "both set",
        ),
        (lambda: Grid.of(alpha=[1, 2]).where("beta == 1"), "names 'beta'"),
        (lambda: Grid.of(alpha=[1, 2]).where(7), "expression or a function"),
        (lambda: Grid.of(alpha=[1, 2]).sample(0), "from 1"),
        (lambda: Grid.of(alpha=[1, 2]).repeat(True), "from 1"),
        (lambda: Grid.of(alpha=[1, 2]).sample(3).count(), "more points"),
        (lambda: list(Grid.of(alpha=[1, 2]).sample(3).points()), "more points"),
        (lambda: Grid.of(alpha=[1, 2]).sample(1).when(alpha=1, beta=[1]), "already drawn"),
        (lambda: Grid.of(alpha=[1, 2]).sample(1).repeat(2), "already drawn"),
        (lambda: list(Grid.of(alpha=[1, 2]).where(lambda v: v["no"]).points()), "KeyError"),
        (lambda: list(Grid.of(alpha=[1, "a"]).where("alpha < 2").points()), "cannot compare"),
    ],
)
def test_what_cannot_be_a_grid_is_refused_in_words(build, says):
    with pytest.raises(GridError, match=says) as caught:
        build()
    assert caught.value.hint or caught.value.field


def test_the_same_conditional_axis_may_have_other_values_elsewhere():
    grid = Grid.of(alpha=[1, 2]).when(alpha=1, beta=["x"]).when(alpha=2, beta=["y", "z"])
    assert [v["beta"] for v in values(grid)] == ["x", "y", "z"]
    assert grid.columns["beta"] == "string"


def test_one_and_true_are_different_values_and_equal_lists_are_not():
    assert Grid.of(alpha=[1, True, 1.0]).count() == 3
    assert values(Grid.of(alpha=[0, False]).when(alpha=[False], beta=1))[0]["beta"] is None


def test_files_are_found_by_pattern_sorted_and_each_once(tmp_path, monkeypatch):
    for name in ("b.png", "a.png", "c.mp4"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    found = inputs(tmp_path / "*.png", tmp_path / "a.*", tmp_path / "*.mp4")
    assert [path.name for path in found] == ["a.png", "b.png", "c.mp4"]
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in inputs("*.mp4")] == ["c.mp4"]
    with pytest.raises(MediaError, match=r"No file matches '\*\.gif'"):
        inputs("*.gif")
