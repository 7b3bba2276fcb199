"""How many points some filters leave, found without visiting them.

A filter can only tell points apart by the names it looks at. Filters of one axis take values off
it; filters that share no axes are counted each on the product of its own axes, and multiplied.
Only where many values are tangled in filters that share axes is the count a pair of bounds.
Drawing the points is the grid's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

from ..errors import GridError
from .product import Factor, Product, When
from .where import Filter

Complete = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Adds to the values of some axes what follows from them, such as the rendered prompt."""


class Bounds(NamedTuple):
    """A count that lies between two numbers; equal ones are the count itself.

    Attributes
    ----------
    low, high : int
        Both may be reached.
    """

    low: int
    high: int

    @property
    def exact(self) -> bool:
        """Whether the count is known."""
        return self.low == self.high

    def __str__(self) -> str:
        if self.exact:
            return f"{self.low:,}"
        return f"between {self.low:,} and {self.high:,}" if self.low else f"at most {self.high:,}"


@dataclass(frozen=True)
class Scope:
    """Axes, and the filters over them.

    Attributes
    ----------
    factors, whens : tuple
        As of :class:`decart_lab.sweep.product.Product`.
    filters : tuple of Filter
        All must hold.
    complete : callable
        Makes of the values of some axes all that the filters of these axes need.
    """

    factors: tuple[Factor, ...]
    whens: tuple[When, ...]
    filters: tuple[Filter, ...]
    complete: Complete

    def filtered(self, filters: Iterable[Filter]) -> Scope:
        """Return the scope with more filters; one of a single axis takes values off it instead."""
        scope = self
        for keep in filters:
            nodes = scope._nodes(keep.names)
            shorter = scope._without(min(nodes), keep) if len(nodes) == 1 else None
            scope = shorter or replace(scope, filters=(*scope.filters, keep))
        return scope

    def count(self, effort: int) -> Bounds:
        """Count the points that meet every filter.

        Parameters
        ----------
        effort : int
            At most so many points are visited for filters that hang together.
        """
        found = [part._count(effort) for part in self._parts()]
        return Bounds(prod(part.low for part in found), prod(part.high for part in found))

    # -- inside --------------------------------------------------------------------------------

    def _count(self, effort: int) -> Bounds:
        """Count the points of a scope that does not fall apart further."""
        product = Product(self.factors, self.whens)
        total = product.count
        if not self.filters:
            return Bounds(total, total)
        if total <= effort:
            kept = sum(1 for values in product.walk() if self._keeps(values))
            return Bounds(kept, kept)
        if len(self.filters) == 1:
            return Bounds(0, total)
        alone = [self._alone(keep, effort, total) for keep in self.filters]
        # At worst no point is refused by two filters; at best the strictest refuses all of them.
        refused = sum(total - found.low for found in alone)
        return Bounds(max(0, total - refused), min(found.high for found in alone))

    def _alone(self, keep: Filter, effort: int, total: int) -> Bounds:
        try:
            return replace(self, filters=(keep,)).count(effort)
        except GridError:  # it may count on the filters before it to spare it some points
            return Bounds(0, total)

    def _keeps(self, values: Mapping[str, Any]) -> bool:
        whole = self.complete(values)
        return all(keep(whole) for keep in self.filters)

    def _without(self, node: int, keep: Filter) -> Scope | None:
        """Return the scope without what a filter of one axis refuses; None where it cannot be."""
        if node >= len(self.factors):
            return None
        factor = self.factors[node]
        fixed = tuple(f for f in self.factors if len(f.rows) == 1)
        walk = Product((*fixed, factor)).walk()
        try:
            kept = tuple(
                row
                for row, values in zip(factor.rows, walk, strict=True)
                if keep(self.complete(values))
            )
        except GridError:  # as in _alone
            return None
        shorter = replace(factor, rows=kept)
        factors = (*self.factors[:node], shorter, *self.factors[node + 1 :])
        return replace(self, factors=factors)

    def _nodes(self, names: Iterable[str] | None) -> set[int]:
        """Return what a filter looks at: positions of factors that vary, then of conditions."""
        varying = [level for level, factor in enumerate(self.factors) if len(factor.rows) != 1]
        offset = len(self.factors)
        if names is None:
            return {*varying, *range(offset, offset + len(self.whens))}
        wanted = set(names)
        found = {level for level in varying if wanted & set(self.factors[level].names)}
        for position, when in enumerate(self.whens, offset):
            if any(wanted & set(factor.names) for factor in when.factors):
                found.add(position)
        return found

    def _parts(self) -> list[Scope]:
        """Split into scopes that share no axis that varies, no condition and no filter."""
        offset = len(self.factors)
        ties = [{level} for level in self._nodes(None) if level < offset]
        ties += [{n, *self._nodes(when.conditions)} for n, when in enumerate(self.whens, offset)]
        looks = [self._nodes(keep.names) for keep in self.filters]
        groups: list[set[int]] = []
        for tie in [*ties, *looks]:
            joined = tie.union(*(group for group in groups if group & tie))
            groups = [*(group for group in groups if not group & tie), joined]
        return [self._part(group, looks) for group in groups]

    def _part(self, nodes: set[int], looks: Sequence[set[int]]) -> Scope:
        offset = len(self.factors)
        return replace(
            self,
            factors=tuple(
                factor
                for level, factor in enumerate(self.factors)
                if level in nodes or len(factor.rows) == 1
            ),
            whens=tuple(when for n, when in enumerate(self.whens, offset) if n in nodes),
            filters=tuple(
                keep
                for keep, look in zip(self.filters, looks, strict=True)
                if look <= nodes and bool(look) == bool(nodes)
            ),
        )
