"""The option line of a magic: splitting it and reading its options.

IPython leaves the quotes on what it splits, and not on every platform, so the line is split here.
"""

from __future__ import annotations

import argparse
import keyword
import shlex
from typing import Any, Final, NoReturn

from IPython.core.error import UsageError

_SECRETS: Final = ("--api-key", "--api_key", "--key", "--token", "--password")


def split(line: str) -> list[str]:
    """Return the words of a line; quotes hold a word together and are taken off.

    Raises
    ------
    UsageError
        A quote that is never closed.

    Examples
    --------
    >>> split('sweep -o df --title="two words"')
    ['sweep', '-o', 'df', '--title=two words']
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""  # a backslash is part of a Windows path
    try:
        return list(lexer)
    except ValueError as error:
        raise UsageError("The line has a quote that is never closed.") from error


def refuse_secrets(words: list[str]) -> None:
    """Refuse a key on the line: the cell, and so the key, is saved with the notebook.

    Raises
    ------
    UsageError
        An option that would carry a key. The message does not repeat it.
    """
    for word in words:
        if word.split("=", 1)[0].lower() in _SECRETS or word.startswith("dct_"):
            raise UsageError(
                "A key is not taken on this line, because the cell is saved. "
                "Set DECART_API_KEY before the kernel starts, and take the key out of the cell."
            )


class Parser(argparse.ArgumentParser):
    """argparse for a magic: bad usage is one line, and help is printed, never an exit."""

    def __init__(self, word: str, description: str, *, cell: bool = False) -> None:
        super().__init__(
            prog=f"{'%%' if cell else '%'}decart {word}".rstrip(),
            description=description,
            add_help=False,
            allow_abbrev=False,
            exit_on_error=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument("-h", "--help", action="store_true", help="show this and do nothing")

    def error(self, message: str) -> NoReturn:
        """Raise one line that names the command and where its help is."""
        raise UsageError(f"{self.prog}: {message}. See {self.prog.replace('%%', '%')} --help")

    def read(self, words: list[str]) -> argparse.Namespace:
        """Return the options.

        Raises
        ------
        UsageError
            An unknown or malformed option.
        """
        try:
            return self.parse_args(words)
        except argparse.ArgumentError as error:
            self.error(str(error))


def name_of(text: str) -> str:
    """Return a name to store a result under; for ``type=`` of an option.

    Raises
    ------
    argparse.ArgumentTypeError
        Not a name that Python can use.
    """
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a name a variable can have")
    return text


def count_of(text: str) -> int:
    """Return a whole number of at least 1; for ``type=`` of an option."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number of at least 1")
    return int(text)


def flag_names(parser: argparse.ArgumentParser) -> list[str]:
    """Return the long options of a parser, for completion."""
    actions: list[Any] = parser._actions
    return [name for action in actions for name in action.option_strings if name[:2] == "--"]
