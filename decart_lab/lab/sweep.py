"""Sweep: the definition of a grid, as the notebook holds it, with its plan and its runs.

What belongs here: the immutable face over :class:`decart_lab.sweep.grid.Grid`, and starting a run.
"""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Callable
from math import isnan
from typing import TYPE_CHECKING, Any, Final, Literal

from .. import config
from .._clock import RealClock
from .._engine import engine
from ..contract.models import REGISTRY, ModelSpec, resolve_model
from ..contract.prices import PRICE_VERSION
from ..contract.states import PointStatus
from ..errors import DecartSDKError, GridError, InvalidInputError
from ..sweep._memory import Journal
from ..sweep.engine import CONCURRENCY, Runner, check_limits
from ..sweep.grid import Grid
from ..sweep.identity import new_run_id
from ..sweep.inputs import Input
from ..sweep.plan import Plan, Point, build_plan
from ..sweep.routes import ImageRoute
from ..sweep.store import Store
from . import folders
from .run import Run

if TYPE_CHECKING:
    import pandas as pd

    from .lab import Lab

OnInvalid = Literal["refuse", "row"]
LOCK_VERSION: Final = 1
_PACKAGE: Final = __name__.partition(".")[0] + "."


class Sweep:
    """A grid of points to buy: models, prompts, inputs, seeds and any other field.

    Immutable: every method that changes the grid returns a new sweep. Nothing is sent before
    ``run()`` or ``start()``.

    Parameters
    ----------
    **keywords
        ``model`` and the fields of the models. A list, tuple or range is an axis, anything else
        the same at every point; ``prompt`` also takes :func:`decart_lab.template`. Their order is
        the order in which they are displayed, the last moving fastest.

    Raises
    ------
    GridError
        An axis without values or with the same value twice, a name that is taken, or no model.

    Examples
    --------
    >>> sweep = Sweep(model="lucy-image-2", prompt=["ink", "clay"], data="cat.png", seed=[1, 2])
    >>> len(sweep), len(sweep.where("seed == 1")), len(sweep.repeat(3))
    (4, 2, 12)
    """

    def __init__(self, **keywords: Any) -> None:
        if keywords.get("model") is None:
            raise GridError(
                "A sweep needs a model.",
                field="model",
                hint='Pass model="lucy-image-2", or a list of models.',
            )
        self._grid = Grid.of(**keywords)
        _warn_of_legacy(_models(self._grid))
        self._lab: Lab | None = None
        self._held: dict[object, Input] = {}
        self._planned: Plan | None = None

    # -- the algebra ---------------------------------------------------------------------------

    def linked(self, *names: str) -> Sweep:
        """Return the sweep with these axes moving together, as ``zip`` does, not crossed.

        Raises
        ------
        GridError
            Not axes, or of different lengths.
        """
        return self._with(self._grid.linked(*names))

    def when(self, **keywords: Any) -> Sweep:
        """Return the sweep with axes that exist only where other axes have certain values.

        Parameters
        ----------
        **keywords
            Names the sweep has are the conditions; new names are axes to add where they hold, for
            example ``.when(model="lucy-2.5", self_anchor=[True, False])``.

        Raises
        ------
        GridError
            No condition, nothing to add, or a condition that no point meets.
        """
        return self._with(self._grid.when(**keywords))

    def where(self, condition: str | Callable[..., Any]) -> Sweep:
        """Return the sweep with only the points that meet a condition.

        Parameters
        ----------
        condition : str or callable
            ``"not (style == 'neon' and seed == 0)"``, or a function with parameters named as the
            axes it looks at: ``lambda style, seed: ...``. A function with one parameter of another
            name gets a dict of all values.

        Raises
        ------
        GridError
            An expression that is not names, literals, comparisons, and/or/not/in.
        """
        return self._with(self._grid.where(condition))

    def sample(self, n: int, seed: int = 0) -> Sweep:
        """Return the sweep with ``n`` of its points, the same ones for the same ``seed``."""
        return self._with(self._grid.sample(n, seed))

    def repeat(self, n: int) -> Sweep:
        """Return the sweep with every point bought ``n`` times, as replicates."""
        return self._with(self._grid.repeat(n))

    def count(self) -> int:
        """Return the number of points; without visiting all, where filters name their axes.

        Raises
        ------
        GridError
            Filters share so many values that only bounds can be told; ``print(sweep)`` shows them.
        """
        return self._grid.count()

    def __len__(self) -> int:
        return len(self._grid)

    # -- planning and running ------------------------------------------------------------------

    def plan(self) -> pd.DataFrame:
        """Check, name and price every point without any request.

        Returns
        -------
        pandas.DataFrame
            One row per point, index ``point_id``: axes, ``valid``, ``problem`` ("excluded" for a
            model that does not take the input, "invalid" for anything else), ``reason``, and
            ``cost_estimate`` in USD, missing where the price is unknown. URL inputs are not
            fetched, so what they are is only checked by a run. ``print(sweep)`` then sums it up.

        Raises
        ------
        GridError
            More than 100,000 points.
        """
        service = self._lab.service if self._lab is not None else _likely_service()
        self._planned = build_plan(self._grid, service=service, held=self._held)
        return self._planned.frame()

    def run(
        self,
        *,
        lab: Lab | None = None,
        concurrency: int = CONCURRENCY,
        image_route: ImageRoute = "direct",
        on_invalid: OnInvalid = "refuse",
    ) -> Run:
        """Buy the points, showing progress, and return when all have ended. This buys.

        Ctrl-C stops buying and keeps what is paid; ``lab.last_run`` then has the run.

        Parameters
        ----------
        lab : Lab, optional
            Where to buy; by default the lab that made the sweep, else the one connected last,
            else a new connection.
        concurrency : int, default 8
            Points being bought at the same time.
        image_route : {"direct", "queue"}
            Pictures are answered at once by default; as jobs they can be collected by their id.
        on_invalid : {"refuse", "row"}
            What to do when points are not valid: buy nothing, or buy the others and give these
            rows of status "invalid".

        Returns
        -------
        Run
            Finished. Points that failed are rows of ``run.df``, not exceptions.

        Raises
        ------
        GridError
            Points are not valid, or none can be bought; nothing was bought.
        """
        run = self.start(
            lab=lab, concurrency=concurrency, image_route=image_route, on_invalid=on_invalid
        )
        return run.watch()

    def start(
        self,
        *,
        lab: Lab | None = None,
        concurrency: int = CONCURRENCY,
        image_route: ImageRoute = "direct",
        on_invalid: OnInvalid = "refuse",
    ) -> Run:
        """Begin to buy the points and return at once; parameters as for :meth:`run`. This buys.

        Returns
        -------
        Run
            With ``df`` at any time, ``wait()``, ``watch()``, ``stop()``, and ``await run``.
        """
        check_limits(concurrency, image_route)
        if on_invalid not in ("refuse", "row"):
            raise InvalidInputError(
                f'on_invalid must be "refuse" or "row", not {on_invalid!r:.60}.',
                field="on_invalid",
            )
        lab = lab or self._lab or _current_lab()
        lab._open()
        plan = build_plan(
            self._grid,
            service=lab.service,
            resolved=_resolve_aliases(lab, self._grid),
            fetch=lab._fetch,
            held=self._held,
        )
        plan.check(allow_invalid=on_invalid == "row")
        self._planned = plan
        return _begin(lab, plan, concurrency, image_route)

    # -- inside --------------------------------------------------------------------------------

    def _with(self, grid: Grid) -> Sweep:
        new = object.__new__(Sweep)
        new._grid, new._lab, new._held, new._planned = grid, self._lab, self._held, None
        return new

    def _bound_to(self, lab: Lab) -> Sweep:
        new = self._with(self._grid)
        new._lab = lab
        return new

    def __repr__(self) -> str:
        axes = " x ".join(f"{name} ({len(values)})" for name, values in self._grid.axes.items())
        try:
            size = f"{self._grid.bounds()} points"
        except GridError:  # from the user's filter; printing is not the moment to say so
            size = "filtered"
        text = f"<Sweep: {axes or 'one point'}; {size}>"
        return f"{text}\n{self._planned.summary()}" if self._planned else text


def _begin(lab: Lab, plan: Plan, concurrency: int, image_route: ImageRoute) -> Run:
    clock = RealClock()
    now = clock.utc()
    run_id = new_run_id(now)
    store = Store(lab.runs / run_id, lab.runs)
    store.create()
    store.write_lock(
        {
            "lock_version": LOCK_VERSION,
            "run_id": run_id,
            "created_at": now.isoformat(),
            "service": plan.service,
            "image_route": image_route,
            "versions": {"decart_lab": config.version(), "python": platform.python_version()},
            "price_version": PRICE_VERSION,
            "points": [_locked(point) for point in plan.points if point.problem != "excluded"],
        }
    )
    folders.remember(run_id, store.folder)
    journal = Journal()
    journal.plan((_row(point, run_id) for point in plan.points if point.problem != "excluded"), now)
    runner = Runner(
        lab._client, plan, journal, store, concurrency=concurrency, image_route=image_route
    )
    run = Run(run_id, store.folder, plan, journal, runner)
    lab.last_run = run
    return run


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


def _locked(point: Point) -> dict[str, Any]:
    return {
        "point_id": point.point_id,
        "request_key": point.request_key,
        "replicate": point.replicate,
        "model": point.model,
        "model_resolved": point.spec.canonical if point.spec else None,
        "fields": dict(point.fields),
        "inputs": {name: item.sha256 for name, item in point.files.items()},
        "cost_estimate": None if isnan(point.cost_estimate) else point.cost_estimate,
        "problem": point.reason or None,
    }


def _resolve_aliases(lab: Lab, grid: Grid) -> dict[str, str]:
    """Ask the service which models the aliases of a grid stand for; the registry knows the rest."""
    asked = {value.name if isinstance(value, ModelSpec) else value for value in _models(grid)}
    rows = [row for row in REGISTRY.values() if row.name in asked and row.resolves_to]
    aliases = sorted({row.name for row in rows})
    if not aliases:
        return {}
    try:
        return engine().run(lab._client.models.resolve, aliases)
    except DecartSDKError:
        return {}  # what the registry last saw is good enough to be named in a table


def _models(grid: Grid) -> tuple[Any, ...]:
    return next(f.values("model") for f in grid.factors if "model" in f.names)


def _warn_of_legacy(values: tuple[Any, ...]) -> None:
    """Warn of legacy names at the user's own line, which is where Python shows such warnings."""
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame, depth = frame.f_back, depth + 1
    for value in values:
        with contextlib.suppress(DecartSDKError):  # the plan says what is wrong with it
            # one frame more than counted: resolve_model's own
            resolve_model(value, "image", "video", stacklevel=depth + 2)


def _likely_service() -> str:
    """Whom a sweep without a lab would be run at: the lab connected last, else by the key."""
    from .connect import last_lab

    lab = last_lab()
    if lab is not None:
        return lab.service
    return "decart" if config.resolve_api_key(None) else "emulator"


def _current_lab() -> Lab:
    from .connect import connect, last_lab

    return last_lab() or connect()
