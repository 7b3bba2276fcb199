"""A small sweep with a runner of its own, in clock time that tests can afford."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from decart_lab._clock import AcceleratedClock
from decart_lab._wire import Timeouts
from decart_lab.api.client import DecartClient
from decart_lab.contract.states import PointStatus
from decart_lab.sweep._memory import Journal
from decart_lab.sweep.engine import Runner
from decart_lab.sweep.grid import Grid
from decart_lab.sweep.plan import build_plan
from decart_lab.sweep.store import Store

SPEED = 300


async def run_points(
    url: str,
    folder: Path,
    *,
    timeouts: Timeouts | None = None,
    options: dict[str, Any] | None = None,
    **keywords: Any,
) -> list[dict[str, Any]]:
    """Run the grid that the keywords describe, and return its points as rows."""
    clock = AcceleratedClock(SPEED)
    plan = build_plan(Grid.of(**keywords), service="emulator")
    async with DecartClient("a-key", base_url=url, clock=clock, timeouts=timeouts) as client:
        journal = Journal()
        store = Store(folder / "run", folder)
        store.create()
        rows = ({**p.row(), "status": PointStatus.PLANNED} for p in plan.runnable)
        journal.plan(rows, datetime.now(UTC))
        runner = Runner(client, plan, journal, store, clock=clock, **(options or {}))
        await runner.run()
        return journal.rows()
