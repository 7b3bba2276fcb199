"""Sweep: the definition of a grid, as the notebook holds it, with its plan and its runs.

What belongs here: the immutable face over :class:`decart_lab.sweep.grid.Grid`, and starting a run.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from math import isnan
from typing import TYPE_CHECKING, Any, Final, Literal

from .. import config
from .._engine import engine
from ..contract.models import REGISTRY, ModelSpec, resolve_model
from ..errors import DecartSDKError, GridError, InvalidInputError
from ..sweep.grid import Grid
from ..sweep.inputs import Input
from ..sweep.plan import Plan, build_plan
from ..sweep.settings import CONCURRENCY, REFUSALS, ImageRoute, Settings
from ..sweep.spending import Cost, check_budget, cost_of, price_range
from .opening import Terms, begin
from .run import Run
from .taking import owned_points

if TYPE_CHECKING:
    import pandas as pd

    from .lab import Lab

OnInvalid = Literal["refuse", "row"]
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
        self._cost: Cost | None = None

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
            model that does not take the input, "invalid" for anything else), ``reason``,
            ``cost_estimate`` in USD, missing where the price is unknown, ``cost_low`` and
            ``cost_high``, between which it lies, and ``owned``: whether its result is there
            already and costs nothing. URL inputs are not fetched, so what they are is only checked
            by a run. ``print(sweep)`` then sums it up, and says how much may be on its way at one
            moment.

        Raises
        ------
        GridError
            More than 100,000 points.
        """
        service = self._lab.service if self._lab is not None else _likely_service()
        root = self._lab.runs_root if self._lab is not None else config.runs_root().absolute()
        plan = build_plan(self._grid, service=service, held=self._held)
        owned = owned_points(root, plan)
        self._planned, self._cost = plan, cost_of(plan, owned)
        frame = plan.frame()
        ranges = [price_range(point) for point in plan.points]
        for name, at in (("cost_low", 0), ("cost_high", 2)):
            frame[name] = [None if isnan(prices[at]) else prices[at] for prices in ranges]
            frame[name] = frame[name].astype("Float64")
        frame["owned"] = [point.point_id in owned for point in plan.points]
        frame["owned"] = frame["owned"].astype("boolean")
        return frame

    def run(
        self,
        *,
        budget: float | None = None,
        lab: Lab | None = None,
        concurrency: int = CONCURRENCY,
        new: bool = False,
        allow_unpriced: bool = False,
        image_route: ImageRoute = "direct",
        on_invalid: OnInvalid = "refuse",
        refusals: int = REFUSALS,
    ) -> Run:
        """Buy the points, showing progress, and return when all have ended. This buys.

        An equal sweep attaches to the run it began before, and buys only what is left of it; what
        other runs own is taken over at no cost. Ctrl-C stops buying and keeps what is paid;
        ``lab.last_run`` then has the run.

        Parameters
        ----------
        budget : float, optional
            Cap in USD, exact: what it does not cover is not bought, and has the status
            "skipped_budget". Without it, a run that may cost more than ``DECART_LAB_CONFIRM_USD``
            at the hosted API is refused.
        lab : Lab, optional
            Where to buy; by default the lab that made the sweep, else the one connected last,
            else a new connection.
        concurrency : int, default 8
            Points being bought at the same time.
        new : bool, default False
            Buy everything again, whatever is owned.
        allow_unpriced : bool, default False
            Buy points whose price is not known at the hosted API, or besides a budget.
        image_route : {"direct", "queue"}
            Pictures are answered at once by default; as jobs they can be collected by their id.
        on_invalid : {"refuse", "row"}
            What to do when points are not valid: buy nothing, or buy the others and give these
            rows of status "invalid".
        refusals : int, default 3
            After so many points in a row that the service refused in the same words the run
            pauses, since all others may be refused as well; 0 for never. Moderation, which judges
            each prompt and picture, does not count.

        Returns
        -------
        Run
            Finished. Points that failed are rows of ``run.df``, not exceptions.

        Raises
        ------
        GridError
            Points are not valid, or none can be bought; nothing was bought.
        BudgetError
            It may cost more than is spent unasked; the message names the figure to pass.
        """
        run = self.start(
            budget=budget,
            lab=lab,
            concurrency=concurrency,
            new=new,
            allow_unpriced=allow_unpriced,
            image_route=image_route,
            on_invalid=on_invalid,
            refusals=refusals,
        )
        return run.progress()

    def start(
        self,
        *,
        budget: float | None = None,
        lab: Lab | None = None,
        concurrency: int = CONCURRENCY,
        new: bool = False,
        allow_unpriced: bool = False,
        image_route: ImageRoute = "direct",
        on_invalid: OnInvalid = "refuse",
        refusals: int = REFUSALS,
    ) -> Run:
        """Begin to buy the points and return at once; parameters as for :meth:`run`. This buys.

        Returns
        -------
        Run
            With ``df`` at any time, ``wait()``, ``watch()``, ``stop()``, and ``await run``.
        """
        settings = Settings(concurrency=concurrency, image_route=image_route, refusals=refusals)
        budget = check_budget(budget)
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
        self._planned, self._cost = plan, None
        return begin(lab, plan, Terms(settings, budget, new, allow_unpriced))

    # -- inside --------------------------------------------------------------------------------

    def _with(self, grid: Grid) -> Sweep:
        new = object.__new__(Sweep)
        new._grid, new._lab, new._held = grid, self._lab, self._held
        new._planned = new._cost = None
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
        if self._planned is None:
            return text
        cost = self._cost or cost_of(self._planned)
        return f"{text}\n{self._planned.summary(cost)}"


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
    from .connect import current_lab

    return current_lab()
