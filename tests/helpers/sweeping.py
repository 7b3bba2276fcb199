"""A small sweep with a runner of its own, in clock time that tests can afford."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from decart_lab._clock import AcceleratedClock, Clock
from decart_lab._wire import Timeouts
from decart_lab.api.client import DecartClient
from decart_lab.sweep.engine import Runner, Settings
from decart_lab.sweep.grid import Grid
from decart_lab.sweep.journal import Journal
from decart_lab.sweep.plan import Plan, build_plan
from decart_lab.sweep.store import Store

SPEED = 300


class Bench:
    """A plan, its journal and its runner, on one client."""

    def __init__(
        self,
        client: DecartClient,
        plan: Plan,
        folder: Path,
        clock: Clock,
        *,
        budget: float | None = None,
        **options: Any,
    ) -> None:
        self.plan, self.client = plan, client
        self.store = Store(folder / "run", folder)
        self.store.create()
        meta, rows = {"run_id": "run"}, (point.row() for point in plan.runnable)
        self.journal = Journal.create(
            self.store.folder, meta, rows, plan.columns, budget=budget, clock=clock
        )
        lease = self.journal.acquire()
        assert lease is not None
        self.lease = lease
        self.runner = Runner(
            client,
            self.journal,
            lease,
            self.store,
            plan.runnable,
            settings=Settings(**options),
            clock=clock,
        )

    async def rows(self) -> list[dict[str, Any]]:
        """Run, and return the points as rows."""
        await self.runner.run()
        return self.journal.rows()


@asynccontextmanager
async def bench(
    url: str,
    folder: Path,
    grid: Grid | None = None,
    *,
    options: dict[str, Any] | None = None,
    timeouts: Timeouts | None = None,
    speed: float = SPEED,
    **keywords: Any,
) -> AsyncIterator[Bench]:
    """Plan a grid, or the one that the keywords describe, and make ready to run it."""
    clock = AcceleratedClock(speed)
    plan = build_plan(grid or Grid.of(**keywords), service="emulator")
    async with DecartClient("a-key", base_url=url, clock=clock, timeouts=timeouts) as client:
        yield Bench(client, plan, folder, clock, **(options or {}))


async def run_points(
    url: str,
    folder: Path,
    *,
    timeouts: Timeouts | None = None,
    options: dict[str, Any] | None = None,
    **keywords: Any,
) -> list[dict[str, Any]]:
    """Run the grid that the keywords describe, and return its points as rows."""
    async with bench(url, folder, timeouts=timeouts, options=options, **keywords) as it:
        return await it.rows()
