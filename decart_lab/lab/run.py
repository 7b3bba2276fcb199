"""Run: one execution of a sweep, seen from the notebook while it goes on and afterwards.

What belongs here: reading the journal as DataFrames, waiting, stopping, and showing. Buying is the
runner's, on the engine's thread; nothing here blocks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._engine import engine
from ..display import cards
from ..display.progress import Snapshot, watch
from ..sweep._memory import Journal
from ..sweep.engine import Runner
from ..sweep.plan import Plan
from ..sweep.table import attempts_frame, events_frame, to_frame
from .accessor import Accessor, register

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from ..display.shown import Shown


class Run:
    """One execution of a sweep; made by ``sweep.run()`` and ``sweep.start()``.

    Its results lie in :attr:`folder` as they arrive. The record of what happened to each point is
    kept by this kernel.

    Attributes
    ----------
    run_id : str
        Its name, which sorts by time.
    folder : Path
        Where its media, thumbnails and ``run.lock.json`` lie.
    plan : Plan
        What is bought.
    """

    def __init__(
        self, run_id: str, folder: Path, plan: Plan, journal: Journal, runner: Runner
    ) -> None:
        self.run_id = run_id
        self.folder = folder
        self.plan = plan
        self._journal = journal
        self._runner = runner
        self._future: Future[None] = engine().start(runner.run)

    # -- looking -------------------------------------------------------------------------------

    @property
    def df(self) -> pd.DataFrame:
        """One row per point as it stands now: axes, then the columns of ``decart_lab``'s schema.

        Points that the plan excludes (a clip for an image model, and the like) have no row here;
        ``sweep.plan()`` lists them with the reason.
        """
        register()
        return to_frame(self._journal.rows(), self.plan.columns)

    @property
    def events(self) -> pd.DataFrame:
        """Everything that happened, in order: seq, at, point_id, kind, status, detail."""
        return events_frame(self._journal.events())

    @property
    def attempts(self) -> pd.DataFrame:
        """One row per try at buying a point, with how it ended."""
        return attempts_frame(self._journal.rows())

    @property
    def finished(self) -> bool:
        """Whether nothing is being bought any more."""
        return self._future.done()

    @property
    def simulated(self) -> bool | None:
        """Whether the emulator made the results; None while that is not known."""
        known = {row.get("simulated") for row in self._journal.rows()} - {None}
        return any(known) if known else None

    # -- waiting and stopping ------------------------------------------------------------------

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the run is finished; an interrupt ends only the waiting.

        Parameters
        ----------
        timeout_s : float, optional
            Wait at most that many seconds; for ever by default.

        Returns
        -------
        bool
            Whether it is finished.
        """
        try:
            self._future.result(timeout_s)
        except WaitTimeoutError:
            return False
        return True

    def __await__(self) -> Generator[Any, None, Run]:
        return self._finish().__await__()

    async def _finish(self) -> Run:
        await asyncio.shield(asyncio.wrap_future(self._future))
        return self

    def stop(self) -> int:
        """Buy no further point, and keep everything that is paid.

        What is being bought goes on in the background and is stored when it arrives.

        Returns
        -------
        int
            How many points are not bought because of it.
        """
        return 0 if self.finished else engine().run(self._runner.stop)

    def watch(self) -> Run:
        """Show progress until the run is finished; Ctrl-C stops buying and keeps what is paid.

        Raises
        ------
        KeyboardInterrupt
            After saying how many points were not bought, and how many still complete.
        """
        try:
            watch(self._snapshot, self.wait)
        except KeyboardInterrupt:
            print(self._interrupted(self.stop()))
            raise
        return self

    def _interrupted(self, stopped: int) -> str:
        running = self._journal.tally().running
        text = f"Stopped: {_points(stopped)} not bought"
        if running:
            text += f"; {_points(running)} in flight, completing in the background"
        return f"{text}. Everything paid is kept; lab.last_run has it."

    def _snapshot(self) -> Snapshot:
        now = self._journal.tally()
        cost = nan if now.unpriced else now.cost
        return Snapshot(now.total, now.done, now.failed, now.running, cost)

    # -- showing -------------------------------------------------------------------------------

    def gallery(self, rows: str | None = None, cols: str | None = None, **options: Any) -> Shown:
        """Show the results as a grid of pictures; see ``df.decart.gallery``.

        Parameters
        ----------
        rows, cols : str, optional
            Axes to lay out down and across.
        """
        return self._decart().gallery(rows=rows, cols=cols, **options)

    def sheet(self, **options: Any) -> Image.Image:
        """Return the results as one picture; see ``df.decart.sheet``."""
        return self._decart().sheet(**options)

    def report(self, path: str | Path, **options: Any) -> Path:
        """Write the results as one self-contained HTML file; see ``df.decart.report``."""
        return self._decart().report(path, **options)

    def _decart(self) -> Accessor:
        return Accessor(self.df)

    def _summary(self) -> dict[str, Any]:
        now = self._journal.tally()
        all_unpriced = now.unpriced > 0 and now.cost == 0
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "counts": dict(now.by_status),
            "cost": nan if all_unpriced else now.cost,
            "unknown_cost": now.unpriced,
            "simulated": self.simulated,
            "running": not self.finished,
        }

    def __repr__(self) -> str:
        return cards.run_text(self._summary())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        summary = self._summary()
        return {"text/plain": cards.run_text(summary), "text/html": cards.run_card(summary)}


def _points(count: int) -> str:
    return f"{count:,} point{'' if count == 1 else 's'}"
