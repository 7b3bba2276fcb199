"""How much media a page carries inside itself, and what becomes of the rest.

What belongs here: the budget, and the choice between inline data, a relative link and neither. How
a tile is then drawn is the gallery's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .html import link
from .tiles import THUMB_SIZE, Tile, clip_data, data_url, picture_data

TOTAL_BYTES: Final = 6_000_000
"""Most inline media one gallery carries, before the third that base64 adds."""

CLIP_BYTES: Final = 1_500_000
"""Largest clip that is embedded in a notebook; larger ones are linked."""


@dataclass(slots=True)
class Embedding:
    """How much media may go inline, and what was left out.

    Attributes
    ----------
    base : Path
        Folder that relative links start from: the notebook's, or the report's.
    left_bytes : int
        What may still be embedded.
    clip_bytes : int
        Largest clip that may be.
    size : int
        Longest side of pictures and posters, in pixels.
    links : bool
        Whether clips that are not embedded, and originals, may be linked.
    linked, omitted, unreadable : int
        Clips that were not embedded; pictures for which there was no room; results whose files
        could not be read.
    """

    base: Path
    left_bytes: int = TOTAL_BYTES
    clip_bytes: int = CLIP_BYTES
    size: int = THUMB_SIZE
    links: bool = True
    linked: int = 0
    omitted: int = 0
    unreadable: int = 0

    def picture(self, tile: Tile) -> str | None:
        """Return a tile's picture as an inline address; "" without room, None unreadable."""
        content = picture_data(tile, self.size)
        if content is None:
            self.unreadable += 1
            return None
        if len(content) > self.left_bytes:
            self.omitted += 1
            return ""
        self.left_bytes -= len(content)
        return data_url("image/webp", content)

    def clip(self, tile: Tile) -> str | None:
        """Return a clip as an inline address; None when it is too large or no clip."""
        found = clip_data(tile, min(self.clip_bytes, self.left_bytes))
        if found is None:
            self.linked += 1
            return None
        self.left_bytes -= len(found[1])
        return data_url(*found)

    def href(self, path: Path | None) -> str | None:
        """Return a link to a file below the base folder; None for any other."""
        base = self.base.resolve()
        if not self.links or path is None or not path.is_relative_to(base):
            return None
        return link(path.relative_to(base).as_posix())
