"""``%decart models``: the table of models."""

from __future__ import annotations

from collections.abc import Sequence

from IPython.core.error import UsageError

from ..contract.models import KINDS, names
from ..display.cards import model_lines, models_table, models_text
from ..display.shown import Shown
from ._call import Call
from ._line import Parser


def parser() -> Parser:
    """Return the word's options."""
    made = Parser("models", "The models, with size, frame rate and price.")
    made.add_argument("text", nargs="*", help="only models whose name holds one of these")
    made.add_argument("--kind", choices=KINDS, help="only models of this kind")
    made.add_argument("--all", action="store_true", help="legacy and retired names as well")
    return made


def run(call: Call) -> Shown:
    """Return the table; nothing is asked of the network."""
    options = call.options
    lines = [
        line
        for line in model_lines(None if options.all else "current", options.kind)
        if not options.text or any(text.lower() in line.name for text in options.text)
    ]
    if not lines:
        raise UsageError(
            f"No model of that kind has {' or '.join(options.text)[:80]!r} in its name. "
            "Legacy and retired names are listed with --all."
        )
    return Shown(models_table(lines), models_text(lines))


def values() -> Sequence[str]:
    """Return model names for completion."""
    return names()
