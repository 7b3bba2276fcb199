"""Run: one execution of a sweep, seen from the notebook while it goes on and afterwards.

What belongs here: reading the journal as DataFrames, waiting, stopping, and showing. Buying is the
runner's, on the engine's thread, and holding the run is :mod:`decart_lab.lab.going`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING, Any, Final, Literal

from .._engine import engine
from ..contract.states import PointStatus
from ..display.html import plural
from ..display.progress import Snapshot, watch
from ..errors import InvalidInputError, LeaseError
from ..sweep.arrivals import arrivals, take_arrivals
from ..sweep.journal import Journal, Lease
from ..sweep.lock import read_lock
from ..sweep.pack import Cleared
from ..sweep.pack import clear as clear_files
from ..sweep.plan import Point
from ..sweep.settings import REFUSALS, Settings
from ..sweep.spending import check_budget
from ..sweep.store import Store
from .going import Going, StopMode, hold
from .record import Record
from .settling import abandon, check_spend

if TYPE_CHECKING:
    from ..widgets.runtable import RunTable
    from .lab import Lab

UNDER_WAY: Final = frozenset({PointStatus.PENDING, PointStatus.PROCESSING})
RETRIED: Final = ("failed", "rejected", "lost", "cancelled", "skipped_budget")
GRACE_S: Final = 2.0
"""How long an interrupt waits for requests that are on their way to be answered."""

LOOK_S: Final = 0.2
"""How often the journal of a run that another kernel holds is looked at."""


class Run(Record):
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

    def __init__(self, journal: Journal, lab: Lab | None = None) -> None:
        super().__init__(journal)
        self._lab = lab
        self._going: Going | None = None
        self._collecting = False

    # -- looking -------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether nothing is being bought or collected any more, here or in another kernel."""
        if self._going is not None:
            return self._going.finished
        return self._journal.holder() is None

    @property
    def running_here(self) -> bool:
        """Whether this kernel buys or collects it at the moment."""
        return self._going is not None and not self._going.finished

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

    def _wait(self, timeout_s: float | None) -> bool:
        if self._going is not None:
            return self._going.wait(timeout_s)
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.finished:
            left = LOOK_S if until is None else min(LOOK_S, until - time.monotonic())
            if left <= 0:
                return False
            time.sleep(left)
        return True

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
        wanted = {PointStatus.PLANNED, PointStatus.SUBMITTING, *UNDER_WAY}
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

    def _store(self) -> Store:
        return Store(self.folder, self.folder.parent)

    def _has_arrivals(self) -> bool:
        return any(True for _ in arrivals(self._journal, self._store()))

    def _points(self, ids: Sequence[str]) -> list[Point]:
        return read_lock(self.folder).points(ids) if ids else []

    def _go_on(
        self,
        points: Sequence[Point],
        settings: Settings | None = None,
        *,
        lab: Lab | None = None,
        budget: float | None = None,
        new: bool = False,
        again: bool = False,
        client: Any = None,
    ) -> bool:
        """Take the lease and buy points; return whether this kernel has the run now.

        Parameters
        ----------
        points : sequence of Point
            What is bought, or collected where it is under way.
        settings : Settings, optional
            How; as the run was begun by default.
        budget : float, optional
            A new cap.
        new : bool
            Take nothing over from other runs.
        again : bool
            Buy the points although they have ended.
        client : DecartClient, optional
            What buys instead of the lab's client.
        """
        lab = self._connected(lab)
        going = hold(
            self.folder,
            client or lab._client,
            points,
            settings or self._settings(),
            budget=budget,
            new=new,
            again=again,
        )
        if going is None:
            print(f"Another kernel is buying this run: {self.holder}. It is followed here.")
            return False
        self._going, self._collecting = going, False
        going.start()
        return True

    def _make_way(self) -> bool:
        """End what goes on here without buying; False when what goes on here buys, or does now."""
        going = self._going
        if going is None or going.finished:
            return True
        if not (self._collecting or going.stopped):
            going.resume()
            return False
        # What is on its way is waited for: cut off, it would be in doubt.
        while self._ids({PointStatus.SUBMITTING}) and not going.wait(0.05):
            pass
        going.stop("detach")
        going.wait()
        return True

    def _collect(self) -> None:
        """Collect what is paid for, where there is a connection to do so; buy nothing."""
        try:
            self._collecting = self._go_on(self._points(self._ids(UNDER_WAY)))
        except InvalidInputError as error:
            print(f"Opened for reading: {error}")

    def _connected(self, lab: Lab | None) -> Lab:
        """Return the lab to buy at, which must be connected to the run's own service."""
        from .connect import current_lab

        lab = lab or self._lab or current_lab()
        lab._open()
        service = self._journal.meta.get("service")
        if lab.service != service:
            raise InvalidInputError(
                f"Run {self.run_id} was begun at {str(service)[:80]!r}, and this Lab is connected "
                f"to {lab.service!r}.",
                field="lab",
                hint="Connect to the same service, or run the sweep again here.",
            )
        self._lab = lab
        return lab

    def _settings(self) -> Settings:
        meta = self._journal.meta
        return Settings(
            concurrency=meta["concurrency"],
            image_route=meta["image_route"],
            refusals=meta.get("refusals", REFUSALS),
        )

    @contextmanager
    def _held(self) -> Iterator[tuple[Journal, Lease]]:
        """Hold the run for a moment, without buying."""
        journal = Journal.open(self.folder)
        try:
            lease = journal.acquire()
            if lease is None:
                raise LeaseError(
                    f"Run {self.run_id} is being bought by {self.holder}.",
                    hint="Do it there, or after that kernel has ended.",
                )
            try:
                yield journal, lease
            finally:
                journal.release(lease)
        finally:
            journal.close()

    def _idle(self, what: str) -> None:
        if self.running_here:
            raise LeaseError(
                f"Run {self.run_id} is still going on here, so {what} has to wait.",
                hint="Call run.wait(), or run.stop() and run.wait().",
            )
