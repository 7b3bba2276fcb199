"""Where single results go: beside the runs, named after their content, each once."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

from ..media.media import Media
from ..sweep.store import Store


class Shelf:
    """Results that belong to no run, under the runs root.

    Parameters
    ----------
    root : Path
        The runs root.
    """

    def __init__(self, root: Path) -> None:
        self._store = Store(root, root)

    def incoming(self) -> Path:
        """Return a path to download to; made ready to be written."""
        self._store.create()
        return self._store.incoming(secrets.token_hex(8))

    def keep(self, media: Media) -> Media:
        """Move a downloaded result to its place and return it from there."""
        stored = self._store.adopt(media.path)
        return replace(media, path=stored.path)
