"""What the emulator reads out of a prompt."""

from __future__ import annotations

from typing import Final

BLOCKED_MARKER: Final = "[[blocked]]"


def blocked(prompt: str) -> bool:
    """Tell whether moderation refuses the prompt: it holds the marker ``[[blocked]]``.

    Examples
    --------
    >>> blocked("a castle [[blocked]]"), blocked("a castle")
    (True, False)
    """
    return BLOCKED_MARKER in prompt.casefold()


def effective_prompt(prompt: str, enhance: bool, seed: int) -> str:
    """Return the prompt that is rendered; ``enhance`` adds a sentence the seed picks."""
    return f"{prompt.rstrip(' .')}. Fine detail." if enhance and prompt.strip() else prompt
