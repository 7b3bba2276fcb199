"""Glass to glass: how long a frame takes from its sending to its return, by the mark it carries.

Pure: frames are marked and read elsewhere (:mod:`decart_lab.media.marker`). A generative model may
destroy the mark, so that the rate of marks that could be read belongs to every figure.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

SENT_KEPT: Final = 1024
WINDOW: Final = 150
"""Returned frames that the percentiles are taken over."""
LATEST_S: Final = 10.0
"""A longer way round is a misread mark."""


class Latency:
    """Matches marks of frames that return with those that were sent.

    Examples
    --------
    >>> latency = Latency()
    >>> latency.sent(7, 1.0)
    >>> round(latency.returned(7, 1.25))
    250
    >>> latency.rate
    1.0
    """

    def __init__(self) -> None:
        self._sent: dict[int, float] = {}
        self._ms: deque[float] = deque(maxlen=WINDOW)
        self._read: deque[bool] = deque(maxlen=WINDOW)

    def sent(self, counter: int, now: float) -> None:
        """Note that a frame with this mark goes out."""
        self._sent.pop(counter, None)
        self._sent[counter] = now
        while len(self._sent) > SENT_KEPT:
            del self._sent[next(iter(self._sent))]

    def returned(self, counter: int | None, now: float) -> float:
        """Return the milliseconds that a returned frame took; NaN when its mark says nothing."""
        since = None if counter is None else self._sent.get(counter)
        good = since is not None and 0 <= now - since <= LATEST_S
        self._read.append(good)
        if since is None or not good:
            return math.nan
        self._ms.append((now - since) * 1e3)
        return self._ms[-1]

    @property
    def rate(self) -> float:
        """Fraction of recent frames whose mark was read; NaN before the first."""
        return sum(self._read) / len(self._read) if self._read else math.nan

    def percentile(self, fraction: float) -> float:
        """Return milliseconds that so many recent frames stayed within; NaN before the first."""
        if not self._ms:
            return math.nan
        ordered = sorted(self._ms)
        return ordered[min(len(ordered) - 1, math.ceil(fraction * len(ordered)) - 1)]
