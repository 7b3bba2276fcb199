"""What a session has cost so far: seconds of generation, dollars, and the caps on both.

Pure: the time is passed in. A logical session may be several sessions at the service, one after
another, when it had to reconnect; their seconds add up. The service's own count is the truth; what
has passed since it last spoke is an estimate, and only the caps go by it.
"""

from __future__ import annotations

import math

from ..errors import InvalidInputError


class Meter:
    """Seconds and cost of one session.

    Parameters
    ----------
    price_per_s : float
        USD per second of generation; NaN when unknown.
    max_seconds, max_cost : float or None
        Where to stop, in seconds and USD.

    Raises
    ------
    InvalidInputError
        A cap is not a positive number, or there is a cost cap and no known price.

    Examples
    --------
    >>> meter = Meter(0.02, max_seconds=60)
    >>> meter.started(100.0)
    >>> meter.told(30.0, 130.2)
    >>> meter.seconds, meter.cost, meter.left(130.2)
    (30.0, 0.6, 30.0)
    """

    def __init__(
        self,
        price_per_s: float,
        *,
        max_seconds: float | None = None,
        max_cost: float | None = None,
    ) -> None:
        for name, cap in (("max_seconds", max_seconds), ("max_cost", max_cost)):
            if cap is not None and not (math.isfinite(cap) and cap > 0):
                raise InvalidInputError(f"{name} must be a number greater than 0.", field=name)
        if max_cost is not None and math.isnan(price_per_s):
            raise InvalidInputError(
                "The price of this model is unknown, so that max_cost cannot be kept.",
                field="max_cost",
                hint="Use max_seconds= instead.",
            )
        self.price_per_s = price_per_s
        by_cost = math.inf if max_cost is None or price_per_s == 0 else max_cost / price_per_s
        self._cap_s = min(math.inf if max_seconds is None else max_seconds, by_cost)
        self.cap = "max_cost" if by_cost < (max_seconds or math.inf) else "max_seconds"
        self.differs = False
        self._before = 0.0  # of the service's sessions that are over
        self._now = 0.0  # of the one that runs, as the service counts it
        self._since: float | None = None  # when that count was last known to be right

    @property
    def seconds(self) -> float:
        """Seconds of generation that the service has counted."""
        return self._before + self._now

    @property
    def cost(self) -> float:
        """USD for them; NaN when the price is unknown."""
        return round(self.seconds * self.price_per_s, 6)

    def estimate(self, now: float) -> float:
        """Return the seconds with what has passed since the service last counted."""
        return self.seconds + (0.0 if self._since is None else max(0.0, now - self._since))

    def left(self, now: float) -> float:
        """Return the seconds until a cap is reached; infinite without one."""
        return max(0.0, self._cap_s - self.estimate(now))

    def started(self, now: float) -> None:
        """Note that generation has begun, and with it the service's count."""
        if self._since is None:
            self._since = now

    def told(self, seconds: float, now: float) -> None:
        """Take the service's count; one that goes back is noted and not believed."""
        if seconds < self._now:
            self.differs = True
            return
        self._now = seconds
        self._since = now

    def over(self, seconds: float = math.nan) -> None:
        """Close the count of a session at the service with its last word, if it had one."""
        if not math.isnan(seconds):
            # The summary may round down what a tick rounded up; more than that is a difference.
            self.differs |= seconds < self._now - 1
            self._now = max(self._now, seconds)
        self._before += self._now
        self._now, self._since = 0.0, None
