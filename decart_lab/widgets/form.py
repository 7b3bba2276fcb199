"""What a panel's fields mean: lists of texts and numbers in, the keywords of a sweep out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..errors import GridError
from ..media import samples
from ..sweep.template import template

SAMPLE: Final = "sample:"
"""How an input that is one of the bundled samples begins."""


def keywords(
    models: Sequence[str],
    prompts: Sequence[str],
    variables: Mapping[str, Sequence[str]],
    inputs: Sequence[str],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Return the keywords of the sweep that a panel describes; an empty field is left out.

    Raises
    ------
    GridError
        No model, or variables with any number of prompts but one.
    InvalidInputError
        There is no such sample.

    Examples
    --------
    >>> keywords(["lucy-image-2"], ["ink", "clay"], {}, ["cat.png"], [])
    {'model': ['lucy-image-2'], 'prompt': ['ink', 'clay'], 'data': ['cat.png']}
    """
    if not models:
        raise GridError("No model is chosen.", field="model", hint="Choose at least one.")
    found: dict[str, Any] = {"model": list(models)}
    if variables and len(prompts) != 1:
        raise GridError(
            "Variables need exactly one prompt, which is their template.",
            field="prompt",
            hint="Write one line that holds " + ", ".join(f"{{{name}}}" for name in variables),
        )
    if variables:
        named = {name: list(values) for name, values in variables.items()}
        found["prompt"] = template(prompts[0], **named)
    elif prompts:
        found["prompt"] = list(prompts)
    if inputs:
        found["data"] = [_opened(text) for text in inputs]
    if seeds:
        found["seed"] = list(seeds)
    return found


def _opened(text: str) -> Any:
    return samples.path(text.removeprefix(SAMPLE)) if text.startswith(SAMPLE) else text
