"""Taking over what other runs have bought: claims, links, and the rows that say so.

What belongs here: the way from a claim of the index to a completed point that cost nothing. Which
run may buy a request is :mod:`decart_lab.sweep.index`'s.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..contract.states import PointStatus
from ..errors import StoreError
from ..sweep.index import Claim, Index
from ..sweep.journal import Journal
from ..sweep.plan import Plan, Point
from ..sweep.twins import SHARED

PARTS: Final = ("media", "thumb")


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of points that were to be bought.

    Attributes
    ----------
    points : list of Point
        What is left to be bought, with the twins of all.
    owned : int
        How many were taken over.
    coming : list of Point
        What other runs are buying at this moment, and may soon be taken over.
    elsewhere : dict of str to int
        Run id to how many points it may have bought without a result, and is not buying now.
    """

    points: list[Point]
    owned: int
    coming: list[Point]
    elsewhere: dict[str, int]


def owned_points(root: Path, plan: Plan) -> set[str]:
    """Return the ids of the points whose result some run under the root has; blocking."""
    if not root.is_dir():
        return set()
    with Index(root) as index:
        found = index.find_all(_key(point) for point in plan.runnable if point.twin_of is None)
    return {
        point.point_id
        for point in plan.runnable
        if (claim := found.get(_key(point))) is not None and claim.result is not None
    }


def take_over(journal: Journal, index: Index, points: Sequence[Point]) -> Taken:
    """Claim points for a run, and complete those that another run owns; blocking.

    Parameters
    ----------
    journal : Journal
        Of the run, with its lease.
    index : Index
        Of the runs beside it.
    points : sequence of Point
        Planned points and their twins.
    """
    wanted = [point for point in points if point.twin_of is None]
    claims = index.claim_all([_key(point) for point in wanted], journal.run_id)
    left: list[Point] = [point for point in points if point.twin_of is not None]
    owned, coming, elsewhere = 0, list[Point](), dict[str, int]()
    for point in wanted:
        claim = claims[_key(point)]
        if claim.verdict == "yours":
            left.append(point)
        elif claim.result is not None and _complete(journal, point, claim, claim.result):
            owned += 1
        elif claim.coming:
            coming.append(point)
        else:
            elsewhere[claim.run_id] = elsewhere.get(claim.run_id, 0) + 1
    if owned:
        journal.flush()
    return Taken(left, owned, coming, elsewhere)


def _key(point: Point) -> tuple[str, int]:
    return point.request_key, point.replicate


def _complete(journal: Journal, point: Point, claim: Claim, row: Mapping[str, Any]) -> bool:
    try:
        for name in PARTS:
            if row.get(name):
                _link(claim.folder / row[name], journal.folder / row[name])
    except StoreError:
        return False
    taken = {name: row.get(name) for name in SHARED}
    done = {"status": PointStatus.COMPLETED, "cached": True, "cost": 0.0}
    journal.note("stored", point.point_id, **(taken | done), taken_from=claim.run_id)
    return True


def _link(source: Path, target: Path) -> None:
    """Let a file be in another folder as well: by a hard link, else as a copy."""
    if target.exists():
        return
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, part)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, part)
        part.replace(target)
    except OSError as error:
        raise StoreError(f"{source} cannot be taken over: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
