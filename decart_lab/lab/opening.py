"""Opening runs: a new one, the one an equal sweep began, or one by its folder.

What belongs here: deciding whether a sweep attaches or begins, taking the lease, and which points
are bought. Looking and waiting are :mod:`decart_lab.lab.run`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from .. import config
from .._clock import RealClock
from ..contract.states import PointStatus
from ..display.html import plural
from ..sweep.identity import new_run_id, sweep_id
from ..sweep.journal import Journal
from ..sweep.lock import lock_content
from ..sweep.plan import Plan, Point
from ..sweep.settings import Settings
from ..sweep.spending import cost_of, guard
from ..sweep.store import Store
from . import folders
from .keeping import UNDER_WAY
from .run import Run
from .runs import locate, runs_of
from .taking import owned_points

if TYPE_CHECKING:
    from .lab import Lab

_open: WeakValueDictionary[Path, Run] = WeakValueDictionary()
"""Runs of this kernel by folder: one that is being bought is not opened a second time."""


_TO_BUY: Final = frozenset({PointStatus.PLANNED, PointStatus.SKIPPED_BUDGET})


@dataclass(frozen=True, slots=True)
class Terms:
    """How a sweep is bought.

    Attributes
    ----------
    settings : Settings
        The runner's: concurrency and route.
    budget : float or None
        Cap in USD, for the whole run.
    new : bool
        Buy again what is owned.
    allow_unpriced : bool
        Buy points whose price is not known.
    single : bool
        One thing that was asked for by itself: nothing is guarded, and nothing said of attaching.
    client : DecartClient, optional
        What buys instead of the lab's client.
    """

    settings: Settings
    budget: float | None = None
    new: bool = False
    allow_unpriced: bool = False
    single: bool = False
    client: Any = None


def begin(lab: Lab, plan: Plan, terms: Terms) -> Run:
    """Attach to the run of an equal sweep, or begin one; either way buy what is left to buy.

    Raises
    ------
    BudgetError
        It may cost more than is spent unasked; nothing was bought.
    StoreError
        The folder cannot be written.
    """
    root = lab.runs_root
    points = [point for point in plan.points if point.problem != "excluded"]
    sweep = sweep_id(plan.service, (point.point_id for point in points))
    with _one_at_a_time(root):
        found = None if terms.new else next(runs_of(root, sweep), None)
        if found is None:
            _check(plan, terms, set() if terms.new else owned_points(root, plan))
            folder = _create(lab, plan, points, sweep, terms)
    if found is not None:
        return _attach(look_at(found, lab), plan, terms)
    run = look_at(folder, lab)
    lab.last_run = run
    with _interruptible(run):
        run._go_on(plan.runnable, terms.settings, new=terms.new, client=terms.client)
    return run


def _attach(run: Run, plan: Plan, terms: Terms) -> Run:
    """Buy what is left of a run that an equal sweep began."""
    assert run._lab is not None
    run._lab.last_run = run
    left = set(run._ids(_TO_BUY if terms.budget is not None else {PointStatus.PLANNED}))
    if not terms.single:
        count = plural(len(plan.runnable), "point")
        print(f"Attached to run {run.run_id}: {count}, {len(left):,} to buy.")
    if not run._make_way():
        return run
    left = set(run._ids(_TO_BUY if terms.budget is not None else {PointStatus.PLANNED}))
    # what a dead kernel was submitting is to be put in doubt, even if nothing else is left
    under_way = set(run._ids({*UNDER_WAY, PointStatus.SUBMITTING}))
    if left or under_way:
        _check(plan, terms, {point.point_id for point in plan.points} - left)
        wanted = [point for point in plan.runnable if point.point_id in left | under_way]
        with _interruptible(run):
            run._go_on(wanted, terms.settings, budget=terms.budget, client=terms.client)
    return run


def look_at(folder: Path, lab: Lab | None = None) -> Run:
    """Open a run without going on with it: nothing is written and nothing is bought."""
    run = _open.get(folder)
    if run is None:
        run = Run(Journal.open(folder, readonly=True), lab)
        _open[folder] = run
        folders.remember(run.run_id, folder)
    elif lab is not None:
        run._lab = lab
    return run


def open_run(run: str | Path, *, lab: Lab | None = None) -> Run:
    """Open a run by its folder or id, and collect what is under way at the service.

    Nothing is bought: ``run.resume()`` does that. A run that another kernel is buying is opened
    for reading, and follows it.

    Parameters
    ----------
    run : str or Path
        Its folder, or its id under the runs root.
    lab : Lab, optional
        Where to collect; by default the lab connected last, else a new connection, if it is one to
        the service that the run was begun at.

    Returns
    -------
    Run
        With ``df`` at once.

    Raises
    ------
    StoreError
        There is no such run, or its journal cannot be read; nothing was changed.

    Examples
    --------
    >>> open_run("no_such_run")
    Traceback (most recent call last):
    ...
    decart_lab.errors.StoreError: There is no run at 'no_such_run'. ...
    """
    root = lab.runs_root if lab is not None else config.runs_root().absolute()
    found = look_at(locate(run, root), lab)
    if found.running_here:
        return found
    if found.holder:
        print(f"Opened for reading: {found.holder} is buying it.")
        found._follow(found._collect)
    elif found._ids({*UNDER_WAY, PointStatus.SUBMITTING}) or found._has_arrivals():
        found._collect()
    return found


def _check(plan: Plan, terms: Terms, owned: Collection[str]) -> None:
    if terms.single:
        return
    guard(
        cost_of(plan, owned),
        service=plan.service,
        budget=terms.budget,
        allow_unpriced=terms.allow_unpriced,
        confirm_usd=config.confirm_usd(),
    )


def _create(lab: Lab, plan: Plan, points: list[Point], sweep: str, terms: Terms) -> Path:
    clock = RealClock()
    now = clock.utc()
    run_id = new_run_id(now, sweep)
    store = Store(lab.runs_root / run_id, lab.runs_root)
    store.create()
    settings = {
        "budget": terms.budget,
        "concurrency": terms.settings.concurrency,
        "image_route": terms.settings.image_route,
        "refusals": terms.settings.refusals,
    }
    store.write_lock(
        lock_content(
            plan, run_id=run_id, sweep=sweep, now=now, version=config.version(), settings=settings
        )
    )
    meta = {
        "run_id": run_id,
        "sweep_id": sweep,
        "service": plan.service,
        "created_at": now.isoformat(),
        **settings,
    }
    rows = (_row(point, run_id) for point in points)
    Journal.create(store.folder, meta, rows, plan.columns, budget=terms.budget, clock=clock).close()
    return store.folder


def _row(point: Point, run_id: str) -> dict[str, Any]:
    row = {**point.row(), "run_id": run_id, "status": PointStatus.PLANNED}
    if point.problem:
        row |= {
            "status": PointStatus.INVALID,
            "error_phase": "prepare",
            "error_type": "InvalidInputError",
            "error_message": point.reason[:500],
        }
    return row


@contextmanager
def _interruptible(run: Run) -> Iterator[None]:
    """Have an interrupt stop a run that has just begun, before anybody waits for it."""
    try:
        yield
    except KeyboardInterrupt:
        run._interrupted()
        raise


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    """Let one kernel of this machine at a time look for an equal sweep and begin it.

    Where the system has no such lock, the claims of the index alone keep two from buying twice.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
