"""Points that repeat another's request: bought once, and shown as often as they were asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ..contract.states import PointStatus

if TYPE_CHECKING:
    from .journal import Journal
    from .plan import Point

SHARED: Final = (
    *("simulated", "job_id", "media", "media_sha256", "media_bytes", "mime", "width", "height"),
    *("fps", "frames", "duration_s", "codec", "thumb", "submitted_at", "completed_at"),
)
"""Columns a twin takes over from the point whose request it repeats."""

_ENDED: Final = (
    *(PointStatus.COMPLETED, PointStatus.FAILED, PointStatus.REJECTED),
    *(PointStatus.LOST, PointStatus.CANCELLED),
)


class Twins:
    """The twins of a run's points, by the point whose request they repeat.

    Parameters
    ----------
    journal : Journal
        Where their ends are written.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._twins: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, twin: Point) -> None:
        """Take a point that is a twin."""
        assert twin.twin_of is not None
        self._twins[twin.twin_of].append(twin.point_id)

    def share_all(self, standing: Mapping[str, str]) -> None:
        """Give twins their end whose points had ended before, by where every point stands."""
        for original in self._twins:
            if original in standing:
                self._share(original, standing[original], standing)

    def share(self, point_id: str) -> None:
        """Give the twins of a point their end, when it has ended."""
        if point_id in self._twins:
            twins = (point_id, *self._twins[point_id])
            standing = {name: self._journal.row(name)["status"] for name in twins}
            self._share(point_id, standing[point_id], standing)

    def _share(self, original: str, status: str, standing: Mapping[str, str]) -> None:
        if status not in _ENDED:
            return
        for point_id in self._twins[original]:
            if standing[point_id] != PointStatus.PLANNED:
                continue
            if status == PointStatus.COMPLETED:
                row = self._journal.row(original)
                taken = {name: row.get(name) for name in SHARED}
                done = {"status": PointStatus.COMPLETED, "cached": True, "cost": 0.0}
                self._journal.note("stored", point_id, **taken | done)
            else:
                why = f"Point {original}, whose request this one repeats, has no result."
                none = {"status": PointStatus.CANCELLED, "error_message": why}
                self._journal.note("ended", point_id, **none)
