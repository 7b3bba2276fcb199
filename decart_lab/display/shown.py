"""A ready-made view: markup for a front end, the same facts as text everywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """What a call hands to the output cell.

    Attributes
    ----------
    html : str
        Escaped markup without script.
    text : str
        The same facts as plain text: for terminals, logs and files without a front end.
    """

    html: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}
