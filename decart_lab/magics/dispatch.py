"""The magic itself: finds the word, reads its options, runs it, stores and returns the result.

A failure of the service is printed as a short message without a traceback; that is for magics only,
and plain Python callers keep theirs.
"""

from __future__ import annotations

import difflib
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from ..display.cards import error_text
from ..errors import DecartSDKError
from ._call import Call
from ._line import refuse_secrets, split
from .words import WORDS, Word, overview


@magics_class
class DecartMagics(Magics):
    """``%decart WORD`` and ``%%decart WORD``."""

    # Prompts love braces, which IPython would try to expand on the option line.
    @no_var_expand
    @line_cell_magic
    def decart(self, line: str, cell: str | None = None) -> Any:
        """Work with Decart's API: %decart WORD, or %%decart WORD with a body.

        %decart          where am I connected, is there a key, which model is the default
        %decart models   the models, with size, frame rate and price
        %%decart sweep   run the grid that the cell describes in YAML
        %decart runs     the runs, and opening one of them
        %decart cost     what they have cost

        %decart WORD --help says more of a word.
        """
        silent = line.rstrip().endswith(";")
        words = split(line.rstrip().rstrip(";"))
        refuse_secrets(words)
        if words[:1] in (["--help"], ["-h"]):
            print(overview())
            return None
        name = words[0] if words and not words[0].startswith("-") else ""
        word = _word(name)
        options = word.parser().read(words[1:] if name else words)
        if options.help:
            print(word.parser().format_help().rstrip())
            return None
        _check_body(word, cell)
        assert self.shell is not None  # IPython registers magics with a shell
        namespace = self.shell.user_ns
        try:
            result = word.run(Call(options, cell or "", namespace))
        except DecartSDKError as error:
            raise _shortened(error) from error.__cause__
        output = getattr(options, "output", None)
        if output is not None:
            namespace[output] = result
        return None if silent else result


def _word(name: str) -> Word:
    if name in WORDS:
        return WORDS[name]
    near = difflib.get_close_matches(name, [word for word in WORDS if word], n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"%decart has no word {name[:40]!r}.{meant} %decart --help lists them.")


def _check_body(word: Word, cell: str | None) -> None:
    if word.cell and cell is None:
        raise UsageError(
            f"%decart {word.name} needs a body: begin the cell with %%decart {word.name}. "
            f"See %decart {word.name} --help"
        )
    if not word.cell and cell is not None and cell.strip():
        raise UsageError(
            f"%%decart {word.name} takes no body; write %decart {word.name}.".replace(" ;", ";")
        )


def _shortened(error: DecartSDKError) -> DecartSDKError:
    """Return the error with IPython told to print a message instead of a traceback."""
    error._render_traceback_ = lambda: error_text(error).split("\n")  # type: ignore[attr-defined]  # IPython's own hook
    return error
