"""Completion of words, options and model names; it looks at the registry, never at the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._line import flag_names
from .words import WORDS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_COMMANDS: Final = ("%decart", "%%decart")


def install(shell: InteractiveShell) -> None:
    """Add the completer, under both spellings."""
    uninstall(shell)
    for command in _COMMANDS:
        shell.set_hook("complete_command", _hook, str_key=command)  # type: ignore[no-untyped-call]  # IPython's


def uninstall(shell: InteractiveShell) -> None:
    """Take the completer out again."""
    hooks = shell.strdispatchers.get("complete_command")
    for command in _COMMANDS:
        if hooks is not None:
            hooks.strs.pop(command, None)


def _hook(shell: Any, event: Any) -> list[str]:  # noqa: ARG001 (IPython's signature)
    return candidates(event.line, event.symbol)


def candidates(line: str, symbol: str = "") -> list[str]:
    """Return what may stand where the symbol is, for a line such as ``%decart models --``.

    Examples
    --------
    >>> candidates("%%decart sw", "sw"), candidates("%decart models --k", "--k")
    (['sweep'], ['--kind'])
    """
    command, *typed = line.split()
    before = typed[:-1] if symbol else typed
    cell = command.startswith("%%")
    named = [word for word in WORDS.values() if word.name and word.cell >= cell]
    if not before:
        return [word.name for word in named if word.name.startswith(symbol)]
    word = WORDS.get(before[0])
    if word is None:
        return []
    parser: Any = word.parser()
    for action in parser._actions:
        if before[-1] in action.option_strings and action.nargs != 0:
            return [
                str(choice) for choice in action.choices or () if str(choice).startswith(symbol)
            ]
    offered = (
        flag_names(parser) if symbol.startswith("-") else [*word.values(), *flag_names(parser)]
    )
    return [text for text in offered if text.startswith(symbol)]
