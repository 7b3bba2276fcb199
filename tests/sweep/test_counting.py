"""Counting what filters leave: never wrong, and never by visiting what no filter looks at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.errors import GridError
from decart_lab.sweep.grid import Grid
from decart_lab.sweep.template import template

NAMES = ("alpha", "beta", "gamma", "delta")
LOOK = template("{style}, {light}", style=["ink", "clay"], light=["noon", "dusk", "night"])


def unequal(first, second, gap):
    """A filter of two axes that says which."""
    scope: dict = {}
    exec(f"def keep({first}, {second}):\n return ({first} or 0) != ({second} or 0) + {gap}", scope)
    return scope["keep"]


@st.composite
def filtered(draw):
    """A grid of any shape, and the conditions it was filtered by, each as a plain function."""
    found = {
        n: draw(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True)) for n in NAMES
    }
    grid = Grid.of(prompt=LOOK, **found)
    if draw(st.booleans()) and len(found["alpha"]) == len(found["delta"]):
        grid = grid.linked("alpha", "delta")
    if draw(st.booleans()):
        grid = grid.when(beta=found["beta"][:1], extra=[1, 2])
    if draw(st.booleans()):
        grid = grid.when(gamma=found["gamma"][:2], style="ink", more=[0, 3, 4])
    grid = grid.repeat(draw(st.integers(1, 2)))
    plain = grid
    conditions = []
    for _ in range(draw(st.integers(0, 4))):
        name, other = draw(
            st.permutations([n for n in grid.names if n in (*NAMES, "extra", "more")])
        )[:2]
        number = draw(st.integers(0, 5))
        kind = draw(st.sampled_from(["one", "two", "text", "prompt", "dict", "constant"]))
        if kind == "one":
            text = f"{name} is None or {name} != {number}"
            grid = grid.where(text)
            conditions.append(lambda v, n=name, k=number: v[n] != k)
        elif kind == "two":
            keep = unequal(name, other, number % 3 - 1)
            grid = grid.where(keep)
            conditions.append(lambda v, f=keep, a=name, b=other: f(v[a], v[b]))
        elif kind == "text":
            grid = grid.where(f"not ({name} == {number} and style == 'ink')")
            conditions.append(lambda v, n=name, k=number: v[n] != k or v["style"] != "ink")
        elif kind == "prompt":
            grid = grid.where(lambda prompt: prompt != "ink, dusk")
            conditions.append(lambda v: v["prompt"] != "ink, dusk")
        elif kind == "dict":
            grid = grid.where(lambda point, n=name, k=number: point[n] != k)
            conditions.append(lambda v, n=name, k=number: v[n] != k)
        else:
            grid = grid.where(f"{number} < 5")
            conditions.append(lambda _, k=number: k < 5)
    return grid, [p for p in plain.points() if all(keep(p.values) for keep in conditions)]


@given(filtered())
def test_a_count_is_the_number_of_points_whatever_the_filters_share(made):
    grid, expected = made
    assert grid.count() == len(expected)
    assert list(grid.points()) == expected


@given(filtered(), st.sampled_from([0, 1, 3, 10, 30, 100]))
def test_bounds_hold_however_little_was_visited_for_them(made, effort):
    grid, expected = made
    low, high = grid._drawing.bounds(effort)
    assert low <= len(expected) <= high


@given(filtered(), st.integers(0, 3), st.data())
def test_a_sample_of_what_filters_leave_is_part_of_it_and_in_its_order(made, seed, data):
    grid, expected = made
    if not expected:
        with pytest.raises(GridError, match="more points than"):
            list(grid.sample(1).points())
        return
    n = data.draw(st.integers(1, len(expected)))
    positions = [expected.index(point) for point in grid.sample(n, seed).points()]
    assert len(positions) == n == grid.sample(n, seed).count()
    assert positions == sorted(set(positions))


def billion():
    return Grid.of(**{f"a{number}": range(10) for number in range(9)})


def asked(condition):
    """The condition, and a list that grows with every point it is asked about."""
    calls: list[None] = []
    if condition == "pair":
        return (lambda a0, a1: calls.append(None) or a0 != a1), calls
    return (lambda a5: calls.append(None) or a5 > 4), calls


def test_a_billion_points_are_counted_on_the_axes_that_filters_look_at():
    pair, of_pair = asked("pair")
    one, of_one = asked("one")
    grid = billion().where(pair).where(one).where("not (a2 == 1 and a3 in [2, 3])")
    assert grid.count() == 90 * 5 * 98 * 10**4
    assert grid.bounds() == (441_000_000, 441_000_000)
    assert len(list(grid.sample(500, seed=1).points())) == 500
    assert len(of_one) == 20  # its values, for the grid and for the sample
    assert len(of_pair) < 100 + 100 + 2000  # the pairs, once for each count, and the draws


def test_filters_that_share_axes_are_counted_together_while_that_is_little():
    grid = billion().where("a0 < a1").where("a1 < a2").where(lambda a8: a8 == 1)
    assert grid.count() == 120 * 10**5


def test_filters_that_tangle_too_many_values_give_bounds_and_a_refusal_to_count():
    wide = Grid.of(alpha=range(200), beta=range(100), gamma=range(3000), delta=range(5))
    few = wide.where("delta == 0 or alpha != 7").where(lambda alpha, beta: alpha != beta)
    few = few.where("beta != gamma or alpha == 1")
    low, high = few.bounds()
    points = 200 * 100 * 3000 * 5
    assert high == points - 100 * 3000 * 5  # the strictest of those that could be counted alone
    assert low == 0  # of one nothing is known
    with pytest.raises(GridError, match="at most 298,500,000 points") as caught:
        few.count()
    assert "sample(n)" in str(caught.value)
    assert len(list(few.sample(20).points())) == 20
    assert str(Grid.of(alpha=range(200), beta=range(200)).where("alpha < beta").bounds()) == (
        "at most 40,000"
    )


def test_bounds_add_up_what_each_filter_refuses():
    sides = {name: range(12) for name in NAMES}
    grid = Grid.of(**sides).where("alpha != beta").where("beta != gamma").where("gamma != delta")
    total, refused = 12**4, 12**3
    assert grid._drawing.bounds(1000) == (total - 3 * refused, total - refused)
    assert str(grid._drawing.bounds(1000)) == "between 15,552 and 19,008"
    assert grid.count() == 12 * 11**3


def test_a_filter_may_count_on_those_before_it():
    grid = Grid.of(alpha=[1, "x", 3], beta=[1, 2]).where(lambda alpha: alpha != "x")
    assert grid.where("alpha > beta").count() == 2
    guarded = Grid.of(alpha=[1, "x"], beta=[1, 2], gamma=range(3))
    guarded = guarded.where("alpha != 'x' or beta < 0").where("alpha < 3").where("beta < gamma")
    assert guarded._drawing.bounds(5).low <= guarded.count() == 1


def test_an_axis_of_which_no_value_is_left_leaves_no_point():
    grid = Grid.of(alpha=[1, 2], beta=[3]).when(alpha=1, extra=[1, 2]).where("alpha > 5")
    assert grid.count() == len(grid) == len(list(grid.points())) == 0
    with pytest.raises(GridError, match="the 0 there are"):
        list(grid.sample(1).points())


def test_columns_keep_their_types_when_filters_take_values_away():
    grid = Grid.of(strength=[0.5, 1, 2]).where("strength >= 1")
    assert grid.columns == {"strength": "Float64"}
    assert [p.values["strength"] for p in grid.points()] == [1, 2]


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda alpha: alpha == 1, {"alpha"}),
        (lambda beta, alpha=5: beta == 1 < alpha + 5, {"alpha", "beta"}),
        (lambda alpha, limit=1: alpha == limit, {"alpha"}),
        (lambda alpha, **others: alpha == 1 + len(others), {"alpha"}),
        (lambda *, alpha: alpha == 1, {"alpha"}),
        (lambda point: point["alpha"] == 1, None),
        (lambda point, alpha=1: point["alpha"] == alpha, None),
        (lambda point, /, alpha=1: point["alpha"] == alpha, None),
        (lambda *points: points[0]["alpha"] == 1, None),
        (lambda alpha=5: alpha == 1, {"alpha"}),
        ({"alpha": 1, "beta": 2}.__eq__, None),
    ],
)
def test_functions_are_called_with_what_their_parameters_name(function, names):
    grid = Grid.of(alpha=[1, 2], beta=[1, 2]).where(function)
    assert grid.ops[-1].keep.names == names
    expected = 1 if getattr(function, "__name__", "") == "__eq__" else 2
    assert grid.count() == len(list(grid.points())) == expected


def max_of(one, two):
    return max(one, two)


@pytest.mark.parametrize("function", [lambda alpha, stile: alpha == stile, max_of])
def test_functions_that_take_what_the_grid_does_not_have_are_refused_at_once(function):
    with pytest.raises(GridError, match="which the grid does not have"):
        Grid.of(alpha=[1], style=["ink"]).where(function)


def test_a_function_that_fails_says_at_which_values():
    grid = Grid.of(alpha=[1, 0], beta=range(3)).where(lambda alpha: 1 / alpha)
    with pytest.raises(GridError, match="failed at alpha=0: ZeroDivisionError"):
        grid.count()


def test_conditions_on_a_constant_belong_to_what_a_function_of_everything_sees():
    grid = Grid.of(model="m", alpha=[1, 2], beta=[1, 2]).when(model="m", extra=[1, 2, 3])
    assert grid.where(lambda point: point["alpha"] == point["extra"]).count() == 2 * 2


def test_a_filter_of_constants_keeps_all_or_nothing_and_asks_no_axis():
    grid = Grid.of(model="m", alpha=range(30_000))
    assert grid.where("model == 'm'").bounds() == (30_000, 30_000)
    assert grid.where("model != 'm'").bounds() == (0, 0)


def test_repeats_and_samples_are_counted_after_the_filters():
    grid = Grid.of(alpha=range(4), beta=range(3)).repeat(2).where("alpha != beta")
    assert grid.count() == len(list(grid.points())) == 18
    assert grid.sample(5).count() == 5
    thinned = grid.sample(9).where("alpha > 1")
    assert thinned.bounds() == (0, 9)
    assert thinned.count() == len(list(thinned.points()))
    with pytest.raises(GridError, match="the 18 there are"):
        grid.sample(19).count()


def test_walking_visits_what_indices_would():
    grid = Grid.of(alpha=[1, 2], beta=[3, 4]).linked("alpha", "beta")
    for found in (grid, Grid.of(alpha=[1, 2], beta=[3, 4]).when(alpha=1, extra=[5, 6])):
        walked = list(found._drawing.product.walk())
        assert walked == [found._drawing.product.at(i) for i in range(len(walked))]
