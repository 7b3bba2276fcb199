"""What a plan may cost: a range instead of a figure, what is owned already, and what is at risk.

Pure arithmetic over planned points. Reserving money while a run goes on is the budget's, in the
journal; here is what a person looks at before anything is bought, and the guard against a grid
that multiplied quietly.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from heapq import nlargest
from math import ceil, floor, isnan, nan
from typing import TYPE_CHECKING, Final

from ..contract.prices import PRICE_VERSION
from ..errors import BudgetError, InvalidInputError
from .pricing import estimate
from .settings import WINDOW

if TYPE_CHECKING:
    from .plan import Plan, Point

HOSTED: Final = "decart"
"""The service whose bills are real."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What buying some points may cost, in USD.

    Attributes
    ----------
    low, likely, high : float
        Sums over the points whose price is known.
    points : int
        Points to be bought.
    unpriced : int
        Those of them whose price is not known.
    owned : int
        Points whose result is there already and costs nothing.
    at_risk : float
        The most that can be on its way at one moment, and so be paid without a result if the line
        or this machine dies just then.
    """

    low: float
    likely: float
    high: float
    points: int
    unpriced: int
    owned: int
    at_risk: float

    def sentence(self) -> str:
        """Return it in words.

        Examples
        --------
        >>> Cost(0.2, 0.2, 0.2, 10, 0, 2, 0.16).sentence()
        '10 points to buy, estimated $0.20 at the prices of 2026-08-01; 2 owned already.'
        """
        text = f"{self.points:,} point{'s' * (self.points != 1)} to buy"
        owned = f"; {self.owned:,} owned already." if self.owned else "."
        known = f"${self.likely:.2f}"
        if self.high - self.low >= 0.005:
            known += f" (${self.low:.2f} to ${self.high:.2f})"
        if self.unpriced:
            return (
                f"{text}, at least ${self.low:.2f}: {self.unpriced:,} of them have no known "
                f"price{owned}"
            )
        if not self.points:
            return f"{text}{owned}"
        return f"{text}, estimated {known} at the prices of {PRICE_VERSION}{owned}"


def price_range(point: Point) -> tuple[float, float, float]:
    """Return the low, likely and high price of a point in USD; NaN where nobody knows.

    The service publishes no rule for parts of a second, so a clip costs between its whole seconds
    and the next; one that was not opened yet, as its address was not fetched, may be as long as
    the model takes.
    """
    likely = point.cost_estimate
    spec = point.spec
    if spec is None or spec.kind == "image" or spec.output_s is not None:
        return likely, likely, likely
    seconds = point.files["data"].duration_s if "data" in point.files else None
    if seconds is not None:
        low, high = (estimate(spec, point.fields, float(end(seconds))) for end in (floor, ceil))
        return low, likely, high
    if "data" in point.files and point.files["data"].prepared is None and spec.max_input_s:
        return 0.0, nan, estimate(spec, point.fields, spec.max_input_s)
    return likely, likely, likely


def cost_of(plan: Plan, owned: Collection[str] = (), *, window: int = WINDOW) -> Cost:
    """Add up what a plan would cost.

    Parameters
    ----------
    plan : Plan
        Checked or not; only points that can be bought count.
    owned : collection of str
        Ids of the points whose result is there already.
    window : int, default 8
        How many points of a route may be on their way at once.
    """
    bought = [p for p in plan.runnable if p.twin_of is None and p.point_id not in owned]
    ranges = [price_range(point) for point in bought]
    known = [prices for prices in ranges if not isnan(prices[1])]
    routes: dict[str, list[float]] = {}
    for point, (_, _, high) in zip(bought, ranges, strict=True):
        if point.spec is not None and not isnan(high):
            routes.setdefault(point.spec.kind, []).append(high)
    low, likely, high = (round(sum(prices[at] for prices in known), 6) for at in range(3))
    return Cost(
        low,
        likely,
        high,
        points=len(bought),
        unpriced=len(bought) - len(known),
        owned=sum(1 for p in plan.runnable if p.twin_of is None and p.point_id in owned),
        at_risk=round(sum(sum(nlargest(window, prices)) for prices in routes.values()), 6),
    )


def check_budget(budget: float | None) -> float | None:
    """Return a budget in USD, or refuse what is none.

    Raises
    ------
    InvalidInputError
        Not a number of at least 0.
    """
    if budget is None:
        return None
    if isinstance(budget, bool) or not isinstance(budget, (int, float)) or not 0 <= budget < 1e9:
        raise InvalidInputError(
            f"budget must be an amount in USD, such as 12.5, not {budget!r:.60}.", field="budget"
        )
    return float(budget)


def guard(
    cost: Cost,
    *,
    service: str,
    budget: float | None,
    allow_unpriced: bool,
    confirm_usd: float,
) -> None:
    """Refuse to spend quietly.

    Parameters
    ----------
    cost : Cost
        Of what is to be bought.
    service : str
        Whom it is bought from; an emulator's bills are not real, and only a cap of the user's own
        is kept there.
    budget : float or None
        The cap that was given.
    allow_unpriced : bool
        Whether points without a known price may be bought.
    confirm_usd : float
        The high estimate above which a run against the hosted API needs a budget.

    Raises
    ------
    BudgetError
        Naming what to pass; nothing was bought.
    """
    capped = budget is not None
    if cost.unpriced and not allow_unpriced and (capped or service == HOSTED):
        raise BudgetError(
            f"{cost.unpriced:,} of {cost.points:,} points have no known price, so nothing was "
            "bought.",
            hint="Pass allow_unpriced=True to buy them whatever they cost; no budget= covers them.",
        )
    if not capped and service == HOSTED and cost.high > confirm_usd:
        figure = ceil(cost.high * 100 - 1e-6) / 100
        raise BudgetError(
            f"This run may cost ${figure:,.2f}, more than the ${confirm_usd:,.2f} that are spent "
            "unasked, so nothing was bought.",
            hint=f"Pass budget={figure:g} to run it, or a smaller cap to buy what it covers.",
        )
