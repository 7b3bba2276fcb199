"""Run: one execution of a sweep, seen from the notebook while it goes on and afterwards.

What belongs here: what a notebook asks of a run: to wait, stop, go on, settle, tidy. Which kernel
has the run is :mod:`decart_lab.lab.keeping`'s; reading it is :mod:`decart_lab.lab.record`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING, Any, Final, Literal

from .._engine import engine
from ..contract.states import PointStatus
from ..display.html import plural
from ..display.progress import Snapshot, watch
from ..errors import InvalidInputError
from ..sweep.arrivals import arrivals, take_arrivals
from ..sweep.pack import Cleared
from ..sweep.pack import clear as clear_files
from ..sweep.spending import check_budget
from .going import StopMode
from .keeping import LOOK_S, TO_BUY, Kept
from .mending import Mended, mend
from .settling import abandon, check_spend

if TYPE_CHECKING:
    from ..widgets.runtable import RunTable
    from .lab import Lab

RETRIED: Final = ("failed", "rejected", "lost", "cancelled", "skipped_budget")
GRACE_S: Final = 2.0
"""How long an interrupt waits for requests that are on their way to be answered."""


class Run(Kept):
    """One execution of a sweep; made by ``sweep.run()``, ``sweep.start()`` and ``open_run()``.

    All there is to know of it lies in :attr:`folder`: the journal, the media, the inputs. It can be
    copied elsewhere and gone on with there.

    Attributes
    ----------
    run_id : str
        Its name, which sorts by time.
    folder : Path
        Where its journal, media, thumbnails and ``run.lock.json`` lie.
    """

    # -- looking -------------------------------------------------------------------------------

    @property
    def paused_because(self) -> str:
        """Why nothing is bought at the moment, although the run goes on; "" when it is."""
        return self._going.runner.paused_because if self._going else ""

    # -- waiting and stopping ------------------------------------------------------------------

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the run is finished; Ctrl-C stops buying and keeps what is paid.

        Parameters
        ----------
        timeout_s : float, optional
            Wait at most that many seconds; for ever by default.

        Returns
        -------
        bool
            Whether it is finished.

        Raises
        ------
        KeyboardInterrupt
            After no further request begins, and those on their way had two seconds to be answered.
        """
        try:
            return self._wait(timeout_s)
        except KeyboardInterrupt:
            self._interrupted()
            raise

    def __await__(self) -> Generator[Any, None, Run]:
        return self._finish().__await__()

    async def _finish(self) -> Run:
        # In a thread, so that the loop of the cell, and with it buttons, goes on.
        while not await asyncio.to_thread(self._wait, LOOK_S):
            pass
        return self

    def watch(self) -> RunTable:
        """Return a live table of the points, which fills while the notebook goes on.

        Returns
        -------
        RunTable
            A widget: rows to sort, filter by status and open. Without a front end, a line of text.
        """
        from ..widgets.runtable import RunTable

        return RunTable(self._journal, self.folder, self._journal.columns, lambda: self.finished)

    def progress(self) -> Run:
        """Show progress until the run is finished; Ctrl-C stops buying and keeps what is paid.

        Raises
        ------
        KeyboardInterrupt
            After saying how many points were not bought, and how many still complete.
        """
        try:
            watch(self._snapshot, self._wait)
        except KeyboardInterrupt:
            self._interrupted()
            raise
        if self.paused_because:
            print(f"Paused: {self.paused_because} Then run.resume() goes on.")
        return self

    def stop(self, mode: StopMode = "drain") -> int:
        """Buy no further point, and keep everything that is paid.

        Parameters
        ----------
        mode : {"drain", "detach"}
            What becomes of jobs that are under way at the service: they are collected in the
            background as they end, or left there until the run is resumed.

        Returns
        -------
        int
            How many points are not bought because of it; ``resume()`` buys them.
        """
        if mode not in ("drain", "detach"):
            raise InvalidInputError(
                f'mode must be "drain" or "detach", not {mode!r:.60}.', field="mode"
            )
        if self._going is None or self._going.finished:
            return 0
        left = self._going.stop(mode)
        # stopped before the runner had looked: nothing was begun, and nothing will be
        return left or len(self._ids({PointStatus.PLANNED}))

    def _interrupted(self) -> None:
        """Close the gate, give what is on its way a moment, and say how to go on."""
        if self._going is None:
            print(f"Stopped waiting; {self.holder or 'nobody'} goes on with the run.")
            return
        self._going.stop("drain")
        until = time.monotonic() + GRACE_S
        while self._journal.tally().by_status.get("submitting") and time.monotonic() < until:
            if self._going.wait(0.05):
                break
        now = self._journal.tally()
        text = f"Stopped: {plural(now.by_status.get('planned', 0), 'point')} not bought"
        if now.by_status.get("planned", 0) < now.total - now.done:
            under_way = now.total - now.done - now.by_status.get("planned", 0)
            text += f"; {plural(under_way, 'point')} in flight, completing in the background"
        print(f"{text}. Everything paid is kept:\nrun = dl.open_run({str(self.folder)!r})")

    def pause(self) -> None:
        """Begin no further purchase until :meth:`resume`; what is under way goes on."""
        if self._going is not None and not self._going.finished:
            self._going.pause()

    def resume(self, *, lab: Lab | None = None, budget: float | None = None) -> Run:
        """Go on with a run that was paused, stopped or left by a kernel; returns at once.

        What was not bought is bought, and jobs under way at the service are collected. This buys.

        Parameters
        ----------
        lab : Lab, optional
            Where; by default the lab of the run, else the one connected last.
        budget : float, optional
            A new cap in USD for the whole run; points that the old one did not cover are bought
            as well.

        Raises
        ------
        LeaseError
            Another kernel is buying it.
        """
        if not self._make_way():
            return self
        budget = check_budget(budget)
        wanted = set(TO_BUY)
        if budget is not None:
            wanted.add(PointStatus.SKIPPED_BUDGET)
        settings = self._settings()
        if self._going is not None and self._going.runner.refusals.why:
            settings = replace(settings, refusals=0)  # somebody has looked, and wants them all
        self._go_on(self._points(self._ids(wanted)), settings, lab=lab, budget=budget)
        return self

    def retry(
        self, status: str = "failed", *, max_spend: float | None = None, lab: Lab | None = None
    ) -> Run:
        """Buy points again that have no result; returns at once. This buys.

        Parameters
        ----------
        status : {"failed", "rejected", "lost", "cancelled", "skipped_budget"}
            Which of them. What failed after it was accepted may have been billed, and may be billed
            again.
        max_spend : float, optional
            The most that it may cost, in USD.
        lab : Lab, optional
            As for :meth:`resume`.

        Raises
        ------
        BudgetError
            It would cost more than ``max_spend``; nothing was bought.
        """
        if status not in RETRIED:
            raise InvalidInputError(
                f"status must be one of {', '.join(RETRIED)}, not {status!r:.60}.",
                field="status",
                hint='Points in doubt are settled by run.resolve("in_doubt", ...).',
            )
        self._idle("retry")
        points = self._points(self._ids({PointStatus(status)}))
        check_spend(points, max_spend)
        if points:
            self._go_on(points, lab=lab, again=True)
        return self

    def resolve(
        self,
        status: str,
        how: Literal["abandon", "resubmit"],
        *,
        max_spend: float = 0.0,
        lab: Lab | None = None,
    ) -> int:
        """Settle points of which nobody knows whether they were bought.

        Parameters
        ----------
        status : {"in_doubt"}
            Said in full, because it is about money.
        how : {"abandon", "resubmit"}
            Give them up and count them as paid, or buy them again, which may pay for them twice.
        max_spend : float, default 0
            The most that buying again may cost, in USD.

        Returns
        -------
        int
            How many points were settled. Those bought again are under way when this returns.

        Raises
        ------
        BudgetError
            Buying them again may cost more than ``max_spend``; nothing was bought.
        """
        if status != "in_doubt" or how not in ("abandon", "resubmit"):
            raise InvalidInputError(
                'Only run.resolve("in_doubt", "abandon") and run.resolve("in_doubt", "resubmit", '
                "max_spend=...) are known.",
                field="how",
            )
        self._idle("resolve")
        ids = self._ids({PointStatus.IN_DOUBT})
        if how == "abandon":
            with self._held() as (journal, lease):
                # What has come is not given up: it waits to be collected.
                came = engine().run(take_arrivals, journal, lease, self._store())
                engine().run(abandon, journal, lease, set(ids).difference(came))
            return len(set(ids).difference(came))
        points = self._points(ids)
        check_spend(points, max_spend)
        if points:
            self._go_on(points, lab=lab, again=True)
        return len(points)

    # -- tidying -------------------------------------------------------------------------------

    def mend(self, *, lab: Lab | None = None) -> Mended:
        """Look for every result, and fetch again those that are gone from the folder.

        It buys nothing: a job's result can be fetched for as long as the service keeps it, and a
        picture that was answered at once cannot.

        Parameters
        ----------
        lab : Lab, optional
            As for :meth:`resume`.

        Returns
        -------
        Mended
            Ids of the points whose results were fetched, are gone, or are not what came.

        Raises
        ------
        LeaseError
            Somebody is buying into the folder.
        """
        self._idle("mend")
        client = self._connected(lab)._client
        with self._held() as (journal, _):
            return engine().run(mend, client, journal, self._store())

    def clear(self, *, dry_run: bool = False) -> Cleared:
        """Remove files in the folder that no point uses, such as downloads that were cut off.

        Parameters
        ----------
        dry_run : bool, default False
            Only count them.

        Returns
        -------
        Cleared
            How many files, and how large.

        Raises
        ------
        LeaseError
            Somebody is buying into the folder.
        """
        self._idle("clear")
        with self._held() as (journal, _):
            waiting = {
                path.relative_to(self.folder).as_posix()
                for _, path in arrivals(journal, self._store())
            }
            return clear_files(self.folder, self._used() | waiting, dry_run=dry_run)

    # -- inside --------------------------------------------------------------------------------

    def _snapshot(self) -> Snapshot:
        now = self._journal.tally()
        cost = nan if now.unpriced else now.cost
        in_doubt = now.by_status.get("in_doubt", 0)
        return Snapshot(
            now.total, now.done, now.failed, now.running, cost, in_doubt, self.paused_because
        )
