"""Server-sent events out of a stream of bytes, within bounds.

What belongs here: cutting bytes into events as the HTML standard says, whatever a server or a proxy
makes of them. httpx-sse interprets the fields; it is handed one whole event at a time, so that an
endless line or event is noticed here, and so that it is known whether an event had an id of its
own (the reader's ``id`` also repeats that of an earlier event). Connecting is :mod:`.listening`'s.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, cast

from httpx_sse import EventSource

from ..._wire import Head
from ...contract.realtime import MAX_EVENT_BYTES
from ...errors import ResponseError

MAX_ID_CHARS: Final = 1_000
MAX_RETRY_MS: Final = 3_600_000
_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One event as it came.

    Attributes
    ----------
    name : str
        "message" when the server gave none.
    data : str
        Its data lines; never empty, since an event without data is none.
    id : str or None
        The id it came with itself.
    """

    name: str
    data: str
    id: str | None


class EventReader:
    """Reads one answer of server-sent events.

    Parameters
    ----------
    head : Head
        Of the answer; its status is the caller's to check.
    chunks : async iterator of bytes
        The body.
    max_bytes : int
        Longest event; also longest line, of a comment too.

    Attributes
    ----------
    last_id : str or None
        What to send as ``Last-Event-ID``; None when this answer has said nothing about it.
    retry_s : float or None
        How long the server wants us to wait before connecting again, in seconds.
    bytes : int
        How much has come.

    Raises
    ------
    ResponseError
        The answer is of another kind, or compressed: that would hold events back.
    """

    def __init__(
        self, head: Head, chunks: AsyncIterator[bytes], *, max_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        encoding = head.headers.get("content-encoding", "identity").strip().lower()
        if head.content_type != "text/event-stream" or encoding not in ("", "identity"):
            raise ResponseError(
                f"The answer is {head.content_type[:60] or 'of no stated type'!r} "
                f"({encoding[:20]}) and not a plain stream of events.",
                status=head.status,
            )
        self.last_id: str | None = None
        self.retry_s: float | None = None
        self.bytes = 0
        self.headers = {"content-type": "text/event-stream"}  # what EventSource looks at
        self._chunks = chunks
        self._max = max_bytes
        self._own_id = False

    async def read(self) -> AsyncGenerator[SentEvent, None]:
        """Yield events as soon as they are whole; what the end cuts off is none.

        Raises
        ------
        ResponseError
            A line or an event is larger than allowed.
        NetworkError
            The stream broke off.
        """
        async for event in EventSource(cast("Any", self)).aiter_sse():
            if event.retry is not None and 0 <= event.retry <= MAX_RETRY_MS:
                self.retry_s = event.retry / 1000
            named = self._own_id and _sendable(event.id)
            if named:
                self.last_id = event.id
            if event.data:
                yield SentEvent(event.event, event.data, event.id if named else None)

    async def aiter_text(self) -> AsyncIterator[str]:
        """Yield one whole event at a time, its lines ended by a line feed; for EventSource."""
        block: list[str] = []
        size = 0
        async for line in self._lines():
            size += len(line) + 1
            if size > self._max:
                raise self._too_large()
            if line.startswith(":"):
                size -= len(line) + 1  # endless comments keep a connection alive, and cost nothing
            elif line:
                block.append(line)
            elif block:
                self._own_id = any(
                    ln == "id" or (ln.startswith("id:") and "\0" not in ln) for ln in block
                )
                yield "\n".join([*block, "\n"])
                block, size = [], 0

    async def _lines(self) -> AsyncIterator[str]:
        """Yield the lines that were ended, by a carriage return, a line feed or both."""
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        rest: list[str] = []
        size = 0
        beginning, after_return = True, False
        async for chunk in self._chunks:
            self.bytes += len(chunk)
            text = decode(chunk)
            if beginning and text:
                text, beginning = text.removeprefix(_BOM), False
            if after_return and text:
                # The line was ended already; its line feed came in the next piece.
                text, after_return = text.removeprefix("\n"), False
            if not text:
                continue
            after_return = text.endswith("\r")
            *ended, last = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            for line in ended:
                yield "".join([*rest, line])
                rest, size = [], 0
            if last:
                rest.append(last)
                size += len(last)
            if size > self._max:
                raise self._too_large()

    def _too_large(self) -> ResponseError:
        return ResponseError(f"An event is larger than the {self._max:,} bytes allowed.")


def _sendable(text: str) -> bool:
    """Whether an id can go back in a header; one that cannot is as good as none."""
    return len(text) <= MAX_ID_CHARS and text.isascii() and text.isprintable()
