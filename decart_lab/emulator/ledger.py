"""The billing ledger: every paid request the emulator accepted, with its price.

What is charged, where the vendor is silent (inferred): a request is charged when it is accepted,
and credited back when its job fails; one without a known price is listed and draws no credits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, overload

from .records import LedgerEntry


class Ledger(Sequence[LedgerEntry]):
    """The entries in the order of acceptance; a sequence, with a total.

    Examples
    --------
    >>> ledger = Ledger()
    >>> len(ledger), ledger.total
    (0, 0.0)
    """

    def __init__(self, entries: Sequence[LedgerEntry] = ()) -> None:
        self._entries: dict[str, LedgerEntry] = {entry.id: entry for entry in entries}
        self._seen = Counter(entry.request_sha256 for entry in entries)

    @property
    def entries(self) -> list[LedgerEntry]:
        """A copy of the list."""
        return list(self._entries.values())

    @property
    def total(self) -> float:
        """USD charged; entries of unknown price count as nothing."""
        return round(math.fsum(entry.price or 0.0 for entry in self.entries), 6)

    def add(self, entry: LedgerEntry) -> None:
        """Enter an accepted request."""
        self._entries[entry.id] = entry
        self._seen[entry.request_sha256] += 1

    def times_seen(self, request_sha256: str) -> int:
        """How often an equal request was accepted."""
        return self._seen[request_sha256]

    def find(self, entry_id: str) -> LedgerEntry | None:
        """Return the entry of that id, if there is one."""
        return self._entries.get(entry_id)

    def as_json(self) -> dict[str, Any]:
        """Return what ``GET /_emulator/ledger`` answers."""
        return {"entries": [entry.as_json() for entry in self.entries], "total": self.total}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[LedgerEntry]:
        return iter(self.entries)

    @overload
    def __getitem__(self, index: int) -> LedgerEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[LedgerEntry]: ...
    def __getitem__(self, index: int | slice) -> LedgerEntry | list[LedgerEntry]:
        return self.entries[index]

    def __repr__(self) -> str:
        return f"<Ledger: {len(self)} paid requests, {self.total:.2f} USD>"
