"""Shapes of a request and an answer, and reading a body within bounds. No library, no sockets.

What belongs here: what ``_http`` is told to send and what it hands back, its limits, and the
guards that every body passes through. Sending itself is ``_http``'s.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ._clock import Clock
from .errors import NetworkError, ResponseError

MAX_JSON: Final = 1_000_000
MAX_ERROR: Final = 64_000
RATE_WINDOW_S: Final = 30.0
MIN_RATE: Final = 32_000
"""Bytes per second below which a download, watched over a window, is given up."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each step may take, in seconds.

    Attributes
    ----------
    connect_s : float
        Reaching the service, TLS included.
    pool_s : float
        Waiting for a free connection slot.
    write_s : float
        Longest pause in which the network takes nothing more of an upload.
    read_s : float
        Longest pause between two pieces of an answer.
    call_s : float
        A small call as a whole, its repetitions included.
    process_s : float
        A picture made while we wait, upload and download included.
    upload_s : float
        A job's submission, upload included.
    download_s : float
        A result's download.
    """

    connect_s: float = 10.0
    pool_s: float = 60.0
    write_s: float = 60.0
    read_s: float = 60.0
    call_s: float = 60.0
    process_s: float = 300.0
    upload_s: float = 900.0
    download_s: float = 1800.0


class Body(Protocol):
    """A request body that can be sent more than once."""

    @property
    def content_type(self) -> str:
        """Value of the Content-Type header."""

    @property
    def length(self) -> int:
        """Size in bytes."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Produce exactly ``length`` bytes, or raise a DecartSDKError."""


@dataclass(frozen=True, slots=True)
class BytesBody:
    """A small body held in memory."""

    content: bytes = field(repr=False)
    content_type: str = "application/json"

    @property
    def length(self) -> int:
        """Size in bytes."""
        return len(self.content)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Produce the content."""
        yield self.content


@dataclass(slots=True)
class Head:
    """Status and headers of an answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def simulated(self) -> bool:
        """Whether the emulator says that it made this."""
        return "x-decart-emulator" in self.headers

    @property
    def content_type(self) -> str:
        """Media type without parameters, lower case; "" when not stated."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(slots=True)
class Answer:
    """A whole answer: the head, and the bounded body or what ``receive`` made of it."""

    head: Head
    body: bytes = field(default=b"", repr=False)
    received: Any = None


Receive = Callable[[Head, AsyncIterator[bytes]], Awaitable[object]]


@dataclass(slots=True)
class Call:
    """One request to make.

    Attributes
    ----------
    path, route : str
        The path as sent, and its template for logs and errors.
    once : bool
        Buys or makes something, so it must not be carried out twice: it is sent on a fresh
        connection, because on a stale one nobody can tell whether it arrived.
    total_s : float
        All the time it may take.
    receive : callable, optional
        Consumes the body of a 2xx answer; else it is read into memory up to ``max_bytes``.
    slow_ok : bool
        False gives up on an answer that arrives slower than ``MIN_RATE``.
    headers : mapping of str to str
        Further headers, names in lower case, in printable ASCII: the caller sees to that.
    """

    method: str
    path: str
    route: str
    total_s: float
    body: Body | None = None
    once: bool = False
    accept: str = "application/json"
    read_s: float | None = None
    max_bytes: int = MAX_JSON
    on_progress: Callable[[int, int], object] | None = None
    receive: Receive | None = None
    slow_ok: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


def decoder(head: Head, host: str) -> Callable[[bytes], list[bytes]] | None:
    """Undo gzip or deflate in bounded pieces; we asked for neither, and refuse the rest."""
    encoding = head.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ResponseError(
            f"The answer from {host} is encoded as {encoding[:40]!r}, which was not asked for.",
            status=head.status,
        )
    inflate = zlib.decompressobj(47)

    def decode(chunk: bytes) -> list[bytes]:
        # Growing a thousandfold, a chunk would be 16 MB: a hundredfold is already no honest text.
        limit = 100 * len(chunk) + 65_536
        try:
            piece = inflate.decompress(chunk, limit)
        except zlib.error:
            piece = None
        if piece is None or inflate.unconsumed_tail:
            raise ResponseError(
                f"The compressed answer from {host} is damaged or far too large.",
                status=head.status,
            )
        return [piece]

    return decode


async def bounded(chunks: AsyncIterator[bytes], head: Head, limit: int, host: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise ResponseError(
                f"The answer from {host} is larger than the {limit:,} bytes allowed.",
                status=head.status,
            )
        parts.append(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def beginning(chunks: AsyncIterator[bytes]) -> bytes:
    """Read an error's body as far as it goes and as far as we care: its status is what counts."""
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            parts.append(chunk)
            size += len(chunk)
            if size >= MAX_ERROR:
                break
    except (NetworkError, ResponseError):
        pass
    return b"".join(parts)[:MAX_ERROR]


async def fast_enough(
    chunks: AsyncIterator[bytes], clock: Clock, host: str
) -> AsyncIterator[bytes]:
    since, size = clock.now(), 0
    async for chunk in chunks:
        size += len(chunk)
        elapsed = clock.now() - since
        if elapsed >= RATE_WINDOW_S:
            if size < MIN_RATE * elapsed:
                raise NetworkError(
                    f"The download from {host} fell to {size / elapsed:,.0f} bytes a second.",
                    sent="all",
                    response_started=True,
                )
            since, size = clock.now(), 0
        yield chunk
