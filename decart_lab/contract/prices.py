"""The dated price table.

Source: the vendor's pricing page as captured on 2026-08-01 (wire contract, section 9). A model
that is not here has no known price, and its cost is NaN: never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Final

PRICE_VERSION: Final = "2026-08-01"
CURRENCY: Final = "USD"


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs, in USD.

    Attributes
    ----------
    per_s : float
        Per second of generated video; NaN when unknown.
    realtime_per_s : float
        Per second of active realtime generation; NaN when unknown.
    per_image : dict of str to float
        Per picture, by resolution.
    """

    per_s: float = nan
    realtime_per_s: float = nan
    per_image: tuple[tuple[str, float], ...] = ()


UNKNOWN: Final = Price()

PRICES: Final[dict[str, Price]] = {
    "lucy-2.5": Price(per_s=0.04, realtime_per_s=0.02),
    "lucy-2.1": Price(per_s=0.04, realtime_per_s=0.02),
    "lucy-vton-2": Price(per_s=0.04, realtime_per_s=0.02),
    "lucy-vton-3": Price(per_s=0.04, realtime_per_s=0.02),
    "lucy-vton-3.5": Price(realtime_per_s=0.02),
    "lucy-restyle-2": Price(per_s=0.01, realtime_per_s=0.01),
    "lucy-clip": Price(per_s=0.15),
    "lucy-image-2": Price(per_image=(("480p", 0.01), ("720p", 0.02))),
}


def price_of(model: str) -> Price:
    """Return the price row of a canonical model id; every figure NaN when it is not known."""
    return PRICES.get(model, UNKNOWN)


def image_cost(model: str, resolution: str = "720p") -> float:
    """Return the price of one picture in USD; NaN when unknown.

    Examples
    --------
    >>> image_cost("lucy-image-2", "480p")
    0.01
    """
    return dict(price_of(model).per_image).get(resolution, nan)


def video_cost(model: str, seconds: float) -> float:
    """Return the price of a clip of that many generated seconds in USD; NaN when unknown.

    Examples
    --------
    >>> video_cost("lucy-2.1", 5)
    0.2
    """
    return round(price_of(model).per_s * seconds, 6)


def realtime_cost(model: str, seconds: float, speed: str = "") -> float:
    """Return the price of that many seconds of realtime generation in USD; NaN when unknown.

    The tier ``speed="fast"`` costs twice as much (wire contract, section 7.4).

    Examples
    --------
    >>> realtime_cost("lucy-2.1", 60), realtime_cost("lucy-2.5", 60, "fast")
    (1.2, 2.4)
    """
    times = 2 if speed == "fast" else 1
    return round(price_of(model).realtime_per_s * seconds * times, 6)
