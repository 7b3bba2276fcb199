"""Everything an emulator knows, in memory for speed and in SQLite for the next start.

A world is a folder: ``world.sqlite``, uploads, results and files. Memory is what requests are
answered from; one writer thread gathers changes into transactions. An acceptance is on disk before
it is answered; a change of status follows when it can, since a restart would work it out again.

A folder belongs to one emulator at a time: SQLite's exclusive lock says so, on every platform,
and ends with the process that held it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar

from ..errors import EmulatorError
from .ledger import Ledger
from .records import FileRecord, JobRecord, LedgerEntry, Record, TokenRecord

SLOTS: Final = 16
RESULTS_KEPT: Final = timedelta(days=7)
"""How long a job's result is kept; the service documents nothing (inferred)."""

_R = TypeVar("_R", bound=Record)


class WorldInUse(Exception):  # noqa: N818 - a condition, handled here, never shown
    """Another emulator holds the folder."""


class Store:
    """Rows of JSON by kind and id, written behind by one thread.

    Parameters
    ----------
    path : Path
        The database; made when missing.
    wait_s : float
        How long to wait for another emulator to let go of it.
    """

    def __init__(self, path: Path, wait_s: float) -> None:
        self._batch: list[tuple[str, str, str | None]] = []
        self._next: Future[None] | None = None
        self._lock = threading.Lock()
        db = sqlite3.connect(path, timeout=wait_s, check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            # A killed process loses nothing so; a power cut may, and this is play money. No commit
            # waits for the disk: jobs would be late by it, which the service's are not.
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("BEGIN EXCLUSIVE")
            db.execute("CREATE TABLE IF NOT EXISTS record (kind, id, body, PRIMARY KEY (kind, id))")
            db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            db.close()
            if "locked" in str(error):
                raise WorldInUse from error
            raise
        self._db = db
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="decart-lab-world")

    def load(self, kind: str, cls: type[_R]) -> list[_R]:
        """Return every row of a kind in the order of entry."""
        rows = self._db.execute("SELECT body FROM record WHERE kind=? ORDER BY rowid", (kind,))
        return [cls.from_json(json.loads(body)) for (body,) in rows]

    def put(self, kind: str, key: str, body: Mapping[str, Any] | None) -> Future[None]:
        """Write a row, or delete it with None; the future is done when it is on disk."""
        text = None if body is None else json.dumps(body)
        with self._lock:
            self._batch.append((kind, key, text))
            if self._next is None:
                self._next = self._writer.submit(self._flush)
            return self._next

    def _flush(self) -> None:
        with self._lock:
            batch, self._batch, self._next = self._batch, [], None
        self._db.execute("BEGIN IMMEDIATE")
        for kind, key, text in batch:
            if text is None:
                self._db.execute("DELETE FROM record WHERE kind=? AND id=?", (kind, key))
            else:
                self._db.execute(
                    "INSERT INTO record VALUES (?,?,?) "
                    "ON CONFLICT (kind, id) DO UPDATE SET body=excluded.body",
                    (kind, key, text),
                )
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Write what is left and let go of the database."""
        self._writer.shutdown(wait=True)
        self._db.close()


class World:
    """Jobs, files, client tokens and the ledger of one emulator.

    Made by :meth:`open`; the mappings are live views for looking at, by id.
    """

    def __init__(self, folder: Path, store: Store, *, temporary: bool) -> None:
        self.folder = folder
        self.temporary = temporary
        self._store = store
        self._jobs = {row.id: row for row in store.load("job", JobRecord)}
        self._files = {row.id: row for row in store.load("file", FileRecord)}
        self._tokens = {row.id: row for row in store.load("token", TokenRecord)}
        self._by_hash = {row.key_hash: row for row in self._tokens.values()}
        self.ledger = Ledger(store.load("ledger", LedgerEntry))
        for part in (self.uploads, self.results, self.contents):
            part.mkdir(exist_ok=True)

    @classmethod
    def open(cls, state: Path | None, *, wait_s: float = 2.0) -> Self:
        """Open the world kept in a state folder, or a temporary one.

        A second emulator on the same folder, as of a second notebook beside the first, gets a
        world of its own in it; ``wait_s`` gives one that is shutting down the time to let go.

        Raises
        ------
        EmulatorError
            The folder cannot be used, or every one of its worlds is in use.
        """
        if state is None:
            folder = Path(tempfile.mkdtemp(prefix="decart-lab-emulator-"))
            return cls(folder, Store(folder / "world.sqlite", wait_s), temporary=True)
        root = state / ".emulator"
        try:
            root.mkdir(parents=True, exist_ok=True)
            (root / ".gitignore").write_text("*\n", encoding="utf-8")
            for slot in range(1, SLOTS + 1):
                folder = root / f"world-{slot}"
                folder.mkdir(mode=0o700, exist_ok=True)
                with contextlib.suppress(WorldInUse):
                    store = Store(folder / "world.sqlite", wait_s if slot == 1 else 0.0)
                    return cls(folder, store, temporary=False)
        except (OSError, sqlite3.Error, ValueError, TypeError) as error:
            raise EmulatorError(
                f"The emulator cannot keep its world in {root}: {error}.",
                hint="Name another folder as state, or remove this one.",
            ) from error
        raise EmulatorError(
            f"All {SLOTS} worlds in {root} are in use by running emulators.",
            hint="End some of them, or name another folder as state.",
        )

    @property
    def uploads(self) -> Path:
        """Folder of inputs that unfinished jobs need."""
        return self.folder / "uploads"

    @property
    def results(self) -> Path:
        """Folder of finished media, by job id."""
        return self.folder / "results"

    @property
    def contents(self) -> Path:
        """Folder of uploaded files, by file id."""
        return self.folder / "files"

    @property
    def jobs(self) -> Mapping[str, JobRecord]:
        """Jobs by id, in the order of submission."""
        return MappingProxyType(self._jobs)

    @property
    def files(self) -> Mapping[str, FileRecord]:
        """Uploaded files by id."""
        return MappingProxyType(self._files)

    @property
    def tokens(self) -> Mapping[str, TokenRecord]:
        """Client tokens by id."""
        return MappingProxyType(self._tokens)

    @property
    def latest(self) -> datetime | None:
        """The last moment the world knows of; its time never runs backwards."""
        moments = [
            *(entry.at for entry in self.ledger),
            *(row.finished_at or row.submitted_at for row in self._jobs.values()),
            *(row.created_at for row in self._files.values()),
            *(row.created_at for row in self._tokens.values()),
        ]
        return max(moments, default=None)

    def token_by_hash(self, key_hash: str) -> TokenRecord | None:
        """Return the client token whose opaque form has that keyed hash."""
        return self._by_hash.get(key_hash)

    def save_job(self, job: JobRecord) -> Future[None]:
        """Keep a job, or what has changed of it."""
        self._jobs[job.id] = job
        return self._store.put("job", job.id, job.as_json())

    def save_file(self, file: FileRecord) -> Future[None]:
        """Keep an uploaded file's row."""
        self._files[file.id] = file
        return self._store.put("file", file.id, file.as_json())

    def save_token(self, token: TokenRecord) -> Future[None]:
        """Keep a client token's row."""
        self._tokens[token.id] = token
        self._by_hash[token.key_hash] = token
        return self._store.put("token", token.id, token.as_json())

    def save_entry(self, entry: LedgerEntry) -> Future[None]:
        """Enter a paid request, or change its price."""
        if self.ledger.find(entry.id) is None:
            self.ledger.add(entry)
        return self._store.put("ledger", entry.id, entry.as_json())

    def drop_file(self, file_id: str) -> Future[None]:
        """Forget an uploaded file and remove its content."""
        self._files.pop(file_id, None)
        (self.contents / file_id).unlink(missing_ok=True)
        return self._store.put("file", file_id, None)

    def prune(self, now: datetime) -> None:
        """Forget what is past its time: old results, expired files and tokens."""
        for job in list(self._jobs.values()):
            if job.finished_at and job.finished_at + RESULTS_KEPT < now:
                del self._jobs[job.id]
                self._store.put("job", job.id, None)
                if job.result:
                    (self.results / job.result).unlink(missing_ok=True)
        for file in list(self._files.values()):
            if file.expires_at and file.expires_at <= now:
                self.drop_file(file.id)
        for token in list(self._tokens.values()):
            if token.expires_at <= now:
                del self._tokens[token.id]
                self._by_hash.pop(token.key_hash, None)
                self._store.put("token", token.id, None)
        wanted = {
            name for job in self._jobs.values() for name in (*job.inputs.values(), job.result)
        }
        for path in (*self.uploads.iterdir(), *self.results.iterdir()):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write what is left; a temporary world is removed."""
        self._store.close()
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __repr__(self) -> str:
        return (
            f"<World: {len(self._jobs)} jobs, {len(self._files)} files, "
            f"{len(self._tokens)} client tokens, {self.ledger!r}>"
        )
