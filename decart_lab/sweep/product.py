"""A product of axes with conditional axes, counted and indexed without being enumerated.

Pure arithmetic: which point stands at index ``i`` of a billion, in the order nested loops would
visit them. What the axes mean and how points are filtered is the grid's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain, product
from math import prod
from typing import Any

from .axes import value_key

State = tuple[bool, ...]
"""For each conditional factor: whether every condition met so far holds."""


@dataclass(frozen=True, slots=True)
class Factor:
    """Axes that move together; usually one.

    Attributes
    ----------
    names : tuple of str
        The axes.
    rows : tuple of tuple
        One tuple of values, in the order of ``names``, per step.
    constant : bool
        Given as one value rather than a list, and so not a column of its own.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    constant: bool = False

    def values(self, name: str) -> tuple[Any, ...]:
        """Return the values of one of the axes, in step order."""
        position = self.names.index(name)
        return tuple(row[position] for row in self.rows)


@dataclass(frozen=True, slots=True)
class When:
    """Factors that exist only where conditions on other axes hold.

    Attributes
    ----------
    conditions : dict of str to frozenset
        Axis name to the keys (:func:`decart_lab.sweep.axes.value_key`) of the values that count.
    factors : tuple of Factor
        The axes that are added there.
    """

    conditions: Mapping[str, frozenset[object]]
    factors: tuple[Factor, ...]

    @property
    def size(self) -> int:
        """How many points one point becomes where the conditions hold."""
        return prod(len(factor.rows) for factor in self.factors)


class Product:
    """The points of some factors, in nested-loop order, the last factor moving fastest.

    Conditional factors come after all others. Whether one is in force is decided on the way
    through the factors its conditions name; there are at most ``2 ** len(whens)`` such states, so
    the number of points below each is found once per factor and state, whatever the axes' lengths.

    Examples
    --------
    >>> product = Product((Factor(("a",), ((1,), (2,))), Factor(("b",), (("x",), ("y",)))))
    >>> product.count, product.at(2)
    (4, {'a': 2, 'b': 'x'})
    """

    def __init__(self, factors: tuple[Factor, ...], whens: tuple[When, ...] = ()) -> None:
        self.factors = factors
        self.whens = whens
        self._counts: dict[tuple[int, State], int] = {}
        self._tables: dict[tuple[int, State], tuple[list[State], list[int]]] = {}
        self._start: State = (True,) * len(whens)
        self._deciding = tuple(
            any(name in when.conditions for when in whens for name in factor.names)
            for factor in factors
        )
        self.count = self._count(0, self._start)

    def at(self, index: int) -> dict[str, Any]:
        """Return the values at an index below ``count``, by name, without absent axes."""
        if not 0 <= index < self.count:
            raise IndexError(f"index {index} is outside a grid of {self.count} points")
        values: dict[str, Any] = {}
        state = self._start
        for level, factor in enumerate(self.factors):
            if self._deciding[level]:
                states, ends = self._table(level, state)
                step = bisect_right(ends, index)
                index -= ends[step - 1] if step else 0
                state = states[step]
            else:
                step, index = divmod(index, self._count(level + 1, state))
            values.update(zip(factor.names, factor.rows[step], strict=True))
        if not self.whens:
            return values
        added = [
            f for when, holds in zip(self.whens, state, strict=True) if holds for f in when.factors
        ]
        for position, factor in enumerate(added):
            below = prod(len(other.rows) for other in added[position + 1 :])
            step, index = divmod(index, below)
            values.update(zip(factor.names, factor.rows[step], strict=True))
        return values

    def walk(self) -> Iterator[dict[str, Any]]:
        """Visit every point in order; faster than asking for one after the other."""
        if self.whens:
            return map(self.at, range(self.count))
        names = [name for factor in self.factors for name in factor.names]
        steps = product(*(factor.rows for factor in self.factors))
        return (dict(zip(names, chain.from_iterable(rows), strict=True)) for rows in steps)

    def _count(self, level: int, state: State) -> int:
        key = (level, state)
        if key not in self._counts:
            if level == len(self.factors):
                total = prod(w.size for w, holds in zip(self.whens, state, strict=True) if holds)
            elif self._deciding[level]:
                total = sum(self._table(level, state)[1][-1:])
            else:
                total = len(self.factors[level].rows) * self._count(level + 1, state)
            self._counts[key] = total
        return self._counts[key]

    def _table(self, level: int, state: State) -> tuple[list[State], list[int]]:
        """Return for each step of a deciding factor the state after it and where its points end."""
        key = (level, state)
        if key not in self._tables:
            factor = self.factors[level]
            states = [self._after(state, factor, row) for row in factor.rows]
            ends = list(accumulate(self._count(level + 1, after) for after in states))
            self._tables[key] = (states, ends)
        return self._tables[key]

    def _after(self, state: State, factor: Factor, row: tuple[Any, ...]) -> State:
        keys = {name: value_key(value) for name, value in zip(factor.names, row, strict=True)}
        return tuple(
            holds and all(key in when.conditions.get(name, (key,)) for name, key in keys.items())
            for when, holds in zip(self.whens, state, strict=True)
        )
