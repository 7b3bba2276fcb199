"""How long jobs took, and when it therefore pays to ask after one: pure arithmetic, no clock.

What belongs here: the remembered durations of each kind of job, and the poll times that follow
from them. When a poll really happens is :mod:`decart_lab.sweep.turns`'.

A poll costs something and a late poll costs time, so the best poll times depend on how likely a
job is to end in each moment: many polls where completions cluster, few where they are rare. With
``f`` the density of durations and a price per poll, the cheapest sequence is found exactly, on a
logarithmic grid, from the last poll backwards.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import mul
from statistics import pstdev
from typing import Final, NamedTuple

PRICE: Final = 0.0135
"""What a poll may cost, as a share of the mean duration: some six polls a job, seen 8 % late."""

ENOUGH: Final = 4
"""So many durations are history; with fewer, polls only follow the time that has passed."""

REMEMBERED: Final = 256
"""So many durations of each kind of job are kept: more of them than jobs are in flight at a time,
since those that end within a short while are not a fair sample."""

IGNORANT_FIRST_S: Final = 0.4
IGNORANT_GROWTH: Final = 1.5
HOPE: Final = 1.5
"""A job that has outlasted all that ended is taken to last so many times its age."""

TAIL_GROWTH: Final = 1.2
"""Beyond all that is remembered, a poll is late by at most this share of the time so far."""

FEWEST: Final = 1.25
SPENT: Final = 1.5
"""So many times its share may a job be asked after: some jobs are on their way in or out."""

_CELLS: Final = 72
_DEAREST: Final = 3.0
_STEP: Final = 1.4


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to ask after a job, in seconds since it was accepted.

    Attributes
    ----------
    times : tuple of float
        Increasing.
    polls, lag_s : float
        How many polls a job is expected to take, and how late its end is expected to be seen.
    """

    times: tuple[float, ...]
    polls: float
    lag_s: float

    def after(self, elapsed_s: float, longest_s: float) -> float:
        """Return how long to wait before the next poll of a job that has run that long.

        Examples
        --------
        >>> plan = Schedule((2.0, 3.0), 1.5, 0.4)
        >>> [round(plan.after(s, 15.0), 2) for s in (0.0, 2.0, 2.5, 10.0, 1000.0)]
        [2.0, 1.0, 0.5, 2.0, 15.0]
        """
        for time in self.times:
            # a moment's tolerance: the last poll was made at one of these times, or just after
            if time > elapsed_s * 1.01:
                return time - elapsed_s
        last = self.times[-1] - self.times[-2] if len(self.times) > 1 else self.times[-1]
        return min(longest_s, max(last if elapsed_s < 60 else 0.0, elapsed_s * (TAIL_GROWTH - 1)))


def best_schedule(
    samples: Sequence[float], price: float = PRICE, weights: Sequence[float] | None = None
) -> Schedule:
    """Return the cheapest poll times for jobs that last as the samples did.

    Parameters
    ----------
    samples : sequence of float
        Durations in seconds, above 0; smoothed on a logarithmic scale, so that a few already say
        something about the rest.
    weights : sequence of float, optional
        How much each sample counts; they add up to 1. Equal by default.
    price : float
        Of a poll, as a share of the mean duration.

    Examples
    --------
    >>> plan = best_schedule([1.8, 2.0, 2.1, 2.4])
    >>> 1.0 < plan.times[0] < 2.0 and plan.polls < 6 and plan.lag_s < 0.3
    True
    """
    return _plan(_Curve.of(samples, weights), price)


class _Curve(NamedTuple):
    """How durations are distributed, on a grid of ages: all that does not depend on the price."""

    times: list[float]
    ended: list[float]
    moment: list[float]
    mean_s: float

    @classmethod
    def of(cls, samples: Sequence[float], weights: Sequence[float] | None = None) -> _Curve:
        logs = [math.log(max(sample, 1e-3)) for sample in samples]
        shares = weights or [1 / len(logs)] * len(logs)
        width = max(0.08, 1.06 * pstdev(logs) * len(logs) ** -0.2)
        mean = sum(w * sample for w, sample in zip(shares, samples, strict=True))
        first, last = min(logs) - 2 * width, max(logs) + 2 * width
        grid = [first + (last - first) * cell / (_CELLS - 1) for cell in range(_CELLS)]
        times = [math.exp(at) for at in grid]
        ended = _shares_ended(grid, logs, shares, width)
        moment = [0.0]  # of the durations up to a cell: the integral of t f(t)
        for cell in range(1, _CELLS):
            middle = (times[cell] + times[cell - 1]) / 2
            moment.append(moment[-1] + (ended[cell] - ended[cell - 1]) * middle)
        return cls(times, ended, moment, mean)


def _plan(curve: _Curve, price: float) -> Schedule:
    cost = price * curve.mean_s
    times, ended = curve.times, curve.ended
    value, following = _cheapest(times, ended, curve.moment, cost)
    chosen, polls, cell = [], 1.0, following[0]
    while True:
        chosen.append(times[cell])
        if cell == _CELLS - 1:
            break
        polls += 1 - ended[cell]
        cell = following[cell]
    return Schedule(tuple(chosen), polls, max(0.0, value - cost * polls))


def _shares_ended(
    grid: Sequence[float], logs: Sequence[float], shares: Sequence[float], width: float
) -> list[float]:
    """Return the share that has ended at each cell of an even grid that holds all samples.

    A sample counts in the two cells it lies between, so that the work does not grow with memory.
    """
    step, mass = grid[1] - grid[0], [0.0] * _CELLS
    for log, share in zip(logs, shares, strict=True):
        cell, part = divmod((log - grid[0]) / step, 1.0)
        mass[int(cell)] += share * (1 - part)
        mass[int(cell) + 1] += share * part
    scale = step / (width * math.sqrt(2))
    # by how many cells the sample lies ahead, the farthest behind first
    spread = [0.5 * math.erfc(cells * scale) for cells in range(1 - _CELLS, _CELLS)]
    return [
        math.fsum(map(mul, mass, spread[_CELLS - 1 - cell : 2 * _CELLS - 1 - cell]))
        for cell in range(_CELLS)
    ]


def weighed(ended: Iterable[float], ages: Iterable[float]) -> tuple[list[float], list[float]]:
    """Return durations and their weights, jobs that still run taken into account.

    The first jobs to end are the short ones. A job that still runs stands for one that lasts
    longer: its weight goes to the durations beyond its age, in equal parts (Efron's way to the
    Kaplan-Meier estimate), or to a guess where there is none.

    Examples
    --------
    >>> weighed([1.0, 3.0], [2.0])
    ([1.0, 3.0], [0.3333333333333333, 0.6666666666666666])
    >>> weighed([1.0], [2.0])
    ([1.0, 3.0], [0.5, 0.5])
    """
    events = sorted([(value, False) for value in ended] + [(age, True) for age in ages])
    share = 1 / len(events)
    beyond = sum(1 for _, runs in events if not runs)
    values: list[float] = []
    weights: list[float] = []
    per_value = 0.0
    for value, runs in events:
        if not runs:
            values.append(value)
            weights.append(share + per_value)
            beyond -= 1
        elif beyond:
            per_value += share / beyond
        else:
            values.append(value * HOPE)
            weights.append(share)
    total = sum(weights)
    return values, [weight / total for weight in weights]


def _cheapest(
    times: Sequence[float], ended: Sequence[float], moment: Sequence[float], cost: float
) -> tuple[float, list[int]]:
    """Return the expected cost of a job from the start on, and the poll that follows each."""
    size = len(times)
    value, following = [0.0] * size, [size - 1] * size
    value[-1] = 3 * cost * (1 - ended[-1])  # the few that outlast the grid
    for cell in range(size - 2, -1, -1):
        done, before = ended[cell], moment[cell]
        options = [
            times[then] * (ended[then] - done) - (moment[then] - before) + value[then]
            for then in range(cell + 1, size)
        ]
        best = min(options)
        following[cell] = cell + 1 + options.index(best)
        value[cell] = best + cost * (1 - done)
    return value[0], following


def _ignorant() -> Schedule:
    """Nothing is known: each poll follows the time that has passed, whatever its scale."""
    times = [IGNORANT_FIRST_S]
    while times[-1] < 60:
        times.append(times[-1] * IGNORANT_GROWTH)
    return Schedule(tuple(times), 8.0, 0.3)


@dataclass(slots=True)
class Kind:
    """Jobs that last alike: their durations, and the schedule that follows."""

    samples: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    seen: int = 0
    made_at: int = -1
    made_for: float = 0.0
    price: float = PRICE
    running: dict[int, float] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=_ignorant)

    @property
    def mean_s(self) -> float | None:
        """Mean duration; None without history."""
        return sum(self.samples) / len(self.samples) if len(self.samples) >= ENOUGH else None


class Durations:
    """What a kernel knows of how long jobs take, by kind, learned as they end.

    A kind is anything hashable; the engine takes the model and a bucket of the clip's length.
    """

    def __init__(self) -> None:
        self._kinds: defaultdict[object, Kind] = defaultdict(Kind)
        self._number = 0

    def learn(self, kind: object, *seconds: float) -> None:
        """Remember how long jobs of a kind took."""
        known = self._kinds[kind]
        good = [value for value in seconds if value > 0 and math.isfinite(value)]
        known.samples.extend(good)
        known.seen += len(good)

    def knows(self, kind: object) -> bool:
        """Return whether a kind has history enough to go by."""
        found = self._kinds.get(kind)
        return found is not None and len(found.samples) >= ENOUGH

    def begin(self, kind: object) -> int:
        """Take that a job of a kind was accepted; return a number to speak of it by."""
        self._number += 1
        self.still(kind, self._number, 0.0)
        return self._number

    def still(self, kind: object, number: int, age_s: float) -> None:
        """Take that a job was seen to be unfinished at an age."""
        self._kinds[kind].running[number] = age_s

    def end(self, kind: object, number: int) -> None:
        """Take that a job is not asked after any more."""
        self._kinds[kind].running.pop(number, None)

    def schedule(self, kind: object, calls_per_s: float) -> Schedule:
        """Return when to ask after jobs of a kind.

        Parameters
        ----------
        calls_per_s : float
            How often one job may be asked after, as its share of what the kernel may ask. Where
            that is less than would be best, polls are dearer, and fewer.
        """
        known = self._kinds[kind]
        mean = known.mean_s
        if mean is None:
            return known.schedule
        allowed = max(FEWEST, SPENT * mean * calls_per_s)
        # made anew when a quarter more is known, or when the share has changed by a quarter
        fresh = known.made_at * 1.25 >= known.seen and known.made_at > 0
        bound = min(allowed, known.made_for) < known.schedule.polls * 1.1
        if fresh and not (bound and not 0.75 < allowed / known.made_for < 1.33):
            return known.schedule
        known.made_at, known.made_for = known.seen, allowed
        # with a full memory, what runs now tells nothing new
        young = len(known.samples) < REMEMBERED
        ages = [age for age in known.running.values() if age > 0] if young else []
        samples, weights = weighed(known.samples, ages)
        # last time's price is about right: one step cheaper, then as dear as it has to be
        price = max(PRICE, known.price / _STEP)
        curve = _Curve.of(samples, weights)
        plan = _plan(curve, price)
        while plan.polls > allowed and price < _DEAREST:
            price *= _STEP
            plan = _plan(curve, price)
        known.price, known.schedule = price, plan
        return plan
