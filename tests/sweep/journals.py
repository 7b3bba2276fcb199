"""Journals for tests: a few planned points, and the ways to buy them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decart_lab.sweep.journal import Journal, Lease

PRICE = 0.01


def row(point_id: str, **known: Any) -> dict[str, Any]:
    """A planned point."""
    return {"point_id": point_id, "kind": "image", "model": "lucy-image-2", **known}


def planned(folder: Path, *ids: str, **options: Any) -> Journal:
    """A new journal with such points."""
    rows = [row(i, style="ink") for i in ids]
    return Journal.create(folder, {"run_id": folder.name}, rows, {"style": "string"}, **options)


def held(folder: Path, *ids: str, **options: Any) -> tuple[Journal, Lease]:
    """A new journal that this process holds."""
    journal = planned(folder, *ids, **options)
    lease = journal.acquire()
    assert lease is not None
    return journal, lease


async def buy(
    journal: Journal, lease: Lease, point_id: str, facts: Mapping[str, Any] | None = None
) -> None:
    """Take a point through all its steps."""
    attempt = await journal.intent(lease, point_id, reserve_usd=PRICE)
    await journal.ack(lease, attempt, f"job-{point_id}", "{}")
    await journal.record("status", point_id, status="processing", polls=1)
    await journal.done(lease, attempt, {"polls": 2})
    await journal.stored(lease, attempt, {"media": "media/ab/c.png", **(facts or {})})
