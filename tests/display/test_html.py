"""Text becomes markup in one place, and only as text."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.display import html
from decart_lab.display.html import Html, clean, css, el, escape, join, link
from tests.helpers.markup import HOSTILE, Page

texts = st.one_of(st.sampled_from(HOSTILE), st.text())


@given(texts, texts)
def test_any_text_shows_as_itself_in_content_and_in_attributes(content: str, title: str) -> None:
    page = Page(el("p", content, title=title, data_x=title))
    assert page.faults == []
    ((tag, attributes),) = page.elements
    assert tag == "p"
    assert attributes == {"title": clean(title), "data-x": clean(title)}
    assert "".join(page.texts).replace("\r", "\n") == clean(content).replace("\r", "\n")


@given(texts, st.integers(min_value=1, max_value=50))
def test_a_bounded_text_is_never_longer_than_its_bound(text: str, limit: int) -> None:
    assert len(clean(text, limit)) <= limit


def test_invisible_characters_are_shown_as_such() -> None:
    assert clean("a\x00b\u202ec\ud800") == "a\ufffdb\ufffdc\ufffd"


def test_markup_of_ours_is_not_escaped_twice() -> None:
    assert escape(el("b" if False else "strong", "<")) == "<strong>&lt;</strong>"
    assert join("<", None, Html("<p>"), sep=" ") == "&lt; <p>"


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("script", {}),
        ("iframe", {}),
        ("p", {"onclick": "x"}),
        ("p", {"srcdoc": "x"}),
        ("a", {"href": "javascript:alert(1)"}),
        ("a", {"href": "https://example.org/"}),
        ("a", {"href": "//example.org/"}),
        ("a", {"href": "/etc/passwd"}),
        ("img", {"src": "data:image/svg+xml;base64,AAAA"}),
        ("img", {"src": "data:text/html;base64,AAAA"}),
        ("img", {"src": 'data:image/png;base64,AAAA" onerror="x'}),
        ("img", {"src": ""}),
    ],
)
def test_active_elements_handlers_and_outside_addresses_cannot_be_written(
    name: str, attributes: dict[str, str]
) -> None:
    with pytest.raises(ValueError):
        el(name, **attributes)


@given(st.text(min_size=1))
def test_a_linked_path_is_relative_whatever_it_holds(path: str) -> None:
    written = link(path.encode("utf-8", "replace").decode().lstrip("/.") or "x")
    try:
        markup = el("a", "x", href=written)
    except ValueError:
        return  # refused is safe too
    assert Page(markup).faults == []


def test_the_stylesheet_applies_only_inside_our_own_block() -> None:
    """Every selector is scoped, so nothing leaks into the reader's notebook."""
    import re

    rules = re.sub(r"@[a-z-]+[^{]*\{", "", css())
    selectors = [part for rule in re.findall(r"([^{}]+)\{", rules) for part in rule.split(",")]
    assert len(selectors) > 40
    loose = [s for s in selectors if not re.match(r"\s*(\.decart-lab|\.dl-page)\b", s)]
    assert loose == []


def test_the_stylesheet_loads_nothing() -> None:
    assert "url(" not in css()
    assert "@import" not in css()
    assert "@font-face" not in css()


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA, pd.NaT])
def test_an_unknown_figure_is_a_dash(nothing: object) -> None:
    for show in (html.seconds, html.money, html.number, html.size_bytes):
        assert show(nothing) == "–"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.00 s"),
        (0.996, "1.0 s"),
        (12.36, "12.4 s"),
        (99.96, "1 min 40 s"),
        (3725, "1 h 02 min"),
    ],
)
def test_durations_keep_the_digits_that_matter(value: float, shown: str) -> None:
    assert html.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "$0.00"), (0.02, "$0.02"), (0.005, "$0.0050"), (-1.5, "-$1.50")]
)
def test_fractions_of_a_cent_are_not_rounded_away(value: float, shown: str) -> None:
    assert html.money(value) == shown


def test_prices_and_prompts_are_not_typeset_as_formulas():
    """A notebook reads what stands between two dollar signs as mathematics."""
    (block,) = re.findall(r'<div class="([^"]*)"', str(html.card("$1 or $2", label="Costs")))
    assert {"mathjax_ignore", "tex2jax_ignore"} <= set(block.split())
