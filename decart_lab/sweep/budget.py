"""The cap of a run and what counts against it, in whole millionths of a dollar.

Every function works inside the caller's transaction, so that a reservation and the intent it is for
are on the disk together or not at all, and no two processes can overshoot the cap.
"""

from __future__ import annotations

import sqlite3
from math import isfinite
from typing import Final

from ..errors import BudgetError, InvalidInputError
from ._records import Spent

MICRO: Final = 1_000_000


def micro(usd: float | None) -> int | None:
    """Return USD as whole millionths; None when the amount is not known.

    Examples
    --------
    >>> micro(0.1) + micro(0.2) == micro(0.3), micro(None), micro(float("nan"))
    (True, None, None)
    """
    if usd is None or not isfinite(usd):
        return None
    return round(usd * MICRO)


def set_cap(db: sqlite3.Connection, usd: float | None) -> None:
    """Set the cap; None for no cap.

    Raises
    ------
    InvalidInputError
        A budget below 0, or not a number.
    """
    if usd is not None and (not isfinite(usd) or usd < 0):
        raise InvalidInputError(
            f"budget must be an amount in USD of at least 0, not {usd!r}.", field="budget"
        )
    db.execute("UPDATE budget SET cap = ?", (micro(usd),))


def reserve(db: sqlite3.Connection, amount: int) -> None:
    """Set an amount aside, if the cap allows it.

    Raises
    ------
    BudgetError
        With the figures; nothing was reserved.
    """
    changed = db.execute(
        "UPDATE budget SET reserved = reserved + ?1 "
        "WHERE cap IS NULL OR spent + reserved + ?1 <= cap",
        (amount,),
    ).rowcount
    if changed:
        return
    cap, reserved, spent = db.execute("SELECT cap, reserved, spent FROM budget").fetchone()
    raise BudgetError(
        f"The next purchase of ${amount / MICRO:.4f} would exceed the budget of ${cap / MICRO:.2f}:"
        f" ${spent / MICRO:.4f} is spent and ${reserved / MICRO:.4f} reserved.",
        hint="Run it again with a larger budget= to buy the rest.",
        data={"cap": cap / MICRO, "spent": spent / MICRO, "reserved": reserved / MICRO},
    )


def release(db: sqlite3.Connection, amount: int) -> None:
    """Give an amount back that was reserved and not spent."""
    db.execute("UPDATE budget SET reserved = reserved - ?", (amount,))


def spend(db: sqlite3.Connection, reserved: int, paid: int | None) -> None:
    """Turn a reservation into what was paid; None when the price is not known."""
    db.execute(
        "UPDATE budget SET reserved = reserved - ?, spent = spent + ?, unpriced = unpriced + ?",
        (reserved, paid or 0, int(paid is None)),
    )


def spent(db: sqlite3.Connection) -> Spent:
    """Return where the money is."""
    reserved, paid, unpriced = db.execute("SELECT reserved, spent, unpriced FROM budget").fetchone()
    (in_doubt,) = db.execute(
        "SELECT coalesce(sum(reserve), 0) FROM attempts WHERE state IN ('in_doubt', 'lost')"
    ).fetchone()
    return Spent(paid / MICRO, reserved / MICRO, in_doubt / MICRO, unpriced)


def cap(db: sqlite3.Connection) -> float | None:
    """Return the cap in USD, None when there is none."""
    (found,) = db.execute("SELECT cap FROM budget").fetchone()
    return None if found is None else found / MICRO
