"""Keeping a run: taking it, giving it back, and looking on while another kernel has it.

What belongs here: which kernel goes on with a run, and what is done when the one that had it dies.
What a notebook asks of a run is :mod:`decart_lab.lab.run`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ..contract.states import PointStatus
from ..errors import InvalidInputError, LeaseError
from ..sweep.arrivals import arrivals
from ..sweep.journal import Journal, Lease
from ..sweep.lock import read_lock
from ..sweep.plan import Point
from ..sweep.settings import REFUSALS, Settings
from ..sweep.store import Store
from .going import Going, hold
from .record import Record

if TYPE_CHECKING:
    from .lab import Lab

UNDER_WAY: Final = frozenset({PointStatus.PENDING, PointStatus.PROCESSING})
TO_BUY: Final = frozenset({PointStatus.PLANNED, PointStatus.SUBMITTING, *UNDER_WAY})
LOOK_S: Final = 0.2
"""How often the journal of a run that another kernel holds is looked at."""


class Kept(Record):
    """A run that this kernel may have, or another.

    Parameters
    ----------
    journal : Journal
        Opened for reading.
    lab : Lab, optional
        Where it is bought.
    """

    def __init__(self, journal: Journal, lab: Lab | None = None) -> None:
        super().__init__(journal)
        self._lab = lab
        self._going: Going | None = None
        self._collecting = False
        self._when_left: Callable[[], object] | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is being bought or collected any more, here or in another kernel."""
        if self._going is not None:
            return self._going.finished
        return self._journal.holder() is None or self._journal.abandoned()

    @property
    def running_here(self) -> bool:
        """Whether this kernel buys or collects it at the moment."""
        return self._going is not None and not self._going.finished

    # -- another kernel's --------------------------------------------------------------------

    def _wait(self, timeout_s: float | None) -> bool:
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while self._going is None:
            if self._when_left is not None and self._journal.abandoned():
                self._take_up()
                continue
            if self.finished:
                return True
            left = LOOK_S if until is None else min(LOOK_S, until - time.monotonic())
            if left <= 0:
                return False
            time.sleep(left)
        return self._going.wait(None if until is None else max(0.0, until - time.monotonic()))

    def _take_up(self) -> None:
        """Go on with a run whose kernel died, as it was asked for when that kernel had it."""
        take_up, self._when_left = self._when_left, None
        assert take_up is not None
        print(f"The kernel that had run {self.run_id} has died; the run goes on here.")
        take_up()

    # -- taking and giving back --------------------------------------------------------------

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

            def go_on() -> bool:
                wanted = TO_BUY if budget is None else TO_BUY | {PointStatus.SKIPPED_BUDGET}
                left = self._points(self._ids(wanted))
                return self._go_on(left, settings, lab=lab, budget=budget, new=new, client=client)

            self._follow(go_on)
            return False
        self._going, self._collecting, self._when_left = going, False, None
        going.start()
        return True

    def _follow(self, when_left: Callable[[], object]) -> None:
        """Look on while another kernel has the run; say what is to be done should it die."""
        self._going, self._when_left = None, when_left

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
            if not self._collecting:
                self._follow(self._collect)
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
