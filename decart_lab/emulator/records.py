"""What the emulator remembers: jobs, files, client tokens and ledger entries, as plain rows.

Rows turn into JSON and back; where they are kept is :mod:`.world`'s business. No key, and of a
client token only a keyed hash, is ever part of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from ..contract.states import JobStatus


@dataclass
class Record:
    """A row that can be written as JSON and read back."""

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain values, not copied; moments become ISO 8601 text."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """Rebuild a row; names this version does not know are left out."""
        known = {f.name: f.type for f in fields(cls)}
        return cls(
            **{
                name: datetime.fromisoformat(value)
                if "datetime" in str(known[name]) and isinstance(value, str)
                else value
                for name, value in row.items()
                if name in known
            }
        )


@dataclass
class JobRecord(Record):
    """One job: what was asked, what becomes of it, and how long that takes.

    Attributes
    ----------
    prompt : str
        The effective prompt, which is what is rendered.
    inputs : dict
        Stored file by form field, as names inside the world's upload folder.
    seconds : float or None
        Length of the generated clip; None for a picture.
    refused : bool
        Whether it failed for what was asked, and not by a fault of the service.
    wait_s, work_s : float
        Emulator seconds spent pending before a place is sought, and processing.
    result : str
        Name of the finished file inside the world's result folder; "" until there is one.
    """

    id: str
    model: str
    kind: str
    status: str
    prompt: str
    seed: int
    resolution: str
    orientation: str
    submitted_at: datetime
    wait_s: float
    work_s: float
    ledger_id: str
    blocked: bool = False
    seconds: float | None = None
    input_s: float | None = None
    trajectory: list[dict[str, Any]] | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    refused: bool = False
    result: str = ""
    mime: str = ""

    @property
    def final(self) -> bool:
        """Whether the job has completed or failed."""
        return self.status in (JobStatus.COMPLETED, JobStatus.FAILED)


@dataclass
class FileRecord(Record):
    """An uploaded file (wire contract, section 5.1); its content lies under its id."""

    id: str
    filename: str | None
    mime_type: str
    size_bytes: int
    created_at: datetime
    expires_at: datetime | None


@dataclass
class TokenRecord(Record):
    """A client token, without the token: only a keyed hash of its opaque form is kept."""

    id: str
    key_hash: str
    created_at: datetime
    expires_at: datetime
    models: list[str] | None = None
    origins: list[str] | None = None
    constraints: dict[str, Any] | None = None

    def allows_model(self, *names: str) -> bool:
        """Whether a model, by any of its names, is within the token's scope."""
        return self.models is None or any(name in self.models for name in names)


@dataclass
class LedgerEntry(Record):
    """One paid request that was accepted.

    Attributes
    ----------
    price : float or None
        USD; None when the price table has no figure; 0 once a failed job was credited back.
    enhanced_prompt : str
        The prompt that was rendered; "" when moderation refused it.
    session_id : str or None
        The realtime session, whose seconds and price grow while it runs.
    reason : str
        Why that session ended; "" while it runs.
    """

    id: str
    at: datetime
    route: str
    model: str
    model_resolved: str
    request_sha256: str
    job_id: str | None
    seconds: float | None
    resolution: str
    price: float | None
    enhanced_prompt: str
    session_id: str | None = None
    reason: str = ""
