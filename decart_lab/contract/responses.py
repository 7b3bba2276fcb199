"""What the service answers: jobs, results, tokens, files, and its two error formats.

Parsers are tolerant: unknown keys are ignored, unknown job states kept verbatim, and either error
format (FastAPI's ``detail``, problem JSON) becomes one :class:`ErrorBody`. Nothing here raises on
a strange error body; what cannot be understood is kept as bounded text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from ..errors import InvalidInputError
from .states import JobStatus

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~:-]{0,199}\Z")
MAX_TEXT: Final = 2000


def valid_id(value: object) -> bool:
    """Return whether a job or file id is safe to put in an address, and not a path trick."""
    return isinstance(value, str) and ".." not in value and _ID.match(value) is not None


def check_id(value: object, field: str = "job_id") -> str:
    """Return the id, or refuse one that could change the route.

    Raises
    ------
    InvalidInputError
        Not a string of 1 to 200 letters, digits, ``_ . ~ : -``.
    """
    if not valid_id(value):
        raise InvalidInputError(
            f"{field} is not an id: {str(value)[:60]!r}.",
            field=field,
            hint="Pass the id as the service gave it.",
        )
    assert isinstance(value, str)
    return value


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


def _told(value: object) -> object:
    """Make a server's words one bounded printable line, whatever shape they came in."""
    if value is None:
        return None
    return _line(value if isinstance(value, str) else json.dumps(value, default=str))


class Job(_Answer):
    """A job as the service last described it.

    Attributes
    ----------
    job_id : str
        The ticket; with it the result can be collected later.
    status : str
        One of :class:`decart_lab.contract.states.JobStatus`, or an unknown word kept verbatim.
    error : str or None
        The service's reason, when it gives one.
    """

    job_id: str
    status: str
    error: Annotated[str | None, BeforeValidator(_told)] = None

    @field_validator("status")
    @classmethod
    def _bounded(cls, status: str) -> str:
        return _line(status)[:100]

    @property
    def final(self) -> bool:
        """Whether the job has completed or failed."""
        return self.status in (JobStatus.COMPLETED, JobStatus.FAILED)


class FileReference(_Answer):
    """An uploaded file (Files API, wire contract section 5.1)."""

    id: str
    filename: str | None = None
    mime_type: str
    size_bytes: int
    created_at: datetime
    expires_at: datetime | None = None


class RealtimeQuota(_Answer):
    """How many realtime sessions the organisation may hold; None means unlimited."""

    limit: int | None = None
    active: int | None = None
    remaining: int | None = None


class ResultBytes(bytes):
    """Generated media as bytes that also answer to ``.data``, so both documented forms run."""

    @property
    def data(self) -> bytes:
        """The bytes themselves."""
        return bytes(self)

    def __repr__(self) -> str:
        return f"<{len(self):,} bytes of media>"


@dataclass(frozen=True, slots=True)
class JobResult:
    """Outcome of ``submit_and_poll``: failures are results, not exceptions.

    Attributes
    ----------
    status : str
        "completed" or "failed".
    job_id : str
        The job.
    data : object
        The media (bytes, or Media with ``save_to=``) when completed, else None.
    error : str or None
        The service's reason when failed, else "Job failed"; None when completed.
    """

    status: str
    job_id: str
    data: Any = None
    error: str | None = None

    def __repr__(self) -> str:
        what = f"error={self.error!r}" if self.error else f"data={self.data!r}"
        return f"JobResult(status={self.status!r}, job_id={self.job_id!r}, {what})"


@dataclass(frozen=True, slots=True)
class ClientToken:
    """A short-lived credential; its two secret forms never show in a repr.

    Attributes
    ----------
    api_key : str
        The opaque ``ek_...`` form, for REST calls.
    token : str or None
        The signed form, for realtime sessions and file uploads.
    expires_at : datetime
        When new connections stop being accepted, UTC.
    permissions, constraints : dict or None
        What was set at creation, echoed.
    """

    api_key: str = field(repr=False)
    token: str | None = field(repr=False)
    expires_at: datetime
    permissions: dict[str, Any] | None = None
    constraints: dict[str, Any] | None = None

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("A ClientToken is not pickled or copied; mint another.")


class ClientTokenAnswer(_Answer):
    """The wire form of a client token."""

    api_key: str = Field(alias="apiKey", min_length=1)
    token: str | None = None
    expires_at: datetime = Field(alias="expiresAt")
    permissions: dict[str, Any] | None = None
    constraints: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error answer in either format, made one.

    Attributes
    ----------
    message : str
        One line for a person, bounded; "" when there is nothing to say.
    type : str
        Machine word: the problem type's last segment or the first validation error's type.
    fields : tuple of str
        Fields the service named.
    raw : object
        The parsed body, or the bounded text.
    """

    message: str
    type: str = ""
    fields: tuple[str, ...] = ()
    raw: Any = None

    @property
    def moderated(self) -> bool:
        """Whether this says that moderation refused the content."""
        return "moderation" in self.type.lower() or "moderation" in self.message.lower()

    @property
    def out_of_credits(self) -> bool:
        """Whether this says that the account has no credits."""
        text = f"{self.type} {self.message}".lower()
        return "credit" in text


def parse_error(body: bytes) -> ErrorBody:
    """Understand an error body of any shape.

    Parameters
    ----------
    body : bytes
        The first bytes of the answer; the caller has bounded them.

    Examples
    --------
    >>> parse_error(b'{"detail": [{"loc": ["body", "prompt"], "msg": "Field required"}]}').message
    'prompt: Field required'
    >>> parse_error(b'<html>Bad gateway</html>').message
    '<html>Bad gateway</html>'
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        raw = json.loads(text)
    except ValueError:
        return ErrorBody(_line(text), raw=text[:MAX_TEXT])
    if not isinstance(raw, Mapping):
        return ErrorBody(_line(text), raw=text[:MAX_TEXT])
    detail = raw.get("detail")
    if isinstance(detail, list):
        return _validation(raw, detail)
    message = next(
        (v for k in ("detail", "error", "message", "title") if isinstance(v := raw.get(k), str)),
        "",
    )
    kind = raw.get("type")
    slug = kind.rstrip("/").rsplit("/", 1)[-1] if isinstance(kind, str) else ""
    return ErrorBody(_line(message or text), type=slug, raw=raw)


def _validation(raw: Mapping[str, Any], detail: list[Any]) -> ErrorBody:
    rows = [row for row in detail if isinstance(row, Mapping)]
    parts, names = [], []
    for row in rows[:10]:
        loc = row.get("loc")
        path = [str(p) for p in loc if p != "body"] if isinstance(loc, list) else []
        names.append(path[0] if path else "")
        parts.append(f"{'.'.join(path)}: {row.get('msg', '')}" if path else str(row.get("msg", "")))
    kind = str(rows[0].get("type", "")) if rows else ""
    return ErrorBody(
        _line("; ".join(parts)), type=kind, fields=tuple(n for n in names if n), raw=raw
    )


def _line(text: str) -> str:
    """One printable line of bounded length: server text is untrusted."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= 500 else flat[:497] + "..."
