"""``index.sqlite`` beside the runs: which run has bought a request, and how long jobs took.

Nothing here is a truth of its own: claims follow from the journals and are made anew from them by
:func:`rebuild`; durations are a habit that is soon learned again. A run claims a request before its
intent, so that the same request is bought once whatever the number of runs.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from ..contract.states import OPEN, PointStatus
from ..errors import StoreError
from ._moves import UNDER_WAY
from ._schema import BUSY_TIMEOUT_S, connect, full_sync
from .durations import REMEMBERED
from .identity import point_id
from .journal import JOURNAL_NAME, Journal
from .table import INDEX

INDEX_NAME: Final = "index.sqlite"
_VERSION: Final = 1
_TABLES: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS claims (
    request_key TEXT, replicate INTEGER, run_id TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (request_key, replicate)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS durations (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, bucket INTEGER NOT NULL, seconds REAL NOT NULL);
CREATE INDEX IF NOT EXISTS durations_of ON durations (model, bucket);
PRAGMA user_version={_VERSION};
COMMIT;
"""

Key = tuple[str, int]
"""A request's key and which of its repeated buys it is."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of asking for a request.

    Attributes
    ----------
    verdict : {"yours", "owned"}
        Whether the run that asked may buy it, or another has, will, or may have.
    run_id : str
        Whose it is now.
    folder : Path
        That run's folder.
    row : dict or None
        The point in that run as it stands, with its media and facts; None for one of yours, or
        when the other run cannot be read.
    alive : bool
        Whether somebody holds the other run now.
    """

    verdict: Literal["yours", "owned"]
    run_id: str
    folder: Path
    row: Mapping[str, Any] | None = None
    alive: bool = False

    @property
    def result(self) -> Mapping[str, Any] | None:
        """The other run's completed point whose media can be taken over, if there is one."""
        if self.row is None or self.row["status"] != PointStatus.COMPLETED:
            return None
        media = self.row.get("media")
        return self.row if media and (self.folder / media).is_file() else None

    @property
    def coming(self) -> bool:
        """Whether the other run is about to buy it, or is buying it at this moment."""
        return self.alive and self.row is not None and self.row["status"] in OPEN


class Index:
    """The index of the runs under one root; blocking, from any thread.

    Parameters
    ----------
    root : Path
        The folder of all runs.

    Raises
    ------
    StoreError
        The index is of a newer version, or cannot be written. A damaged one is set aside and made
        anew.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = root / INDEX_NAME
        self._lock = threading.RLock()
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._db = self._opened()
        except sqlite3.OperationalError as error:
            raise self._unusable(error) from error
        except sqlite3.DatabaseError:
            self._set_aside()
            self._db = self._opened()
            rebuild(root, self)
        except OSError as error:
            raise self._unusable(error) from error

    def claim(self, request_key: str, replicate: int, run_id: str) -> Claim:
        """Ask to buy one request for a run; see :meth:`claim_all`."""
        return self.claim_all([(request_key, replicate)], run_id)[request_key, replicate]

    def claim_all(self, keys: Iterable[Key], run_id: str) -> dict[Key, Claim]:
        """Ask to buy requests for a run, in one transaction.

        A claim of another run is void when that run has begun no purchase of the request and
        nobody living holds it, or when it is gone.

        Parameters
        ----------
        keys : iterable of (str, int)
            Request keys with their replicates.
        run_id : str
            Who asks.

        Returns
        -------
        dict of (str, int) to Claim
        """
        wanted = list(dict.fromkeys(keys))
        folder = self.root / run_id
        with self._transaction(durable=True) as db:
            owners = {key: self._owner(db, key) for key in wanted}
            others: dict[str, list[Key]] = {}
            for key, owner in owners.items():
                if owner is not None and owner != run_id:
                    others.setdefault(owner, []).append(key)
            found = {key: Claim("yours", run_id, folder) for key in wanted}
            for other, asked in others.items():
                found |= self._held(other, asked)
            now = time.time()
            db.executemany(
                "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)",
                ((*k, run_id, now) for k, c in found.items() if c.verdict == "yours"),
            )
        return found

    def find(self, request_key: str, replicate: int) -> Claim | None:
        """Return who has bought or is buying a request; None when nobody is."""
        return self.find_all([(request_key, replicate)]).get((request_key, replicate))

    def find_all(self, keys: Iterable[Key]) -> dict[Key, Claim]:
        """Return who has bought or is buying requests; those that nobody has are left out."""
        owners: dict[str, list[Key]] = {}
        with self._lock, self._wrapped():
            for key in dict.fromkeys(keys):
                owner = self._owner(self._db, key)
                if owner is not None:
                    owners.setdefault(owner, []).append(key)
        found: dict[Key, Claim] = {}
        for owner, asked in owners.items():
            found |= self._held(owner, asked)
        return found

    def release(self, run_id: str, keys: Iterable[Key]) -> None:
        """Give up claims of a run that it will not buy."""
        with self._transaction(durable=False) as db:
            db.executemany(
                "DELETE FROM claims WHERE request_key = ? AND replicate = ? AND run_id = ?",
                ((*key, run_id) for key in keys),
            )

    # -- durations -----------------------------------------------------------------------------

    def learn(self, model: str, bucket: int, *seconds: float) -> None:
        """Remember how long jobs of a kind took; the oldest are forgotten.

        Parameters
        ----------
        model : str
            Canonical id.
        bucket : int
            Of the clip's length.
        *seconds : float
            Durations, the newest last.
        """
        with self._transaction(durable=False) as db:
            db.executemany(
                "INSERT INTO durations (model, bucket, seconds) VALUES (?, ?, ?)",
                ((model, bucket, value) for value in seconds),
            )
            db.execute(
                "DELETE FROM durations WHERE model = ?1 AND bucket = ?2 AND id NOT IN (SELECT id "
                "FROM durations WHERE model = ?1 AND bucket = ?2 ORDER BY id DESC LIMIT ?3)",
                (model, bucket, REMEMBERED),
            )

    def durations(self) -> dict[tuple[str, int], list[float]]:
        """Return the remembered durations by model and bucket, the newest last."""
        found: dict[tuple[str, int], list[float]] = {}
        with self._lock, self._wrapped():
            lines = self._db.execute("SELECT model, bucket, seconds FROM durations ORDER BY id")
            for model, bucket, seconds in lines:
                found.setdefault((model, bucket), []).append(seconds)
        return found

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside --------------------------------------------------------------------------------

    def _held(self, run_id: str, keys: list[Key]) -> dict[Key, Claim]:
        """Return the claims of a run that are not void."""
        folder = self.root / run_id
        if not (folder / JOURNAL_NAME).is_file():
            return {}
        try:
            with Journal.open(folder, readonly=True) as journal:
                alive = journal.holder() is not None and not journal.abandoned()
                rows = {key: _row(journal, key) for key in keys}
                begun = {key: _begun(journal, rows[key]) for key in keys}
        except StoreError:
            # Nobody can tell what it bought, so what it claimed is not bought again unasked.
            return {key: Claim("owned", run_id, folder) for key in keys}
        return {
            key: Claim("owned", run_id, folder, rows[key], alive)
            for key in keys
            if alive or begun[key]
        }

    @staticmethod
    def _owner(db: sqlite3.Connection, key: Key) -> str | None:
        row = db.execute(
            "SELECT run_id FROM claims WHERE request_key = ? AND replicate = ?", key
        ).fetchone()
        return None if row is None else str(row[0])

    def _opened(self) -> sqlite3.Connection:
        made = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S)
        made.close()
        db = connect(self._path, write=True)
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise StoreError(
                    f"The index {self._path} is of version {version}; this package reads up to "
                    f"version {_VERSION}. Nothing was changed.",
                    hint="Use the version of the package that wrote it, or a newer one.",
                )
            (mode,) = db.execute("PRAGMA journal_mode").fetchone()
            self._full = full_sync(mode.upper())
            if version < _VERSION:
                db.executescript(_TABLES)
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self) -> None:
        aside = self._path.with_name(f"{INDEX_NAME}.damaged-{int(time.time())}")
        try:
            self._path.replace(aside)
        except OSError as error:
            raise self._unusable(error) from error

    @contextlib.contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        with self._lock, self._wrapped():
            self._db.execute(f"PRAGMA synchronous={self._full if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(
            f"The index {self._path} cannot be used: {error}.",
            hint="Check the disk's space and permissions, or set DECART_LAB_RUNS elsewhere.",
        )


def rebuild(root: Path, index: Index | None = None) -> int:
    """Make the claims anew from the journals under a root; return how many there are.

    Of two runs that bought the same request, the one that did so first has the claim.
    """
    found: dict[Key, tuple[str, float]] = {}
    for path in sorted(root.glob(f"*/{JOURNAL_NAME}")):
        try:
            with Journal.open(path.parent, readonly=True) as journal:
                for key, at in _bought(journal):
                    if key not in found or at < found[key][1]:
                        found[key] = (path.parent.name, at)
        except StoreError:
            continue
    with contextlib.nullcontext(index) if index is not None else Index(root) as target:
        assert target is not None
        with target._transaction(durable=True) as db:
            db.execute("DELETE FROM claims")
            db.executemany(
                "INSERT INTO claims VALUES (?, ?, ?, ?)",
                ((*key, run_id, at) for key, (run_id, at) in found.items()),
            )
    return len(found)


def _bought(journal: Journal) -> Iterator[tuple[Key, float]]:
    """Every request of which a run has, or may have, a result of its own."""
    begun = {a[INDEX] for a in journal.attempts() if a["state"] in (*UNDER_WAY, "stored")}
    columns = journal.columns_of(("request_key", "replicate", "submitted_at"))
    for found, key, replicate, at in zip(*columns.values(), strict=True):
        if found in begun and key is not None:
            yield (key, replicate or 0), (at or 0) / 1e6


def _row(journal: Journal, key: Key) -> dict[str, Any] | None:
    try:
        return journal.row(point_id(*key))
    except KeyError:
        return None


def _begun(journal: Journal, row: Mapping[str, Any] | None) -> bool:
    """Whether a run has a result of a point, or has or may have paid for one."""
    if row is None:
        return False
    if row["status"] == PointStatus.COMPLETED:
        return True
    last = journal.attempt_of(row["point_id"])
    return last is not None and last.state in UNDER_WAY
