"""The ``decart-lab`` command: its words, and how their failures are told.

Each word is a row of ``WORDS``; what it does lives elsewhere and is imported when the word is
used. No media, no network and no formatting of results here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import config
from .errors import DecartSDKError


class Word(NamedTuple):
    """One word of the command: what it does, and what takes the arguments after it."""

    help: str
    run: Callable[[list[str]], int]


def _demo(arguments: list[str]) -> int:
    from .lab.demo import main

    return main(arguments)


def _emulator(arguments: list[str]) -> int:
    from .emulator.command import main

    return main(arguments)


def _runs(arguments: list[str]) -> int:
    from .lab.runs_command import main

    return main(arguments)


WORDS: dict[str, Word] = {
    "demo": Word("sweep the sample pictures and clip on the emulator; no key, no cost", _demo),
    "emulator": Word("serve the emulator until interrupted", _emulator),
    "runs": Word("list, show, resume, pack and clear runs", _runs),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command itself; each word parses what follows it."""
    lines = [f"  {name:<10} {word.help}" for name, word in WORDS.items()]
    result = argparse.ArgumentParser(
        prog="decart-lab",
        usage="decart-lab [-h] [--version] WORD ...",
        description="Sweeps over Decart's generative video and image API, and an emulator of it.",
        epilog="\n".join(["words:", *lines, "", "decart-lab WORD --help says more about each."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--version", action="version", version=f"decart-lab {config.version()}")
    result.add_argument("word", nargs="?", choices=WORDS, metavar="WORD", help="what to do")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 when it did what was asked, 1 when it could not, 2 for arguments it does not know,
        130 when interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Only the word is parsed here: what follows it, --help included, belongs to the word.
    word = parser().parse_args(arguments[:1]).word
    if word is None:
        parser().print_help()
        return 0
    try:
        return WORDS[word].run(arguments[1:])
    except DecartSDKError as error:
        print(f"decart-lab {word}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
