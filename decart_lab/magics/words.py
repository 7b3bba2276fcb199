"""The words of ``%decart``: one row each.

A new word is a function in a file of its own and a row of ``WORDS``; dispatch, help, completion and
the README's table follow from the row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import fault, live, models, runs, status, sweep
from ._call import Call
from ._line import Parser


@dataclass(frozen=True, slots=True)
class Word:
    """A row: what a word is called, does, takes and says of itself.

    Attributes
    ----------
    name : str
        The word; "" is a bare ``%decart``.
    summary : str
        One sentence for the list of words.
    run : callable
        Takes a :class:`~._call.Call`, returns what the cell shows.
    parser : callable
        Returns the word's :class:`Parser`.
    cell : bool
        Whether it takes a body, and so ``%%decart``.
    values : callable
        Returns what may follow besides options, for completion; never asks the network.
    """

    name: str
    summary: str
    run: Callable[[Call], Any]
    parser: Callable[[], Parser]
    cell: bool = False
    values: Callable[[], Sequence[str]] = tuple


WORDS: Final[dict[str, Word]] = {
    word.name: word
    for word in (
        Word(
            "",
            "Where am I connected, is there a key, which model is the default.",
            status.run,
            status.parser,
        ),
        Word(
            "models",
            "The models, with size, frame rate and price.",
            models.run,
            models.parser,
            values=models.values,
        ),
        Word(
            "sweep",
            "Run the grid that the cell describes in YAML.",
            sweep.run,
            sweep.parser,
            cell=True,
        ),
        Word(
            "runs",
            "The runs, the newest first; or open one of them by its id.",
            runs.run,
            runs.parser,
            values=runs.values,
        ),
        Word(
            "cost",
            "What the runs have cost: spent, reserved and in doubt, by model.",
            runs.cost,
            runs.cost_parser,
        ),
        Word(
            "live",
            "Open a live session with its view.",
            live.run,
            live.parser,
            values=live.values,
        ),
        Word(
            "fault",
            "Let the emulator fail: list, arm and clear faults.",
            fault.run,
            fault.parser,
            values=fault.values,
        ),
    )
}


def overview() -> str:
    """Return the list of words, for help and for a word that does not exist."""
    rows = [
        (f"{'%%' if word.cell else '%'}decart {name}".rstrip(), word.summary)
        for name, word in WORDS.items()
    ]
    width = max(len(usage) for usage, _ in rows)
    return "\n".join(f"{usage:<{width}}  {summary}" for usage, summary in rows)
