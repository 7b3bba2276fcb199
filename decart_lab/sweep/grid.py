"""The grid of a sweep: an immutable, lazy algebra of axes.

Every operation returns a new grid and enumerates nothing. Filters and samples are kept in the
order they were asked for and applied when points are drawn. Whether a point can be bought, and
what it costs, is the plan's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from typing import Any

from ..errors import GridError
from .axes import FREE_NAMES, STANDS_IN, axis_values, check_name, is_axis, value_key
from .counting import Bounds, Scope
from .drawing import Drawing, Op
from .product import Factor, When
from .table import Dtype, axis_dtype
from .template import Template, check_place, check_prompts
from .where import guarded, parse_where


@dataclass(frozen=True, slots=True)
class GridPoint:
    """One point of a grid.

    Attributes
    ----------
    values : dict
        Every keyword and template variable by name; None where a conditional axis is absent.
    replicate : int
        Which of the repeated buys it is, from 0.
    """

    values: Mapping[str, Any]
    replicate: int


@dataclass(frozen=True)
class Grid:
    """Axes crossed with each other; make one with :meth:`of`.

    Attributes
    ----------
    factors : tuple
        Axes in display order, the last moving fastest.
    whens : tuple
        Axes that exist only under conditions.
    prompt : Template or None
        What the prompt is made from, when it is a template.
    ops : tuple
        Filters and samples, in order.
    replicates : int
        How many times each point is bought.

    Examples
    --------
    >>> grid = Grid.of(model="lucy-image-2", prompt=["ink", "clay"], seed=range(1_000_000))
    >>> grid.count(), len(list(grid.sample(3).points()))
    (2000000, 3)
    """

    factors: tuple[Factor, ...]
    whens: tuple[When, ...] = ()
    prompt: Template | None = None
    ops: tuple[Op, ...] = ()
    replicates: int = 1

    @classmethod
    def of(cls, **keywords: Any) -> Grid:
        """Make a grid: a list, tuple or range is an axis, anything else a constant.

        Raises
        ------
        GridError
            An empty axis, a value twice, a name that is taken, or a prompt with stray braces.
        """
        factors: list[Factor] = []
        prompt: Template | None = None
        for name, value in keywords.items():
            if isinstance(value, Template):
                prompt = check_place(value, name, keywords)
                for variable, choices in prompt.variables.items():
                    check_name(variable)
                    factors.append(_factor(variable, choices))
                continue
            check_name(name)
            constant = not is_axis(name, value)
            values = axis_values(name, value, scalar_ok=True)
            if name == "prompt":
                check_prompts(values)
            factors.append(_factor(name, values, constant=constant))
        return cls(tuple(factors), prompt=prompt)

    @classmethod
    def single(cls, **keywords: Any) -> Grid:
        """Make a grid of one point: every value is a constant, lists and braces included."""
        return cls(
            tuple(_factor(name, (value,), constant=True) for name, value in keywords.items())
        )

    # -- the algebra ---------------------------------------------------------------------------

    def linked(self, *names: str) -> Grid:
        """Return the grid with these axes moving together, as ``zip`` does, instead of crossed.

        Raises
        ------
        GridError
            Fewer than two names, a name that is no axis, axes of different lengths, or a grid
            that was sampled already.
        """
        self._structural("linked")
        if len(set(names)) < 2:
            raise GridError("linked() takes the names of two or more axes.", field="linked")
        for name in names:
            self._axis_factor(name)
        joined = [f for f in self.factors if set(f.names) & set(names)]
        lengths = {"/".join(factor.names): len(factor.rows) for factor in joined}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise GridError(
                f"linked() needs axes of equal length: {shown}.",
                field="linked",
                hint="Give each the same number of values, in matching order.",
            )
        factor = Factor(
            tuple(name for f in joined for name in f.names),
            tuple(sum(rows, ()) for rows in zip(*(f.rows for f in joined), strict=True)),
        )
        rest = [factor if f is joined[0] else f for f in self.factors if f not in joined[1:]]
        return replace(self, factors=tuple(rest))

    def when(self, **keywords: Any) -> Grid:
        """Return the grid with axes that exist only where others have certain values.

        Parameters
        ----------
        **keywords
            Names the grid has are conditions (one value, or a list of which any will do); names it
            does not have are the axes to add there. Elsewhere they are not set.

        Raises
        ------
        GridError
            No condition, nothing to add, a condition no point can meet, or an axis that two
            overlapping conditions would both set.

        Examples
        --------
        >>> grid = Grid.of(model=["lucy-2.1", "lucy-2.5"], prompt="ink")
        >>> [p.values["self_anchor"] for p in
        ...  grid.when(model="lucy-2.5", self_anchor=[True, False]).points()]
        [None, True, False]
        """
        self._structural("when")
        base = {name for factor in self.factors for name in factor.names}
        conditions = {n: self._condition(n, v) for n, v in keywords.items() if n in base}
        added = {name: value for name, value in keywords.items() if name not in base}
        if not conditions or not added:
            raise GridError(
                "when() takes at least one condition on an axis and one axis to add: "
                f"{', '.join(keywords) or 'nothing'} given.",
                field="when",
                hint='For example .when(model="lucy-2.5", self_anchor=[True, False]).',
            )
        for name in added:
            check_name(name)
            self._check_disjoint(name, conditions)
        factors = tuple(_factor(n, axis_values(n, v, scalar_ok=True)) for n, v in added.items())
        return replace(self, whens=(*self.whens, When(conditions, factors)))

    def where(self, condition: str | Callable[..., Any]) -> Grid:
        """Return the grid with only the points that meet a condition.

        Parameters
        ----------
        condition : str or callable
            An expression such as ``"not (style == 'neon' and seed == 0)"`` of names, literals,
            comparisons, and/or/not/in; or a function with parameters named as the axes it looks
            at, such as ``lambda style, seed: ...``. A function with one parameter of another name
            gets the dict of a point's values; as it may look at all of them, nothing can be
            counted without asking it about every point.

        Raises
        ------
        GridError
            An expression outside that language, or naming what the grid does not have.
        """
        if callable(condition):
            keep = guarded(condition, self.names)
        elif isinstance(condition, str):
            keep = parse_where(condition, self.names)
        else:
            raise GridError(
                f"where() takes an expression or a function, not {type(condition).__name__}.",
                field="where",
            )
        if self.prompt is not None and keep.names is not None and "prompt" in keep.names:
            keep = replace(keep, names=keep.names | self.prompt.variables.keys())
        return replace(self, ops=(*self.ops, Op("where", keep=keep)))

    def sample(self, n: int, seed: int = 0) -> Grid:
        """Return the grid with ``n`` of its points, drawn without replacement, in grid order.

        Parameters
        ----------
        n : int
            How many points; at least 1.
        seed : int, default 0
            The same seed draws the same points.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise GridError(
                f"sample() takes a whole number of points from 1, not {n!r:.60}.", field="sample"
            )
        return replace(self, ops=(*self.ops, Op("sample", n=n, seed=seed)))

    def repeat(self, n: int) -> Grid:
        """Return the grid with every point bought ``n`` times over, as replicates 0 to n - 1."""
        self._structural("repeat")
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise GridError(f"repeat() takes a whole number from 1, not {n!r:.60}.", field="repeat")
        return replace(self, replicates=self.replicates * n)

    # -- reading -------------------------------------------------------------------------------

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every keyword, template variable and conditional axis, in display order."""
        found = [name for factor in self.factors for name in factor.names]
        found += [n for when in self.whens for factor in when.factors for n in factor.names]
        if self.prompt is not None:
            found.append("prompt")
        return tuple(dict.fromkeys(found))

    @cached_property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """Names and values of what varies, and of every template variable, in display order."""
        found: dict[str, tuple[Any, ...]] = {}
        for factor in self.factors:
            if not factor.constant:
                found |= {name: factor.values(name) for name in factor.names}
        for when in self.whens:
            for factor in when.factors:
                for name in factor.names:
                    found[name] = (*found.get(name, (None,)), *factor.values(name))
        return found

    @cached_property
    def columns(self) -> dict[str, Dtype]:
        """The axis columns of the table, with dtypes; axes with a fixed column are left out."""
        return {
            name: axis_dtype(values)
            for name, values in self.axes.items()
            if name not in FREE_NAMES and name not in STANDS_IN
        }

    def bounds(self) -> Bounds:
        """Return between which numbers the number of points lies, without visiting the grid.

        Returns
        -------
        Bounds
            ``low`` and ``high``, which are equal unless filters share axes of many values, or a
            function looks at all of them.

        Examples
        --------
        >>> grid = Grid.of(model="m", prompt="ink", seed=range(1000), size=range(1000))
        >>> print(grid.where("seed < size").bounds())
        at most 1,000,000
        >>> print(grid.where("seed < 10").where(lambda size: size != 5).bounds())
        9,990
        """
        return self._drawing.bounds()

    def count(self) -> int:
        """Return the number of points; by arithmetic, and by visiting points as filters require.

        Raises
        ------
        GridError
            Filters share so many values that only bounds can be told.
        """
        return self._drawing.count()

    def __len__(self) -> int:
        return min(self.count(), sys.maxsize)

    def points(self) -> Iterator[GridPoint]:
        """Draw the points, in order."""
        return (GridPoint(*self._drawing.at(i)) for i in self._drawing.indices())

    # -- inside --------------------------------------------------------------------------------

    @cached_property
    def _drawing(self) -> Drawing:
        axes = Scope(self.factors, self.whens, (), self._complete)
        return Drawing.of(axes, self.ops, self.replicates)

    @cached_property
    def _unset(self) -> dict[str, Any]:
        return dict.fromkeys(self.names)

    def _complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return all names with values: those given, None where absent, and the prompt they make.

        A part of the axes will do, as filters that look at the prompt look at all it is made of.
        """
        whole = {**self._unset, **values}
        if self.prompt is not None and self.prompt.variables.keys() <= values.keys():
            whole["prompt"] = self.prompt.render(values)
        return whole

    def _structural(self, word: str) -> None:
        if any(op.kind == "sample" for op in self.ops):
            raise GridError(
                f"{word}() would change the grid under a sample that was already drawn.",
                field=word,
                hint=f"Call {word}() before sample().",
            )

    def _axis_factor(self, name: str) -> Factor:
        for factor in self.factors:
            if name in factor.names and not factor.constant:
                return factor
        axes = [n for factor in self.factors if not factor.constant for n in factor.names]
        near = get_close_matches(name, axes, n=3) or axes
        raise GridError(
            f"{name!r:.60} is not an axis of the grid.",
            field=name,
            hint=f"Its axes are {', '.join(near) or 'none: every keyword has one value'}.",
        )

    def _condition(self, name: str, value: Any) -> frozenset[object]:
        factor = next(f for f in self.factors if name in f.names)
        known = {value_key(v) for v in factor.values(name)}
        wanted = axis_values(name, value, scalar_ok=True)
        for item in wanted:
            if value_key(item) not in known:
                raise GridError(
                    f"when({name}={item!r:.60}) is met by no point.",
                    field=name,
                    hint=f"{name} has {', '.join(map(repr, islice(factor.values(name), 8)))}.",
                )
        return frozenset(map(value_key, wanted))

    def _check_disjoint(self, name: str, conditions: Mapping[str, frozenset[object]]) -> None:
        for other in self.whens:
            if not any(name in factor.names for factor in other.factors):
                continue
            shared = conditions.keys() & other.conditions.keys()
            if all(conditions[key] & other.conditions[key] for key in shared):
                raise GridError(
                    f"Two when() conditions that may hold together both set {name!r}.",
                    field=name,
                    hint="Make the conditions exclude each other.",
                )


def _factor(name: str, values: tuple[Any, ...], *, constant: bool = False) -> Factor:
    return Factor((name,), tuple((value,) for value in values), constant)
