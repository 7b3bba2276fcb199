"""How much this kernel may send to its front ends in a second, over all previews together.

What belongs here: a bucket that fills with time. A Jupyter server silently drops what exceeds 1000
messages a second, and its own buffers have no end, so we keep well below; whose turn it is when the
bucket is empty is the sender's business.
"""

from __future__ import annotations

import threading
from typing import Final

BYTES_PER_S: Final = 8_000_000.0
MESSAGES_PER_S: Final = 200.0
BURST_S: Final = 0.25
"""How many seconds' worth may go out at once."""
TIGHT_S: Final = 1.0
"""For how long messages have had to wait, again and again, before that is worth a word."""
PAUSE_S: Final = 0.5


class Budget:
    """Bytes and messages per second; from any thread.

    Parameters
    ----------
    bytes_per_s, messages_per_s : float
        The rates, none of which is exceeded by more than a burst and one message.

    Attributes
    ----------
    refused : int
        How often a message had to wait.

    Examples
    --------
    >>> budget = Budget(bytes_per_s=1000, messages_per_s=100)
    >>> [budget.take(200, now=1.0), budget.take(200, now=1.0), budget.take(200, now=1.0)]
    [True, True, False]
    >>> budget.take(200, now=1.2)
    True
    """

    def __init__(self, bytes_per_s: float, messages_per_s: float) -> None:
        self._rates = bytes_per_s, messages_per_s
        self._left = [rate * BURST_S for rate in self._rates]
        self._at = 0.0
        self.refused = 0
        self._refused_s = self._tight_since = float("-inf")
        self._lock = threading.Lock()

    def take(self, size_bytes: int, now: float) -> bool:
        """Take what a message needs; False, and nothing taken, when it has to wait.

        A message that is larger than what is left may go out when anything is left at all, so that
        none is too large for ever; the debt is paid before the next.
        """
        with self._lock:
            passed = max(0.0, now - self._at)
            self._at = max(self._at, now)
            for kind, rate in enumerate(self._rates):
                self._left[kind] = min(rate * BURST_S, self._left[kind] + rate * passed)
            if self._left[0] <= 0.0 or self._left[1] < 1.0:
                if now - self._refused_s > PAUSE_S:
                    self._tight_since = now
                self.refused, self._refused_s = self.refused + 1, now
                return False
            self._left[0] -= size_bytes
            self._left[1] -= 1.0
            return True

    def tight(self, now: float) -> bool:
        """Return whether messages have had to wait for a while, and still have to."""
        since, last = self._tight_since, self._refused_s
        return last - since >= TIGHT_S and now - last <= PAUSE_S


KERNEL: Final = Budget(BYTES_PER_S, MESSAGES_PER_S)
"""What all previews of this process share."""
