"""Settling points without a result: what buying again may cost, and giving up.

What belongs here: the rules of ``run.retry`` and ``run.resolve``. Neither is done unasked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil, isnan

from ..contract.states import PointStatus
from ..display.html import plural
from ..errors import BudgetError
from ..sweep.journal import Journal, Lease
from ..sweep.plan import Point


def check_spend(points: Sequence[Point], max_spend: float | None) -> None:
    """Refuse to buy points again for more than was allowed.

    Raises
    ------
    BudgetError
        It may cost more, or nobody knows what it costs.
    """
    if max_spend is None:
        return
    prices = [point.cost_estimate for point in points]
    total = sum(prices)
    if isnan(total):
        raise BudgetError(
            f"The price of {sum(map(isnan, prices))} of {len(prices)} points is not known, so "
            "nothing was bought.",
            hint="Buy them in a sweep with new=True and allow_unpriced=True.",
        )
    if total > max_spend + 1e-9:
        raise BudgetError(
            f"Buying {plural(len(points), 'point')} again may cost ${total:.2f}, so nothing was "
            "bought.",
            hint=f"Pass max_spend={ceil(total * 100 - 1e-6) / 100:g} to buy them.",
        )


async def abandon(journal: Journal, lease: Lease, point_ids: Collection[str]) -> None:
    """Give points in doubt up: what was reserved for them counts as spent."""
    for point_id in point_ids:
        attempt = journal.attempt_of(point_id)
        if attempt is not None and attempt.state == "in_doubt":
            await journal.ended(lease, attempt, PointStatus.CANCELLED)
