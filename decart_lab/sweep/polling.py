"""How a job is asked after until it ends: the rules, as numbers and one small tracker per job.

What belongs here: what each answer means for the next poll. When jobs usually end is
:mod:`decart_lab.sweep.durations`'; waiting one's turn is :mod:`decart_lab.sweep.turns`'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..contract.states import JobStatus

LONGEST_S: Final = 15.0
MISS_S: Final = (5.0, 30.0, 85.0)
"""Waits after answers that the job is not known: two minutes in all, for a service in trouble."""

MISSES: Final = len(MISS_S) + 1
"""So often in a row may the service say so before the job is lost."""

STRANGE_GROWTH: Final = 1.6
"""A word that the contract does not know is polled on, ever more slowly."""


@dataclass(slots=True)
class Follow:
    """One job while it is asked after.

    Attributes
    ----------
    polls : int
        How many answers and failures there were.
    misses : int
        How many times in a row the service did not know the job.
    strange : int
        How many times in a row it said a word we do not know.
    failures : int
        How many polls in a row failed.
    """

    polls: int = 0
    misses: int = 0
    strange: int = 0
    failures: int = 0

    def answered(self, status: str) -> None:
        """Take an answer about the job."""
        self.polls += 1
        self.misses = self.failures = 0
        self.strange = 0 if status in tuple(JobStatus) else self.strange + 1

    def missed(self) -> bool:
        """Take "not known"; return whether the job is lost."""
        self.polls += 1
        self.misses += 1
        return self.misses >= MISSES

    def failed(self) -> None:
        """Take a poll that failed; it says nothing about the job."""
        self.polls += 1
        self.failures += 1

    def delay_s(self, usual_s: float, retry_after_s: float | None = None) -> float:
        """Return how long to wait before the next poll.

        Parameters
        ----------
        usual_s : float
            What the remembered durations advise.
        retry_after_s : float, optional
            What the service asked for.

        Examples
        --------
        >>> Follow().delay_s(0.4)
        0.4
        >>> Follow(misses=1).delay_s(0.4), Follow(failures=3).delay_s(0.4)
        (5.0, 2.0)
        >>> Follow(strange=30).delay_s(0.4)
        15.0
        """
        delay = usual_s
        if self.misses:
            delay = max(delay, MISS_S[min(self.misses, len(MISS_S)) - 1])
        if self.failures:
            delay = max(delay, min(LONGEST_S, 0.25 * 2.0 ** min(self.failures, 10)))
        if self.strange:
            delay = min(LONGEST_S, max(delay, STRANGE_GROWTH ** min(self.strange, 10)))
        if retry_after_s is not None:
            delay = max(delay, min(retry_after_s, 900.0))
        return delay
