"""The page of the live preview: which files it is made of, and what it and the kernel agree on.

What belongs here: the joined module, its stylesheet, and the number of the protocol. What the
messages say to a session is the widget's business; what is shown is ``static/live*.js``'s.
"""

from __future__ import annotations

from typing import Final

from .base import module, style

PROTOCOL: Final = 1
"""Number of the messages between page and kernel; a page says its own when it is ready."""

ESM: Final = module(
    *("dom", "figures", "livestate", "livekeys", "livedecode", "liveview", "livemedia"),
    *("livertc", "livereel", "liveasks", "livepanel", "live"),
)
CSS: Final = style("live")
