"""One use of a word of ``%decart``, as the word's function is given it.

Apart from the rows of ``words.py``, which import every word, so that each word can name it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a word.

    Attributes
    ----------
    options : argparse.Namespace
        What was on the line.
    body : str
        The rest of the cell; "" for a line.
    namespace : dict
        The kernel's variables.
    """

    options: argparse.Namespace
    body: str
    namespace: dict[str, Any]
