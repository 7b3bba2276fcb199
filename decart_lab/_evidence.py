"""What was handed to the network, by counting: the body of a request on its way out.

What belongs here: ``sent``, the watch over an upload that stops moving, and progress. The class of
a library's exception tells none of this: a reset after the whole request comes as a timeout of the
connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ._log import SafeLogger
from ._wire import Call
from .errors import DecartSDKError, Sent


class Evidence:
    """What was handed to the network; wraps the body and watches that it keeps moving."""

    def __init__(self, call: Call, write_s: float, logger: SafeLogger) -> None:
        self._body = call.body
        self._progress = call.on_progress
        self._write_s = write_s
        self._logger = logger
        self._handed = 0
        self._tried = False
        self.response_started = False
        self.failure: DecartSDKError | None = None
        self.stall: asyncio.Timeout | None = None

    @property
    def sent(self) -> Sent:
        """How much of the request was handed over.

        A request without a body counts as sent as soon as it was given to the transport.
        """
        if self._body is None:
            return "all" if self._tried else "none"
        if self._handed == 0:
            return "none"
        return "all" if self._handed >= self._body.length else "partial"

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Let the calling task end with TimeoutError when an upload stops moving."""
        self._tried = True
        if self._body is None:
            yield
            return
        async with asyncio.timeout(None) as self.stall:
            yield

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert self._body is not None
        try:
            async for chunk in self._body.chunks():
                # Counted before it is handed over: from here on it may arrive.
                self._handed += len(chunk)
                self._watch(self._write_s)
                yield chunk
                self._report()
        except DecartSDKError as error:
            self.failure = error
            raise
        finally:
            self._watch(None)

    def _watch(self, seconds: float | None) -> None:
        if self.stall is not None and not self.stall.expired():
            try:
                self.stall.reschedule(
                    None if seconds is None else asyncio.get_running_loop().time() + seconds
                )
            except RuntimeError:  # the exchange ended first: nothing is left to watch
                self.stall = None

    def _report(self) -> None:
        if self._progress is None or self._body is None:
            return
        try:
            self._progress(self._handed, self._body.length)
        except Exception as error:  # noqa: BLE001 - the callback is the user's
            self._progress = None
            self._logger.error(f"on_upload_progress raised {type(error).__name__}; not called on.")
