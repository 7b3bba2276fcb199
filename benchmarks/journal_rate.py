"""How many purchases a second the journal can make durable, and what one costs when alone.

Every intent, job id and result is synced to the disk before anything else happens; what waits at
the same time shares a sync. Promised: at least 300 durable intents a second. The limit beside it
is this disk's own: a file that is written and synced again and again.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from _report import Row, out_argument, report

from decart_lab.sweep.journal import Journal, Lease

POINTS = 2_000
AT_ONCE = 32
ALONE = 200


async def buy(journal: Journal, lease: Lease, number: int) -> float:
    """Take a point through its durable steps; how long its intent took."""
    started = time.perf_counter()
    attempt = await journal.intent(lease, str(number), reserve_usd=0.01)
    took = time.perf_counter() - started
    await journal.ack(lease, attempt, f"job-{number}", "{}")
    await journal.record("status", attempt.point_id, status="processing", polls=1)
    await journal.done(lease, attempt, {"polls": 2})
    await journal.stored(lease, attempt, {"media": f"media/{number}.png"})
    return took


async def intents(journal: Journal, lease: Lease) -> float:
    """Begin every point, ``AT_ONCE`` at a time; how long that took."""
    waiting = iter(range(POINTS))

    async def worker() -> None:
        for number in waiting:
            await journal.intent(lease, str(number), reserve_usd=0.01)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return time.perf_counter() - started


async def whole(journal: Journal, lease: Lease) -> float:
    """Take every point through all its steps, ``AT_ONCE`` at a time; how long that took."""
    waiting = iter(range(POINTS))

    async def worker() -> None:
        for number in waiting:
            await buy(journal, lease, number)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return time.perf_counter() - started


async def alone(journal: Journal, lease: Lease) -> float:
    """The median time of an intent that shares its sync with nobody."""
    return median([await buy(journal, lease, number) for number in range(ALONE)])


def syncs_per_s(folder: Path) -> float:
    """How often a second a small write reaches this disk."""
    with (folder / "sync").open("wb") as file:
        started = time.perf_counter()
        for _ in range(ALONE):
            file.seek(0)
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    return ALONE / (time.perf_counter() - started)


def opened(folder: Path) -> tuple[Journal, Lease]:
    """A new journal of ``POINTS`` planned points."""
    rows = ({"point_id": str(n), "model": "lucy-2.1", "prompt": "ink"} for n in range(POINTS))
    journal = Journal.create(folder, {"run_id": folder.name}, rows, {}, window=POINTS)
    lease = journal.acquire()
    assert lease is not None
    return journal, lease


def main() -> int:
    out = out_argument("journal_rate")
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as root:
        for step in (intents, whole, alone):
            journal, lease = opened(Path(root) / step.__name__)
            found[step.__name__] = asyncio.run(step(journal, lease))
            ask = journal._put(lambda db: db.execute("PRAGMA journal_mode").fetchone()[0])
            mode = ask.result()
            journal.close()
        limit = syncs_per_s(Path(root))
    print(f"journal mode {mode}, {AT_ONCE} at once")
    return report(
        "journal_rate",
        [
            Row("durable intents", POINTS / found["intents"], "/s", 300.0, at_least=True),
            Row("whole purchases, four durable steps each", POINTS / found["whole"], "/s"),
            Row("durable steps of whole purchases", 4 * POINTS / found["whole"], "/s"),
            Row("an intent that is alone, median", 1000 * found["alone"], "ms"),
            Row("a file written and synced alone: this disk's limit", limit, "/s"),
        ],
        out,
    )


if __name__ == "__main__":
    sys.exit(main())
