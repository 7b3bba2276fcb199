"""The plan of a sweep: every point of its grid checked, named and priced before any request.

Points come from the grid; what each would send is validated against the model's schema, every
distinct input is opened, probed and hashed once, and nothing goes over the network unless the
caller hands in a way to fetch URLs. Buying is the engine's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from math import nan
from typing import TYPE_CHECKING, Any, Final, Literal

from ..contract.models import ModelSpec, resolve_model
from ..contract.prices import CURRENCY, PRICE_VERSION
from ..contract.requests import FILE_FIELDS, file_kinds, validate
from ..errors import DecartSDKError, GridError
from .axes import STANDS_IN, value_key
from .drawing import COUNTABLE
from .grid import Grid, GridPoint
from .identity import canonical_json, point_id, request_key
from .inputs import Input, open_inputs
from .pricing import estimate
from .table import Dtype, label

if TYPE_CHECKING:
    import pandas as pd

    from .spending import Cost

MAX_POINTS: Final = 100_000
"""More are not planned at once: their table alone would weigh on the kernel."""

Problem = Literal["", "excluded", "invalid"]


@dataclass(frozen=True, slots=True)
class Point:
    """One point, ready to be bought or with the reason why not.

    Attributes
    ----------
    point_id, request_key : str
        See :mod:`decart_lab.sweep.identity`.
    replicate : int
        Which of the repeated buys.
    axes : dict
        Values of the axis columns.
    values : dict
        Every keyword and template variable.
    template : str or None
        The prompt's template.
    spec : ModelSpec or None
        The model's row; None when there is no such model.
    fields : dict
        What is sent besides files.
    files : dict of str to Input
        What is sent as files.
    problem : {"", "excluded", "invalid"}
        Excluded pairs of model and input are left out of the run; invalid points stop it.
    reason : str
        Why, as a sentence.
    cost_estimate : float
        USD, NaN when unknown.
    twin_of : str or None
        The earlier point with the same request and replicate, whose result this one shows.
    """

    point_id: str
    request_key: str
    replicate: int
    axes: Mapping[str, Any]
    values: Mapping[str, Any]
    template: str | None = None
    spec: ModelSpec | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Input] = field(default_factory=dict)
    problem: Problem = ""
    reason: str = ""
    cost_estimate: float = nan
    twin_of: str | None = None

    @property
    def model(self) -> str:
        """The model as it was asked for."""
        return self.spec.name if self.spec else str(label(self.values.get("model")))

    def row(self) -> dict[str, Any]:
        """Return the point's columns of the table that are known before it is bought."""
        seed = self.values.get("seed")
        found: dict[str, Any] = {
            "point_id": self.point_id,
            **self.axes,
            "model": self.model,
            "model_resolved": self.spec.canonical if self.spec else None,
            "kind": self.spec.kind if self.spec else None,
            "request_key": self.request_key,
            "prompt": self.values.get("prompt"),
            "template": self.template,
            "params": canonical_json(self.fields),
            "price_version": PRICE_VERSION,
            "replicate": self.replicate,
            "seed": seed if type(seed) is int and abs(seed) < 2**63 else None,
            "cost_estimate": self.cost_estimate,
            "currency": CURRENCY,
        }
        for name, column in STANDS_IN.items():
            if name in self.files:
                found[column] = self.files[name].label
                found[f"{column}_sha256"] = self.files[name].sha256
        return found


@dataclass(frozen=True)
class Plan:
    """Every point of a sweep.

    Attributes
    ----------
    points : tuple of Point
        In grid order.
    columns : dict of str to dtype
        The axis columns of the table.
    service : str
        Whom the keys are for.
    """

    points: tuple[Point, ...]
    columns: Mapping[str, Dtype]
    service: str

    @cached_property
    def runnable(self) -> tuple[Point, ...]:
        """The points that can be bought."""
        return tuple(point for point in self.points if not point.problem)

    def with_problem(self, problem: Problem) -> tuple[Point, ...]:
        """Return the points with that problem."""
        return tuple(point for point in self.points if point.problem == problem)

    def check(self, *, allow_invalid: bool = False) -> None:
        """Refuse a plan that should not be run.

        Raises
        ------
        GridError
            Invalid points (unless allowed), or no point that can be bought.
        """
        invalid = self.with_problem("invalid")
        if invalid and not allow_invalid:
            raise GridError(
                f"{len(invalid)} of {len(self.points)} points are not valid, so nothing was "
                f"bought: {_first_reasons(invalid)}",
                hint='Look at plan(), or pass on_invalid="row" to run the others.',
            )
        if not self.runnable:
            raise GridError(
                f"None of the {len(self.points)} points can be bought: "
                f"{_first_reasons(self.points)}",
                hint="Look at plan() for the reason of each.",
            )

    def summary(self, cost: Cost) -> str:
        """Return what a run would buy and may cost, in a few sentences."""
        text = cost.sentence()
        if cost.at_risk >= 0.005:
            text += f" At most ${cost.at_risk:.2f} of it is on its way at one moment."
        if excluded := len(self.with_problem("excluded")):
            text += f" {excluded:,} left out because the model does not take the input."
        if invalid := len(self.with_problem("invalid")):
            text += f" {invalid:,} not valid."
        twins = sum(1 for point in self.runnable if point.twin_of)
        if twins:
            text += f" {twins:,} repeat another point's request and share its result."
        return text

    def frame(self) -> pd.DataFrame:
        """Return the plan as a table: index point_id, the axes, valid, reason, cost_estimate."""
        from .table import plan_frame

        return plan_frame(
            [
                {**p.row(), "valid": not p.problem, "problem": p.problem, "reason": p.reason}
                for p in self.points
            ],
            self.columns,
        )


def build_plan(
    grid: Grid,
    *,
    service: str,
    resolved: Mapping[str, str] | None = None,
    fetch: Callable[[str], Any] | None = None,
    held: dict[object, Input] | None = None,
) -> Plan:
    """Check, name and price every point of a grid; blocking, as it opens the inputs.

    Parameters
    ----------
    grid : Grid
        What to buy.
    service : str
        Whom the request keys are for.
    resolved : mapping of str to str, optional
        Model name to canonical id, as the service says; the registry's knowledge otherwise.
    fetch : callable, optional
        Fetches a URL input; without it such inputs stay unopened.
    held : dict, optional
        Inputs of an earlier plan of the same sweep, see :func:`open_inputs`.

    Raises
    ------
    GridError
        More than 100,000 points.
    """
    drawn = _draw(grid)
    inputs = open_inputs(_inputs_of(drawn), fetch, {} if held is None else held)
    planner = _Planner(grid, service, dict(resolved or {}), inputs)
    return Plan(tuple(planner.plan(point) for point in drawn), grid.columns, service)


def _draw(grid: Grid) -> list[GridPoint]:
    """Draw the points, after as much counting as tells that they are not too many."""
    found = grid.bounds()
    count = found.low if found.exact or found.high <= COUNTABLE else grid.count()
    drawn = list(islice(grid.points(), MAX_POINTS + 1)) if count <= MAX_POINTS else []
    count = max(count, len(drawn))
    if count > MAX_POINTS:
        raise GridError(
            f"The grid has {'' if found.exact else 'at least '}{count:,} points; at most "
            f"{MAX_POINTS:,} are planned at once.",
            hint="Call .sample(n) first, or split the sweep.",
        )
    return drawn


def _inputs_of(points: Iterable[GridPoint]) -> dict[object, tuple[str, Any]]:
    found: dict[object, tuple[str, Any]] = {}
    for point in points:
        for name in FILE_FIELDS:
            value = point.values.get(name)
            if value is not None:
                found.setdefault((name, value_key(value)), (name, value))
    return found


class _Planner:
    """Turns drawn points into planned ones, remembering which requests were seen."""

    def __init__(
        self,
        grid: Grid,
        service: str,
        resolved: Mapping[str, str],
        inputs: Mapping[object, Input],
    ) -> None:
        self._template = grid.prompt.text if grid.prompt else None
        self._columns = tuple(grid.columns)
        self._variables = frozenset(grid.prompt.variables if grid.prompt else ())
        self._service = service
        self._resolved = resolved
        self._inputs = inputs
        self._seen: Counter[tuple[str, int]] = Counter()

    def plan(self, drawn: GridPoint) -> Point:
        """Check one point."""
        options = {
            name: value
            for name, value in drawn.values.items()
            if name != "model" and name not in self._variables and value is not None
        }
        files = {
            name: self._inputs[name, value_key(options[name])]
            for name in FILE_FIELDS
            if name in options
        }
        found: dict[str, Any] = {"files": files, "template": self._template}
        sent: dict[str, str] = {}
        try:
            spec = resolve_model(drawn.values.get("model"), "image", "video")
            canonical = self._resolved.get(spec.name, spec.canonical)
            if canonical != spec.canonical:
                spec = replace(spec, resolves_to=canonical)
            found["spec"] = spec
            found["problem"], found["reason"] = self._check_files(spec, files)
            if not found["problem"]:
                request = validate(spec, options)
                found["fields"], sent = request.fields, request.wire()
                found["cost_estimate"] = estimate(spec, request.fields, _clip_s(files))
        except DecartSDKError as error:
            found |= {"problem": "invalid", "reason": str(error)}
        if found["problem"]:
            # Nothing will be sent; the values as given tell such points apart.
            sent = {name: str(label(value)) for name, value in options.items()}
        model = found["spec"].canonical if "spec" in found else label(drawn.values.get("model"))
        key = request_key(
            self._service,
            str(model),
            sent,
            {name: item.sha256 or item.label for name, item in files.items()},
        )
        twin = self._seen[key, drawn.replicate]
        self._seen[key, drawn.replicate] += 1
        return Point(
            point_id(key, drawn.replicate, twin),
            key,
            drawn.replicate,
            {column: drawn.values.get(column) for column in self._columns},
            drawn.values,
            twin_of=point_id(key, drawn.replicate) if twin else None,
            **found,
        )

    def _check_files(self, spec: ModelSpec, files: Mapping[str, Input]) -> tuple[Problem, str]:
        kinds = file_kinds(spec)
        for name, item in files.items():
            if item.error is not None:
                return "invalid", str(item.error)
            wanted = kinds.get(name, "any")
            if item.kind is None or wanted in ("any", item.kind):
                continue
            words = {"image": "a picture", "video": "a clip"}
            reason = (
                f"{spec.name} takes {words[wanted]} as {name}; {item.label} is {words[item.kind]}."
            )
            return ("excluded" if name == "data" else "invalid"), reason
        seconds = _clip_s(files)
        if spec.max_input_s and seconds and seconds > spec.max_input_s:
            return "invalid", (
                f"{spec.name} takes clips of at most {spec.max_input_s:g} s; "
                f"{files['data'].label} has {seconds:.1f} s."
            )
        return "", ""


def _clip_s(files: Mapping[str, Input]) -> float | None:
    return files["data"].duration_s if "data" in files else None


def _first_reasons(points: Iterable[Point]) -> str:
    reasons = list(dict.fromkeys(point.reason for point in points))
    text = " ".join(f"({number}) {reason}" for number, reason in enumerate(reasons[:3], 1))
    return text + (f" And {len(reasons) - 3} more reasons." if len(reasons) > 3 else "")
