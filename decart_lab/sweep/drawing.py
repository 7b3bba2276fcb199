"""Which points of a grid are left after its filters and samples, in the order these were asked for.

Points are addressed by their index among all points of the axes, so that neither a sample nor a
count of a billion of them needs the others. How points are counted without a visit is
:mod:`decart_lab.sweep.counting`'s; the words of the algebra are the grid's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile, takewhile
from typing import Any, Final, Literal

from ..errors import GridError
from .counting import Bounds, Scope
from .product import Product
from .where import Filter

ENUMERABLE: Final = 200_000
"""Up to this many points a sample of filtered points looks at all of them; beyond, it draws."""

MAX_DRAWS: Final = 1_000_000

GLANCE: Final = 20_000
"""So many points are visited for bounds, which are shown whenever a grid is printed."""

COUNTABLE: Final = 2_000_000
"""So many are visited for an exact count, which takes seconds; more would take minutes or days."""


@dataclass(frozen=True, slots=True)
class Op:
    """A filter, or a sample of ``n`` points."""

    kind: Literal["where", "sample"]
    keep: Filter | None = None
    n: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Drawing:
    """The points of some axes that filters and samples leave; make one with :meth:`of`.

    Attributes
    ----------
    scope : Scope
        The axes, and the filters that come before any sample.
    later : tuple of Op
        The first sample, and all that comes after it.
    replicates : int
        How many times each point is bought.
    """

    scope: Scope
    later: tuple[Op, ...]
    replicates: int

    @classmethod
    def of(cls, axes: Scope, ops: tuple[Op, ...], replicates: int) -> Drawing:
        """Make one from axes without filters and the operations in order."""
        first = takewhile(lambda op: op.kind == "where", ops)
        later = dropwhile(lambda op: op.kind == "where", ops)
        filters = (op.keep for op in first if op.keep is not None)
        return cls(axes.filtered(filters), tuple(later), replicates)

    @cached_property
    def product(self) -> Product:
        """The axes, of which indices are counted."""
        return Product(self.scope.factors, self.scope.whens)

    def at(self, index: int) -> tuple[Mapping[str, Any], int]:
        """Return the values and the replicate at an index."""
        index, replicate = divmod(index, self.replicates)
        return self.scope.complete(self.product.at(index)), replicate

    def indices(self) -> Iterator[int]:
        """Draw the indices of the points that are left, in order."""
        return self._after(len(self.later))

    def bounds(self, effort: int = GLANCE) -> Bounds:
        """Return between which numbers their number lies, having visited ``effort`` points."""
        found = self._filtered(effort)
        for op in self.later:
            if op.kind == "sample":
                check_sample(op.n, found.high)
                found = Bounds(op.n, op.n)
            else:
                found = Bounds(0, found.high)
        return found

    def count(self) -> int:
        """Return their number.

        Raises
        ------
        GridError
            It cannot be told without visiting too many.
        """
        found = self.bounds(COUNTABLE)
        if found.exact:
            return found.low
        if found.high > COUNTABLE:
            raise GridError(
                f"The filtered grid has {found} points; they cannot be counted more exactly "
                "without visiting each.",
                field="where",
                hint="bounds() says as much as is known, and sample(n) draws from such a grid. "
                "Let functions name the axes they look at, as in lambda style, seed: ...",
            )
        return sum(1 for _ in self.indices())

    # -- inside --------------------------------------------------------------------------------

    @property
    def _total(self) -> int:
        return self.product.count * self.replicates

    def _filtered(self, effort: int) -> Bounds:
        found = self.scope.count(effort)
        return Bounds(found.low * self.replicates, found.high * self.replicates)

    def _after(self, depth: int) -> Iterator[int]:
        """Draw the indices that survive the filters and the first ``depth`` later operations."""
        if depth == 0:
            return filter(self._passes, range(self._total))
        op = self.later[depth - 1]
        if op.kind == "sample":
            return iter(self._drawn(op, depth - 1))
        assert op.keep is not None
        keep = op.keep
        return (index for index in self._after(depth - 1) if keep(self.at(index)[0]))

    def _passes(self, index: int) -> bool:
        filters = self.scope.filters
        if not filters:
            return True
        values, _ = self.at(index)
        return all(keep(values) for keep in filters)

    def _drawn(self, op: Op, depth: int) -> list[int]:
        dice = random.Random(op.seed)  # noqa: S311 (which points to look at is no secret)
        if depth == 0 and not self.scope.filters:
            check_sample(op.n, self._total)
            return sorted(dice.sample(range(self._total), op.n))
        if depth > 0 or self._total <= ENUMERABLE:
            survivors = list(self._after(depth))
            check_sample(op.n, len(survivors))
            return sorted(dice.sample(survivors, op.n))
        check_sample(op.n, self._filtered(GLANCE).high)
        found: set[int] = set()
        for index in (dice.randrange(self._total) for _ in range(MAX_DRAWS)):
            if index not in found and self._passes(index):
                found.add(index)
                if len(found) == op.n:
                    return sorted(found)
        raise GridError(
            f"Of {self._total:,} points, {MAX_DRAWS:,} draws found {len(found):,} that meet the "
            f"filter; the sample asks for {op.n:,}.",
            field="sample",
            hint="Ask for fewer, or build the grid so that less has to be filtered away.",
        )


def check_sample(n: int, total: int) -> None:
    """Refuse a sample of more points than there are.

    Raises
    ------
    GridError
        ``n`` is above ``total``.
    """
    if n > total:
        raise GridError(
            f"sample({n:,}) asks for more points than the {total:,} there are.",
            field="sample",
            hint="Ask for fewer.",
        )
