"""Templates and the filter language: what they read, and everything they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.errors import GridError
from decart_lab.sweep.template import template
from decart_lab.sweep.where import parse_where


def test_a_template_renders_its_variables_and_literal_braces():
    look = template("{{literal}} {style} {style}!", style=["ink"])
    assert look.render({"style": "ink", "other": 1}) == "{literal} ink ink!"
    assert dict(look.variables) == {"style": ("ink",)}


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        ("a {style} look", {}, "no values for 'style'"),
        ("a look", {"style": ["ink"]}, "never uses 'style'"),
        ("a {} look", {}, "not the name of a variable"),
        ("a {0} look", {}, "not the name of a variable"),
        ("a {style.__class__} look", {"style": "x"}, "not the name of a variable"),
        ("a {style[0]} look", {"style": "x"}, "not the name of a variable"),
        ("a {style!r} look", {"style": "x"}, "not the name of a variable"),
        ("a {style:>9} look", {"style": "x"}, "not the name of a variable"),
        ("a {style look", {"style": "x"}, "cannot be read"),
        ("a {style} look", {"style": []}, "has no values"),
        ("a {style} look", {"style": ["x", "x"]}, "twice"),
        (7, {}, "made from text"),
    ],
)
def test_a_template_that_does_not_add_up_is_refused(text, variables, says):
    with pytest.raises(GridError, match=says):
        template(text, **variables)


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), min_size=3), st.integers(0, 3))
def test_the_language_means_what_python_means(point, n):
    for text in (
        f"a == {n} and not (b in [{n}, 1] or c >= 2)",
        f"0 <= a < {n} or b is None or -c <= {-n}",
        f"a != b and (a, b) != ({n}, c)",
        f"a not in {{{n}, 2}}",
    ):
        expected = eval(text, {}, dict(point))
        assert parse_where(text, "abc")(point) is bool(expected)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('x')",
        "a.real == 1",
        "a[0] == 1",
        "(lambda: 1)()",
        "[x for x in [1]]",
        "a + 1 == 2",
        "f'{a}' == '1'",
        "a := 3",
        "a if b else c",
        "a == 1; b",
        "",
        "a ==",
        "not " * 5000 + "a",
        "(" * 300 + "a" + ")" * 300,
        "a == '\0'",
    ],
)
def test_anything_outside_the_language_is_refused_before_it_is_evaluated(text):
    with pytest.raises(GridError):
        parse_where(text, {"a", "b", "c"})


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(GridError, match="It has style"):
        parse_where("stile == 'ink'", {"style", "seed"})


def test_paths_compare_as_text():
    assert parse_where("data == 'cat.png'", {"data"})({"data": Path("cat.png")})
