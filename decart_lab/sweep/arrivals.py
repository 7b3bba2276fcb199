"""Pictures that had come whole when a kernel died before it could write that down.

A picture answered at once cannot be fetched again, so its point would stay in doubt for ever. But a
file gets its name under ``media/incoming`` only when the answer had come to its stated end, was
looked at and synced (:mod:`decart_lab.api.results`), and the name says which attempt it answers.
Such a file is the evidence that this very attempt was answered; nothing less is taken for one: no
part file, no file of another attempt, nothing that is no picture any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..errors import MediaError
from ..media.probe import probe
from .journal import Attempt, Journal, Lease
from .store import Store, digest_of
from .verdict import NO_ERROR

_WAITING: Final = ("in_doubt", "done")
"""States of an attempt whose picture may be in the folder and have no place yet."""


async def take_arrivals(journal: Journal, lease: Lease, store: Store) -> list[str]:
    """Write down that attempts in doubt were answered, where their pictures are in the folder.

    What they reserved is spent then, and the points are left for a runner to finish.

    Parameters
    ----------
    journal, lease
        Of the run, with the right to write it.
    store : Store
        Its folder.

    Returns
    -------
    list of str
        Ids of the points.
    """
    found = await asyncio.to_thread(lambda: list(_in_doubt(journal, store)))
    # as it was said of the service when the run was begun: the answer's own word died
    simulated = journal.meta.get("service") == "emulator"
    for attempt, path, sha256 in found:
        came = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        facts = {"media_sha256": sha256, "simulated": simulated, "completed_at": came}
        await journal.done(lease, attempt, {**NO_ERROR, **facts})
    return [attempt.point_id for attempt, _, _ in found]


def arrivals(journal: Journal, store: Store) -> Iterator[tuple[Attempt, Path]]:
    """Produce the attempts that have no end yet, each with the picture that answers it; blocking.

    They are the files under ``media/incoming`` that somebody still needs.
    """
    folder = store.incoming_path("")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        attempt = journal.attempt_of(path.name.rpartition(".")[0])
        if attempt is None or attempt.route != "direct" or attempt.state not in _WAITING:
            continue
        if path == store.arrival_path(attempt.point_id, attempt.number):
            yield attempt, path


def _in_doubt(journal: Journal, store: Store) -> Iterator[tuple[Attempt, Path, str]]:
    for attempt, path in arrivals(journal, store):
        if attempt.state == "in_doubt" and _is_picture(path):
            yield attempt, path, digest_of(path)


def _is_picture(path: Path) -> bool:
    try:
        return probe(path).kind == "image"
    except MediaError:
        return False
