"""Which point goes where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.display.layout import arrange, telling
from decart_lab.display.tiles import Tile, axes_of
from decart_lab.errors import InvalidInputError


def tiles(*values: dict[str, object]) -> list[Tile]:
    return [Tile(str(at), "completed", values=value) for at, value in enumerate(values)]


def product(**axes: list[object]) -> list[Tile]:
    rows: list[dict[str, object]] = [{}]
    for name, values in axes.items():
        rows = [row | {name: value} for row in rows for value in values]
    return tiles(*rows)


def test_the_axis_with_fewer_values_goes_across() -> None:
    layout = arrange(product(style=list("abcde"), light=[1, 2]), ["style", "light"])
    assert (layout.rows, layout.cols) == ("style", "light")


def test_a_prompt_made_from_the_axes_is_not_an_axis_itself() -> None:
    made = [
        {"style": s, "light": t, "prompt": f"{s} {t}"} for s in ("ink", "clay") for t in ("a", "b")
    ]
    assert telling(tiles(*made), ["style", "light", "prompt"]) == ["style", "light"]


def test_linked_axes_are_told_once() -> None:
    linked = tiles({"style": "ink", "light": "noon"}, {"style": "clay", "light": "dusk"})
    assert telling(linked, ["style", "light"]) == ["style"]


def test_what_else_varies_tells_the_tiles_of_a_box_apart() -> None:
    layout = arrange(
        product(style=["a", "b"], light=["c", "d"], seed=[1, 2]), ["style", "light", "seed"]
    )
    assert layout.inner == ("seed",)
    box = layout.boxes[0, 0]
    assert [layout.inner_label(tile) for tile in box] == ["seed 1", "seed 2"]


def test_one_axis_flows_and_each_tile_says_its_value() -> None:
    layout = arrange(product(style=["ink", "clay"]), ["style"])
    assert layout.flows
    assert [layout.inner_label(tile) for tile in layout.boxes[0, 0]] == ["ink", "clay"]


def test_two_inputs_of_one_name_stay_apart() -> None:
    same = tiles(
        {"input": "cat.png", "input_sha256": "aa", "seed": 1},
        {"input": "cat.png", "input_sha256": "bb", "seed": 1},
    )
    layout = arrange(same, ["input"], rows="input")
    assert layout.row_labels == ("cat.png", "cat.png")


def test_a_column_that_is_no_axis_may_still_make_the_rows() -> None:
    layout = arrange(product(score=[1, 2]), [], rows="score")
    assert layout.row_labels == ("1", "2")


@pytest.mark.parametrize(("rows", "cols"), [("nope", None), (None, "nope"), ("style", "style")])
def test_rows_and_cols_that_make_no_grid_are_refused(rows: str | None, cols: str | None) -> None:
    with pytest.raises(InvalidInputError) as caught:
        arrange(product(style=["a", "b"]), ["style"], rows, cols)
    assert caught.value.field in ("rows", "cols")


@given(
    st.lists(
        st.fixed_dictionaries(
            {"a": st.integers(0, 3), "b": st.text(max_size=2), "c": st.none() | st.booleans()}
        ),
        max_size=30,
    ),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from([None, "c"]),
)
def test_every_point_is_in_exactly_one_box(
    values: list[dict[str, object]], rows: str | None, cols: str | None
) -> None:
    made = tiles(*values)
    if not made:
        return
    layout = arrange(made, ["a", "b", "c"], rows, cols)
    placed = [tile.point_id for box in layout.boxes.values() for tile in box]
    assert sorted(placed) == sorted(tile.point_id for tile in made)
    assert all(r < len(layout.row_labels) and c < len(layout.col_labels) for r, c in layout.boxes)


def test_axes_are_the_columns_before_the_fixed_ones() -> None:
    columns = ["style", "model", "kind", "prompt", "replicate", "seed", "input", "score"]
    assert axes_of(columns) == ["style", "input", "model", "prompt", "seed", "replicate"]
