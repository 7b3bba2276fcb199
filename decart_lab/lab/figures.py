"""What a page is told of how its preview fares, and how a session ended, in words and figures.

What belongs here: reading what others count. Nothing is kept here and nothing decided.
"""

from __future__ import annotations

import math
from typing import Any, Final

from ..contract.realtime import EndReason
from ..errors import DecartSDKError, SessionClosedError
from ..widgets.budget import BYTES_PER_S, KERNEL
from ..widgets.feed import Feed
from ..widgets.printing import LESS, PRINTING

FLOOD_S: Final = 6.0
"""How long after a flood of print the page is still told of it: during one, nothing reaches it."""
TEXT: Final = 400
"""Most characters of a message that a page is told."""
ENDINGS: Final = {
    "disconnect": "it was stopped",
    "max_seconds": "its limit of seconds was reached (max_seconds)",
    "max_cost": "its limit of cost was reached (max_cost)",
    "idle": "nobody used it (idle_timeout)",
    "page_closed": "its page was left",
    "view_closed": "its last view was closed",
    "closed": "its widget was closed",
    "timeout": "the service's limit of time was reached",
    "moderation_violation": "the service refused what it showed",
    "insufficient_credits": "the credits were used up",
    "ice_failure": "the media connection was lost",
}
"""Why a session ended, by our own and the service's word for it."""


def ending(reason: str) -> str:
    """Return why a session ended, in words; a word of the service that is not known stays.

    Examples
    --------
    >>> ending("idle"), ending("solar flare")
    ('nobody used it (idle_timeout)', 'solar flare')
    """
    return ENDINGS.get(reason, reason)


def failure(error: DecartSDKError | None) -> str:
    """Return what went wrong, bounded; "" too for a session that its own sender ended."""
    ended = isinstance(error, SessionClosedError) and error.reason == EndReason.DISCONNECT
    return "" if error is None or ended else str(error)[:TEXT]


def drawn(feed: Feed) -> dict[str, Any]:
    """Return the figures of the view that draws most, by the columns of a second's row."""
    counted = [feed.counters(view) for view in feed.views]
    if not counted:
        return {}
    best = max(counted, key=lambda one: one.fps_drawn if one.fps_drawn > 0 else 0.0)
    columns = ("fps_drawn", "preview_lag_ms", "mode", "window", "dropped_preview")
    return {name: getattr(best, name) for name in columns}


def warning(feed: Feed, now: float) -> str:
    """Return why pictures do not come as they should, as a sentence; "" while they do."""
    if PRINTING.flooded(now, FLOOD_S):
        return f"{PRINTING.flood} {LESS}"
    notes = (feed.counters(view).note for view in feed.views)
    said = next(filter(None, notes), "")
    if said or not KERNEL.tight(now):
        return said
    return (
        f"The previews of this kernel have reached {BYTES_PER_S / 1e6:.0f} MB a second together, "
        "and leave pictures out. Close some, or give a smaller size=."
    )


def known(value: Any) -> Any:
    """Return a figure as JSON has it: NaN is nothing there."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
