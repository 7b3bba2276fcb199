"""Prompt templates: text with named variables, each of which becomes an axis.

Only replacing happens here; crossing the variables with everything else is the grid's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final

from ..errors import GridError
from .axes import axis_values

_VARIABLE: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt with variables; make one with :func:`template`.

    Attributes
    ----------
    text : str
        The prompt with ``{name}`` where a variable goes; ``{{`` and ``}}`` are literal braces.
    variables : dict of str to tuple
        The values of each variable, in the order given.
    """

    text: str
    variables: Mapping[str, tuple[Any, ...]]

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the prompt with the variables' values put in."""
        return self.text.format_map({name: values[name] for name in self.variables})

    def __repr__(self) -> str:
        variables = ", ".join(f"{name}: {len(v)}" for name, v in self.variables.items())
        return f"<template {self.text!r} over {variables or 'no variables'}>"


def template(text: str, /, **variables: Any) -> Template:
    """Make a prompt template whose variables are axes of the sweep.

    Parameters
    ----------
    text : str
        The prompt, with ``{name}`` for each variable; write ``{{`` and ``}}`` for literal braces.
    **variables : scalar, list, tuple or range
        What each variable stands for. A list is an axis; anything else is one value.

    Returns
    -------
    Template
        To be given as ``prompt=`` of a sweep.

    Raises
    ------
    GridError
        A variable without values, values without a variable, or braces that are not a name.

    Examples
    --------
    >>> look = template("a {style} look, {light} light", style=["ink", "clay"], light="noon")
    >>> look.render({"style": "clay", "light": "noon"})
    'a clay look, noon light'
    """
    if not isinstance(text, str):
        raise GridError(f"A template is made from text, not {type(text).__name__}.", field="prompt")
    names = _names(text)
    missing = [name for name in names if name not in variables]
    if missing:
        raise GridError(
            f"The template has no values for {_listed(missing)}: {text!r}.",
            field="prompt",
            hint=f'Pass {missing[0]}=["...", "..."], or write {{{{ and }}}} for literal braces.',
        )
    unused = [name for name in variables if name not in names]
    if unused:
        raise GridError(
            f"The template never uses {_listed(unused)}: {text!r}.",
            field="prompt",
            hint=f"Write {{{unused[0]}}} in the text, or leave the variable out.",
        )
    return Template(text, {n: axis_values(n, v, scalar_ok=True) for n, v in variables.items()})


def check_place(made: Template, name: str, keywords: Mapping[str, Any]) -> Template:
    """Return the template of a sweep, or say why it cannot stand where it was put.

    Raises
    ------
    GridError
        Given for another keyword than prompt, or with a variable that is a keyword as well.
    """
    if name != "prompt":
        raise GridError(f"Only prompt takes a template, not {name!r:.60}.", field=name)
    taken = [variable for variable in made.variables if variable in keywords]
    if taken:
        raise GridError(
            f"The template's variable {taken[0]!r} is also a keyword of the sweep.",
            field=taken[0],
            hint="Rename the variable.",
        )
    return made


def check_prompts(values: Iterable[Any]) -> None:
    """Refuse prompts among which there is a template, or one that only looks like one.

    Raises
    ------
    GridError
        A template in a list of prompts, or a plain prompt that holds ``{name}``.
    """
    for value in values:
        if isinstance(value, Template):
            raise GridError(
                "A template cannot be one of several prompts.",
                field="prompt",
                hint="Pass the template as prompt= itself, or run two sweeps.",
            )
        found = _VARIABLE.search(value) if isinstance(value, str) else None
        if found:
            name = found.group()[1:-1]
            raise GridError(
                f"A plain prompt has no variables, and this one holds {found.group()}: "
                f"{value!r:.200}.",
                field="prompt",
                hint=(
                    f'Use decart_lab.template("...", {name}=[...]), and {{{{ }}}} in a template '
                    "for literal braces."
                ),
            )


def _names(text: str) -> list[str]:
    names: list[str] = []
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise GridError(
            f"The template cannot be read: {error}: {text!r}.",
            field="prompt",
            hint="Write {{ and }} for literal braces.",
        ) from None
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or spec or conversion:
            raise GridError(
                f"{{{name}}} is not the name of a variable: {text!r}.",
                field="prompt",
                hint="A variable is a plain name such as {style}; {{ and }} are literal braces.",
            )
        if name not in names:
            names.append(name)
    return names


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
