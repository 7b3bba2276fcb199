"""The small picture of a live session's reference image, as its page shows it.

What belongs here: making it, once for each image. It is bounded, goes to the page as bytes beside a
message, and is never a trait: nothing of it is saved with the notebook.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from ..errors import MediaError
from ..media.image import thumbnail

SIDE: Final = 168
"""Longest side in pixels: twice its place in the page."""
TYPE: Final = "image/webp"


class Reference:
    """Remembers what was made of the last image, and what the page was told."""

    def __init__(self) -> None:
        self._of: str | bytes | None = None
        self._small = self._told = b""

    def of(self, image: str | bytes | None) -> bytes:
        """Return a small picture of an image; b"" of none, and of one that is only named.

        Parameters
        ----------
        image : str or bytes or None
            Its content, as it is or as base64; or the service's ``file_...`` reference.
        """
        if image is not self._of:
            self._of, self._small = image, _small(image)
        return self._small

    @property
    def news(self) -> bool:
        """Whether the page shows another one."""
        return self._small is not self._told

    def told(self) -> None:
        """Take it that the page shows this one."""
        self._told = self._small

    def forget(self) -> None:
        """Take it that the page shows none, as one that was just opened."""
        self._told = b""


def _small(image: str | bytes | None) -> bytes:
    if not image:
        return b""
    try:
        data = image if isinstance(image, bytes) else base64.b64decode(image, validate=True)
        return thumbnail(data, SIDE)
    except (binascii.Error, MediaError):
        return b""
