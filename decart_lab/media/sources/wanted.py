"""What is asked of a source, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .base import Traits


@dataclass(frozen=True)
class Wanted:
    """The arguments of :func:`.open_source`, which says what they mean."""

    size: tuple[int, int]
    fps: float
    mirror: bool = False
    loop: bool = True
    audio: bool = True
    passthrough: bool = True

    def traits(self, kind: str, label: str, **known: Any) -> Traits:
        """Return the traits of a source of that kind."""
        given = {"size": self.size, "fps": self.fps, "mirror": self.mirror, **known}
        return Traits(kind=kind, label=label, **given)
