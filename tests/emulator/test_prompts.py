"""What the emulator reads out of a prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.emulator import prompts
from decart_lab.emulator.looks import LOOKS
from decart_lab.emulator.prompts import blocked, choose_looks, effective_prompt, read


def names(prompt: str) -> list[str]:
    return [look.name for look, _ in choose_looks(prompt)]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_every_word_of_a_look_asks_for_that_look_alone(look):
    for word in (look.name, *look.words):
        assert names(f"A cat, {word.upper()} style") == [look.name], word


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("make it snowy", ["snow"]),
        ("it is snowing", ["snow"]),
        ("hazy hills", ["fog"]),
        ("posterised", ["anime"]),
        ("pixel-art fox", ["pixel art"]),
        ("an inkjet printer at Brinkley", []),
        ("night vision goggles", ["matrix"]),
        ("a city without any snow", []),
        ("not anime, noir", ["noir"]),
        ("", []),
        ("墨絵の猫", []),
    ],
)
def test_words_match_whole_with_simple_endings_and_negations_are_heard(prompt, expected):
    assert names(prompt) == expected


def test_looks_blend_in_the_order_of_the_prompt_with_falling_weights():
    assert names("neon ink in the snow at night") == ["neon", "ink", "snow"]
    weights = [weight for _, weight in choose_looks("neon ink in the snow at night")]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1)


def test_words_that_name_no_look_are_left_and_silent_ones_are_not():
    assert read("Please turn the castle into an ink picture").words == ("castle",)


def test_the_marker_blocks_in_any_case_and_nothing_else_does():
    assert blocked("x [[BLOCKED]] y")
    assert not blocked("blocked [blocked] [[ blocked ]]")


def test_enhancing_adds_a_sentence_the_seed_picks_and_names_no_look():
    sentences = {effective_prompt("castle", True, seed) for seed in range(60)}
    assert len(sentences) == len(prompts._ENHANCEMENTS)
    assert all(text.startswith("castle. ") and not names(text) for text in sentences)
    assert effective_prompt("castle", True, 7) == effective_prompt("castle", True, 7)


def test_an_empty_or_unenhanced_prompt_stays_as_it_is():
    assert effective_prompt("", True, 1) == ""
    assert effective_prompt(" ", True, 1) == " "
    assert effective_prompt("ink.", False, 1) == "ink."


@given(st.text(max_size=200))
def test_any_text_can_be_read(prompt):
    weights = [weight for _, weight in choose_looks(prompt)]
    assert len(weights) <= prompts.MAX_LOOKS
    assert not weights or sum(weights) == pytest.approx(1)
