"""How long jobs take, handed from run to run: what one has seen, the next begins with."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from typing import TYPE_CHECKING

from ..errors import StoreError
from .durations import REMEMBERED, Durations

if TYPE_CHECKING:
    from .index import Index


class Habits:
    """The durations a run goes by, and those it leaves to others.

    They are worth little: no run ends because the index cannot be read or written.

    Parameters
    ----------
    durations : Durations
        What is known in this kernel.
    index : Index or None
        Where other kernels look.
    """

    def __init__(self, durations: Durations, index: Index | None) -> None:
        self.durations = durations
        self._index = index
        self._recalled = False
        self._lasted: defaultdict[tuple[str, int], list[float]] = defaultdict(list)

    def learn(self, kind: tuple[str, int], seconds: float) -> None:
        """Take how long a job took."""
        self.durations.learn(kind, seconds)
        self._lasted[kind].append(seconds)

    def recall(self) -> None:
        """Begin with what the runs before have seen, once; blocking."""
        if self._index is None or self._recalled:
            return
        self._recalled = True
        with contextlib.suppress(StoreError):
            for kind, seconds in self._index.durations().items():
                self.durations.learn(kind, *seconds)

    def remember(self) -> None:
        """Leave to the runs to come what this one has seen; blocking."""
        lasted, self._lasted = self._lasted, defaultdict(list)
        if self._index is None:
            return
        with contextlib.suppress(StoreError):
            for (model, bucket), seconds in lasted.items():
                self._index.learn(model, bucket, *seconds[-REMEMBERED:])
