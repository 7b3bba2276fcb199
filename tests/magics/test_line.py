"""The option line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from decart_lab.magics._line import Parser, count_of, name_of, refuse_secrets, split


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sweep -o df", ["sweep", "-o", "df"]),
        ('-p "two words"', ["-p", "two words"]),
        ('-p="two words"', ["-p=two words"]),
        ("-p 'it is \"so\"'", ["-p", 'it is "so"']),
        (r"C:\clips\new", [r"C:\clips\new"]),
        ("a # b", ["a", "#", "b"]),
        ("", []),
    ],
)
def test_quotes_hold_words_together_and_are_taken_off(line: str, words: list[str]) -> None:
    assert split(line) == words


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\"'", exclude_categories=["C", "Z"]), min_size=1)
    )
)
def test_plain_words_come_through_as_they_are(words: list[str]) -> None:
    assert split(" ".join(words)) == words


def test_an_open_quote_is_one_line_of_usage() -> None:
    with pytest.raises(UsageError, match="never closed"):
        split('models "lucy')


@pytest.mark.parametrize(
    "word", ["--api-key", "--api-key=dct_abcdef", "--KEY", "--token=x", "dct_abcdef"]
)
def test_a_key_is_refused_and_not_repeated(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_secrets(["sweep", word])
    assert "dct_abcdef" not in str(caught.value)


@pytest.mark.parametrize("name", ["1x", "a b", "class", "a-b", "", "a.b", "x;y"])
def test_a_result_is_stored_only_under_a_name_python_can_use(name: str) -> None:
    parser = Parser("sweep", "", cell=True)
    parser.add_argument("-o", type=name_of)
    with pytest.raises(UsageError):
        parser.read(["-o", name])


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "²"])
def test_a_count_is_a_whole_number_from_one(text: str) -> None:
    parser = Parser("sweep", "")
    parser.add_argument("--n", type=count_of)
    with pytest.raises(UsageError, match=r"%decart sweep"):
        parser.read([f"--n={text}"])


def test_bad_usage_names_the_command_and_its_help() -> None:
    with pytest.raises(UsageError, match=r"%%decart sweep: .*See %decart sweep --help"):
        Parser("sweep", "", cell=True).read(["--nope"])
