"""How often the status of a job is asked: pure arithmetic, no clock and no network.

The vendor's SDKs ask after 0.5 s and then every 1.5 s; its documentation advises 2 s or more by
hand (wire contract, section 5). The longer a job has run, the less a second matters.
"""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 0.5
SHORTEST_S: Final = 1.5
LONGEST_S: Final = 15.0
SHARE: Final = 0.06
"""A poll may see the end late by this share of the job's time."""

DEADLINE_S: Final = 660.0
"""The service fails a job after 600 s; a minute more allows for clocks and queues."""

MISSES: Final = 3
"""So often in a row may the service say that it does not know the job before it is lost."""


def next_delay_s(polls: int, elapsed_s: float) -> float:
    """Return how long to wait before the next poll.

    Parameters
    ----------
    polls : int
        How many were made already.
    elapsed_s : float
        Seconds since the job was accepted.

    Examples
    --------
    >>> [next_delay_s(polls, s) for polls, s in ((0, 0.0), (3, 10.0), (40, 100.0), (90, 500.0))]
    [0.5, 1.5, 6.0, 15.0]
    """
    if polls == 0:
        return FIRST_S
    return min(LONGEST_S, max(SHORTEST_S, SHARE * elapsed_s))
