"""The body of %%decart sweep."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from decart_lab.magics._yaml import Reference, read_body, resolve
from decart_lab.magics.sweep import Step, default_model, read_grid
from decart_lab.sweep.template import Template


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ink", "ink"), ("1", 1), ("-3", -3), ("0.5", 0.5), ("1.5e3", 1500.0), ("true", True),
        ("False", False), ("no", "no"), ("on", "on"), ("yes", "yes"), ("16:9", "16:9"),
        ("2026-01-01", "2026-01-01"), ("010", "010"), ("0x10", "0x10"), ("1_000", "1_000"),
        ("'1'", "1"), ('"true"', "true"), ("[a, 1]", ["a", 1]), ("it's @home", "it's @home"),
        ("'@photo'", "@photo"), ("user@home", "user@home"), ("<<", "<<"),
    ],
)  # fmt: skip
def test_plain_words_stay_words(text: str, value: Any) -> None:
    assert read_body(f"key: {text}") == {"key": value}


def test_a_plain_at_name_stands_for_a_variable_of_the_kernel() -> None:
    found = read_body("data: @photo\nseed: [1, @more]\nprompt:\n  template: a {s}\n  s: @styles")
    assert found["data"] == Reference("photo", 1)
    assert found["seed"][1] == Reference("more", 2)
    assert found["prompt"]["s"] == Reference("styles", 5)


def test_references_are_the_objects_themselves_and_lists_join_lists() -> None:
    picture = object()
    namespace = {"photo": picture, "more": ["b", "c"], "some": range(2)}
    assert resolve(Reference("photo", 1), namespace) is picture
    assert resolve(["a", Reference("more", 1), Reference("some", 1)], namespace) == [
        "a",
        "b",
        "c",
        0,
        1,
    ]
    assert resolve({"s": Reference("more", 1)}, namespace) == {"s": ["b", "c"]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("prompt: a\nprompt: b", "line 2 of the body: 'prompt' is given twice"),
        ("prompt: {template: a, s: 1, s: 2}", "'s' is given twice"),
        ("prompt: [a", "line 1 of the body"),
        ("a: 1\n b: 2", "line 2 of the body"),
        ("a: &x [1]\nb: *x", "line 2 of the body: aliases"),
        ("a: !!python/object/apply:os.system [x]", "line 1 of the body"),
        ("? [a]\n: 1", "must be plain text"),
        ("- a", "no names with values"),
        ("just words", "no names with values"),
        ("", "no names with values"),
        ("a: \x00", "not YAML"),
        ("[" * 3000, "not YAML"),
        ("a: 1\n---\nb: 2", "line 2 of the body"),
    ],
)
def test_what_is_not_such_a_body_is_one_line_that_says_where(body: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_body(body)
    assert said in str(caught.value)


printable = st.characters(
    codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\x85\u2028\u2029\ufeff"
)
numbers = st.integers(-10_000, 10_000) | st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
values = st.recursive(
    st.text(printable) | numbers | st.booleans(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)


@given(st.dictionaries(names, values, min_size=1, max_size=5))
def test_any_body_written_with_quotes_is_read_back(grid: dict[str, Any]) -> None:
    class Quoted(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Quoted.add_representer(
        str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
    )
    assert read_body(yaml.dump(grid, Dumper=Quoted, allow_unicode=True)) == grid


# --- what it means ---------------------------------------------------------------------------


def test_a_template_with_its_variables_becomes_one() -> None:
    keywords, _ = read_grid("prompt: {template: 'a {style}', style: [ink, clay]}", {})
    made = keywords["prompt"]
    assert isinstance(made, Template)
    assert made.text == "a {style}"
    assert made.variables == {"style": ("ink", "clay")}


def test_shaping_words_apply_in_an_order_of_their_own() -> None:
    body = """
sample: {n: 3, seed: 7}
where: [a > 1, b < 2]
link: [[a, b], [c, d]]
repeat: 2
a: [1, 2]
"""
    keywords, steps = read_grid(body, {})
    assert steps == [
        Step("linked", ("a", "b")),
        Step("linked", ("c", "d")),
        Step("repeat", (2,)),
        Step("where", ("a > 1",)),
        Step("where", ("b < 2",)),
        Step("sample", options={"n": 3, "seed": 7}),
    ]
    assert keywords["a"] == [1, 2]
    assert not {"sample", "where", "link", "repeat"} & set(keywords)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("prompt:", "has no value"),
        ("data: @nope", "line 1 of the body: the kernel has no variable 'nope'"),
        ("a: {b: 1}", "only prompt may"),
        ("prompt: {style: [a]}", "template:"),
        ("link: style", "link takes"),
        ("sample: {seed: 1}", "sample takes"),
        ("sample: {n: 1, many: 2}", "sample takes"),
    ],
)
def test_a_body_that_means_no_grid_is_one_line_of_usage(body: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_grid(body, {})
    assert said in str(caught.value)


def test_without_a_model_the_first_input_decides(photo: Any, clip: Any) -> None:
    assert read_grid(f"data: '{photo}'", {})[0]["model"] == "lucy-image-2"
    assert read_grid("data: [@c]", {"c": clip})[0]["model"] == "lucy-2.1"
    assert default_model("/no/such/file.mp4") == "lucy-image-2"
    assert read_grid("prompt: x", {})[0]["model"] == "lucy-image-2"
    assert read_grid("model: lucy-2.6", {})[0]["model"] == "lucy-2.6"
