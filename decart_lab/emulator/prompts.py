"""What the emulator reads out of a prompt: looks, shades of light and colour, and what is left.

Everything here is a pure function of the text, so that the same prompt always asks for the same
picture. Nothing here draws.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from .looks import LOOKS, Look

BLOCKED_MARKER: Final = "[[blocked]]"
MAX_LOOKS: Final = 3
MAX_CHARACTERS: Final = 20_000  # the service documents no limit; nothing after this is read

_WEIGHTS: Final = {0: (), 1: (1.0,), 2: (0.65, 0.35), 3: (0.5, 0.3, 0.2)}
_ENDINGS: Final = frozenset({"", "s", "es", "d", "ed", "ing", "y", "ier", "ish", "like", "style"})
_NEGATIONS: Final = frozenset({"no", "not", "without", "never", "remove", "minus"})

# Words that say nothing about the picture; they leave the colours alone.
_SILENT: Final = frozenset(
    re.findall(
        r"\w+",
        """a about add all also an and any are art artistic as at background be beautiful become
        change cinematic clean convert create depict delicate detail detailed details drawn edit
        effect even every feel fine for frame from generate give good have high his her i image in
        inspired into is it its like light lighting look looking looks make mood more my natural
        nice of on one or our out over painted painting photo photograph picture please portrayed
        quality render rendered replace rich scene set shot show so some style styled stylised
        stylized subject sure texture textured that the their them these this those to transform
        tone turn under up using very video want was with you your""",
    )
)

_ENHANCEMENTS: Final = (
    "Fine detail, warm natural light.",
    "Fine detail, cool even light.",
    "Delicate texture, soft natural light.",
    "Rich texture, bright even light.",
    "Rich detail, vivid tone, natural light.",
    "Delicate detail, muted tone, even light.",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt as the emulator understands it.

    Attributes
    ----------
    looks : tuple of (Look, float)
        In the order of the prompt, with weights that add up to 1.
    words : tuple of str
        What is left, without the words that say nothing.
    """

    looks: tuple[tuple[Look, float], ...]
    words: tuple[str, ...]


def blocked(prompt: str) -> bool:
    """Tell whether moderation refuses the prompt: it holds the marker ``[[blocked]]``.

    Examples
    --------
    >>> blocked("a castle [[blocked]]"), blocked("a castle")
    (True, False)
    """
    return BLOCKED_MARKER in prompt.casefold()


def effective_prompt(prompt: str, enhance: bool, seed: int) -> str:
    """Return the prompt that is rendered; ``enhance`` adds a sentence that the seed picks.

    An empty prompt stays empty: there a reference picture says it all.

    Examples
    --------
    >>> effective_prompt("ink", True, seed=1)
    'ink. Fine detail, cool even light.'
    >>> effective_prompt("ink", False, seed=1)
    'ink'
    """
    if not enhance or not prompt.strip():
        return prompt
    dice = random.Random(f"{seed}/{prompt}")  # noqa: S311 - a choice of words, not a secret
    return f"{prompt.strip().rstrip('.')}. {dice.choice(_ENHANCEMENTS)}"


def choose_looks(prompt: str) -> list[tuple[Look, float]]:
    """Return the looks a prompt asks for, at most three, first named first and heaviest.

    Examples
    --------
    >>> [(look.name, weight) for look, weight in choose_looks("snowy street, ink drawing")]
    [('snow', 0.65), ('ink', 0.35)]
    >>> choose_looks("a cat without snow")
    []
    """
    return list(read(prompt).looks)


@lru_cache(maxsize=256)
def read(prompt: str) -> Reading:
    """Find the looks of a prompt and the words that are left."""
    words = re.findall(r"\w+|[.,;:!?]", prompt[:MAX_CHARACTERS].casefold())
    taken = [False] * len(words)
    found: dict[str, tuple[int, Look]] = {}
    # Longest phrases first: "night vision" is one look and not two.
    for phrase, look in _PHRASES:
        for start in range(len(words) - len(phrase) + 1):
            span = range(start, start + len(phrase))
            if any(taken[i] for i in span) or not _matches(words, start, phrase):
                continue
            for i in span:
                taken[i] = True
            if _negated(words, start):
                continue
            if look.name not in found or start < found[look.name][0]:
                found[look.name] = (start, look)
    chosen = [look for _, look in sorted(found.values(), key=lambda item: item[0])][:MAX_LOOKS]
    left = tuple(
        word
        for word, used in zip(words, taken, strict=True)
        if not used and word[0] not in ".,;:!?" and word not in _SILENT | _NEGATIONS
    )
    return Reading(tuple(zip(chosen, _WEIGHTS[len(chosen)], strict=True)), left)


def _negated(words: list[str], start: int) -> bool:
    """Tell whether a negation reaches a word: only silent words may stand between them."""
    for word in reversed(words[:start]):
        if word in _NEGATIONS:
            return True
        if word not in _SILENT:
            return False
    return False


def _matches(words: list[str], start: int, phrase: tuple[str, ...]) -> bool:
    *front, last = phrase
    return words[start : start + len(front)] == front and same_stem(words[start + len(front)], last)


def same_stem(word: str, stem: str) -> bool:
    """Tell whether a word is a stem with a simple ending.

    Examples
    --------
    >>> same_stem("snowy", "snow"), same_stem("hazy", "haze"), same_stem("inkjet", "ink")
    (True, True, False)
    """
    if word.startswith(stem):
        return word[len(stem) :] in _ENDINGS
    return stem.endswith("e") and word.startswith(stem[:-1]) and word[len(stem) - 1 :] in _ENDINGS


_PHRASES: Final[list[tuple[tuple[str, ...], Look]]] = sorted(
    ((tuple(re.findall(r"\w+", words)), look) for look in LOOKS for words in look.words),
    key=lambda item: (-len(item[0]), item[0]),
)
