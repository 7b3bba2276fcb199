"""Results that are not in the folder any more: fetched again where the service still has them.

What belongs here: the rules of ``run.mend``. Nothing here buys, and no file of the user's is
touched: one that was edited stays as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..contract.states import PointStatus
from ..errors import NotFoundError
from ..sweep.journal import Journal
from ..sweep.store import Store, digest_of

if TYPE_CHECKING:
    from ..api.client import DecartClient


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of results that were looked for; each is a tuple of point ids.

    Attributes
    ----------
    fetched : tuple of str
        Were gone, and are in their place again.
    gone : tuple of str
        Are gone, and the service does not have them: pictures that were answered at once, and jobs
        that it has forgotten.
    changed : tuple of str
        Are there and are not what came: somebody has edited them. They are left as they are.
    different : tuple of str
        Are gone, and the service now has something else for the job. The point stays as it was;
        what came is kept beside it, and ``run.events`` names both.
    """

    fetched: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    different: tuple[str, ...] = ()


async def mend(client: DecartClient, journal: Journal, store: Store) -> Mended:
    """Look for every result of a run, and fetch those that are gone.

    Parameters
    ----------
    client : DecartClient
        Asked for the content of jobs.
    journal : Journal
        Of the run, held.
    store : Store
        Its folder.
    """
    found: dict[str, list[str]] = {"fetched": [], "gone": [], "changed": [], "different": []}
    for row in await asyncio.to_thread(journal.rows):
        if row["status"] != PointStatus.COMPLETED or not row["media"]:
            continue
        what = await _look(client, journal, store, row)
        if what:
            found[what].append(row["point_id"])
    await asyncio.to_thread(journal.flush)
    return Mended(**{name: tuple(ids) for name, ids in found.items()})


async def _look(
    client: DecartClient, journal: Journal, store: Store, row: Mapping[str, Any]
) -> str:
    """Return what is the matter with a result, once all that can be done is done; "" for well."""
    path, sha256, point_id = store.folder / row["media"], row["media_sha256"], row["point_id"]
    if path.is_file():
        return "" if await asyncio.to_thread(digest_of, path) == sha256 else "changed"
    if not row["job_id"]:
        return "gone"
    target = await asyncio.to_thread(store.incoming, f"{point_id}.again")
    try:
        media = await client.queue.result(row["job_id"], save_to=target)
    except NotFoundError:
        return "gone"
    stored = await asyncio.to_thread(store.adopt, media.path, media.sha256)
    if stored.sha256 == sha256:
        return "fetched"  # its place follows from its content
    await journal.record(
        "evidence",
        point_id,
        late="another result",
        first_sha256=sha256,
        other_sha256=stored.sha256,
        other_media=stored.media,
    )
    return "different"
