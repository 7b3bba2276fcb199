"""The wire: one request, one answer, and what went wrong in between. The only httpx import.

What belongs here: sending with evidence of what was sent, deadlines and rates of our own, bounded
bodies, and turning every library exception into a NetworkError. What does not: what a status means
(:mod:`decart_lab.contract.failures`), what may be repeated (``_retry``), routes (``api``).

httpx runs on the httpx-aiohttp transport, called directly: httpx's client would add redirects,
cookies, environment proxies and an INFO log line per request, none of which we want with a key.
No environment proxy is used; ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are honoured.

The key is in clear only inside the request object. Exceptions of the library hold that object, so
none is chained: errors are raised anew outside the ``except`` block, with a plain copy as cause.

Longer than other files, since nothing else may touch httpx.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, Final, cast
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from ._clock import Clock, RealClock
from ._evidence import Evidence
from ._log import SafeLogger, redact
from ._wire import (
    Answer,
    Call,
    Head,
    Receive,
    Timeouts,
    beginning,
    bounded,
    decoder,
    fast_enough,
)
from .config import Secret, is_loopback
from .errors import (
    DeadlineError,
    DecartSDKError,
    InvalidBaseURLError,
    NetworkError,
)

MAX_IN_FLIGHT: Final = 100


class TransportFailure(Exception):  # noqa: N818 - read as "TransportFailure: ..." in a traceback
    """A plain copy of a library's exception, without the request that it held."""


class Http:
    """One service, one key, one pool of connections; bound to the first loop it is used on.

    Parameters
    ----------
    base_url : str
        Checked address without a trailing slash.
    key : Secret or None
        Sent as ``X-API-KEY``; only ever to https or to this machine.
    user_agent : str
        From :func:`decart_lab.config.user_agent`.

    Raises
    ------
    InvalidBaseURLError
        The key would travel in clear to another machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: Secret | None,
        user_agent: str,
        timeouts: Timeouts | None = None,
        logger: SafeLogger | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.base_url = base_url
        self.host = urlsplit(base_url).netloc
        self.timeouts = timeouts or Timeouts()
        self.clock: Clock = clock or RealClock()
        self.simulated: bool | None = None
        self._key = key
        self._secure = base_url.startswith("https:")
        if key is not None and not self._secure and not is_loopback(base_url):
            raise InvalidBaseURLError(
                f"The key would be sent unencrypted to {self.host}.",
                hint="Use an https address, or proxy= for a server that holds the key itself.",
            )
        self._user_agent = user_agent
        self._logger = logger or SafeLogger()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: AiohttpTransport | None = None
        self._fresh: AiohttpTransport | None = None
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._closed = False

    @property
    def logger(self) -> SafeLogger:
        """Where to report."""
        return self._logger

    async def exchange(self, call: Call) -> Answer:
        """Send one request and take its answer, whatever its status.

        Raises
        ------
        NetworkError
            No complete answer; ``sent`` and ``response_started`` tell by evidence how far it got.
        DeadlineError
            ``call.total_s`` ran out.
        ResponseError
            The body is too large or wrongly encoded.
        """
        self._bind()
        evidence = Evidence(call, self.timeouts.write_s, self._logger)
        began = self.clock.now()
        status: object = "no answer"
        try:
            async with asyncio.timeout(call.total_s):
                await self._take_slot()
                try:
                    answer = await self._exchange(call, evidence)
                finally:
                    self._slots.release()
            status = answer.head.status
            return answer
        except DecartSDKError:
            raise
        except TimeoutError:
            pass
        finally:
            if self._logger.enabled:
                took = self.clock.now() - began
                self._logger.debug(f"{call.method} {call.route}: {status} after {took:.3f} s")
        raise DeadlineError(
            f"{call.method} {call.route} on {self.host} took longer than {call.total_s:.4g} s.",
            sent=evidence.sent,
            response_started=evidence.response_started,
        )

    @contextlib.asynccontextmanager
    async def stream(
        self, call: Call, *, query: Secret | None = None
    ) -> AsyncIterator[tuple[Head, AsyncIterator[bytes]]]:
        """Open an answer that goes on and on, whatever its status; for reading only.

        It has a connection of its own, which takes no slot from the calls.

        Parameters
        ----------
        call : Call
            ``total_s`` is for the beginning of the answer; ``read_s`` for the longest silence.
        query : Secret, optional
            The address's query, where that lets one in; the key is then not sent.

        Raises
        ------
        NetworkError
            No answer, or it broke off or fell silent.
        DeadlineError
            No answer in time.
        """
        self._bind()
        evidence = Evidence(call, self.timeouts.write_s, self._logger)
        transport = _transport(self._secure)
        try:
            opened = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(call.total_s):
                    opened = await _send(
                        transport, self._request(call, evidence, query), evidence, self.host
                    )
            if opened is None:
                raise DeadlineError(
                    f"{call.method} {call.route} on {self.host} was not answered within "
                    f"{call.total_s:.4g} s.",
                    sent=evidence.sent,
                )
            head, incoming = opened
            self.simulated = head.simulated
            self._logger.debug(f"{call.method} {call.route}: {head.status}, a stream")
            try:
                yield head, _chunks(incoming, head, evidence, self.host)
            finally:
                await _close(incoming)
        finally:
            await transport.aclose()

    async def aclose(self) -> None:
        """Close the connections; the object cannot be used after."""
        self._closed = True
        pools, self._pool, self._fresh = (self._pool, self._fresh), None, None
        for pool in pools:
            if pool is not None:
                await pool.aclose()

    def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is self._loop and not self._closed:
            return
        if self._closed:
            raise DecartSDKError("The client is closed.", hint="Make a new one.")
        if self._loop is not None:
            raise DecartSDKError(
                "The client is in use on another event loop.",
                hint="Make one client per loop: connections cannot be shared between loops.",
            )
        self._loop = loop
        self._pool, self._fresh = _transport(self._secure), _transport(self._secure, reuse=False)

    async def _take_slot(self) -> None:
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(self.timeouts.pool_s):
                await self._slots.acquire()
                return
        except TimeoutError:
            pass
        raise NetworkError(
            f"No connection slot was free for {self.timeouts.pool_s:.4g} s.",
            hint="Lower concurrency=, or look for calls that hang.",
        )

    async def _exchange(self, call: Call, evidence: Evidence) -> Answer:
        transport = self._fresh if call.once else self._pool
        assert transport is not None
        return await self._perform(transport, call, evidence)

    async def _perform(self, transport: AiohttpTransport, call: Call, evidence: Evidence) -> Answer:
        # The request is in no variable here: it holds the key, and tracebacks show variables.
        head, incoming = await _send(transport, self._request(call, evidence), evidence, self.host)
        try:
            self.simulated = head.simulated
            ok = 200 <= head.status < 300
            chunks = _chunks(incoming, head, evidence, self.host)
            if ok and not call.slow_ok:
                chunks = fast_enough(chunks, self.clock, self.host)
            if ok and call.receive is not None:
                return Answer(head, received=await call.receive(head, chunks))
            if ok:
                return Answer(head, await bounded(chunks, head, call.max_bytes, self.host))
            return Answer(head, await beginning(chunks))
        finally:
            await _close(incoming)

    def _request(self, call: Call, evidence: Evidence, query: Secret | None = None) -> _Outgoing:
        """Make the request; the one place where secrets are revealed, and nothing here fails."""
        headers = {"accept": call.accept, "accept-encoding": "identity"}
        headers["user-agent"] = self._user_agent
        if self._key is not None and query is None:
            headers["x-api-key"] = self._key.reveal()
        headers |= call.headers
        if call.once:
            headers["connection"] = "close"
        url = self.base_url + call.path
        if query is not None:
            url = f"{url}?{query.reveal()}"
        request = _Outgoing(call.method, url, headers)
        read_s = call.read_s or self.timeouts.read_s
        request.extensions = {"timeout": {"connect": self.timeouts.connect_s, "read": read_s}}
        if call.body is not None:
            headers["content-type"] = call.body.content_type
            headers["content-length"] = str(call.body.length)
            request.stream = evidence
        return request


class _Outgoing:
    """A request as the transport reads it; without ``__dict__`` and repr, since it knows the key.

    httpx's own makes objects of address and headers that the transport turns back into text.
    """

    __slots__ = ("extensions", "headers", "method", "stream", "url")

    def __init__(self, method: str, url: str, headers: dict[str, str]) -> None:
        self.method, self.url, self.headers = method, url, headers
        self.stream: Evidence | None = None
        self.extensions: dict[str, Any] = {}

    @property
    def content(self) -> bytes:
        if self.stream is not None:
            raise httpx.RequestNotRead
        return b""


async def fetch_once(
    url: str, address: str, *, user_agent: str, receive: Receive, timeouts: Timeouts
) -> Head:
    """Fetch a user's URL without any key, from an address that was checked.

    Parameters
    ----------
    url : str
        Names the host for TLS and the Host header.
    address : str
        IP address to connect to, so that no second look-up can lead elsewhere.
    receive : callable
        Consumes the body of a 2xx answer.

    Returns
    -------
    Head
        Whatever the status; redirects are the caller's to follow.

    Raises
    ------
    NetworkError
        No complete answer.
    """
    named = httpx.URL(url)
    call = Call("GET", named.path, "(a user's URL)", timeouts.download_s)
    evidence = Evidence(call, timeouts.write_s, SafeLogger())
    request = httpx.Request(
        "GET",
        named.copy_with(host=address),
        headers={
            "host": named.netloc.decode("ascii"),
            "accept": "image/*, video/*",
            "accept-encoding": "identity",
            "user-agent": user_agent,
        },
        extensions={
            "timeout": {"connect": timeouts.connect_s, "read": timeouts.read_s},
            "sni_hostname": named.host if named.scheme == "https" else None,
        },
    )
    transport = _transport(secure=named.scheme == "https")
    try:
        head, incoming = await _send(transport, request, evidence, named.host)
        try:
            if 200 <= head.status < 300:
                await receive(head, _chunks(incoming, head, evidence, named.host))
            return head
        finally:
            await _close(incoming)
    finally:
        await transport.aclose()


class _Incoming:
    """A body that is arriving; without ``__dict__``, since the library's stream knows the key."""

    __slots__ = ("chunks", "close")

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self.chunks = stream.__aiter__
        self.close = stream.aclose


async def _send(
    transport: AiohttpTransport, request: httpx.Request | _Outgoing, evidence: Evidence, host: str
) -> tuple[Head, _Incoming]:
    cancelled: tuple[Any, ...] | None = None
    cause: TransportFailure | None = None
    try:
        async with evidence.watching():
            response = await transport.handle_async_request(cast("httpx.Request", request))
        evidence.response_started = True
        return _head(response), _Incoming(cast("httpx.AsyncByteStream", response.stream))
    except asyncio.CancelledError as error:
        cancelled = error.args
    except Exception as error:  # noqa: BLE001 - some of aiohttp's pass through unmapped
        cause = plain_copy(error)
    del request
    if cancelled is not None:
        raise asyncio.CancelledError(*cancelled)
    if evidence.failure is not None:
        raise evidence.failure
    stalled = evidence.stall is not None and evidence.stall.expired()
    why = "the upload stopped moving" if stalled else str(cause)
    raise NetworkError(
        f"No answer from {host}: {why}.", sent=evidence.sent, response_started=False
    ) from cause


async def _chunks(
    incoming: _Incoming, head: Head, evidence: Evidence, host: str
) -> AsyncIterator[bytes]:
    """Produce the decoded body; a cut-off one is an error."""
    decode = decoder(head, host)
    cancelled: tuple[Any, ...] | None = None
    cause: TransportFailure | None = None
    iterator = incoming.chunks()
    while True:
        try:
            chunk = await anext(iterator, None)
        except asyncio.CancelledError as error:
            cancelled = error.args
        except Exception as error:  # noqa: BLE001 - as in _send
            cause = plain_copy(error)
        if cancelled is not None:
            raise asyncio.CancelledError(*cancelled)
        if cause is not None:
            raise NetworkError(
                f"The answer from {host} broke off: {cause}.",
                sent=evidence.sent,
                response_started=True,
            ) from cause
        if chunk is None:
            return
        if decode is None:
            yield chunk
        else:
            for piece in decode(chunk):
                yield piece


async def _close(incoming: _Incoming) -> None:
    # The answer is had or lost; how the closing goes changes neither.
    with contextlib.suppress(Exception):
        await incoming.close()


def plain_copy(error: Exception) -> TransportFailure:
    """Return a library's exception without what it held: its words, bounded and redacted."""
    text = " ".join(redact(str(error)).split())[:300]
    name = type(error).__name__
    # The class is named only where there is nothing better: a reset comes as ConnectTimeout.
    return TransportFailure(text.rstrip(". ") or name)


def _head(response: httpx.Response) -> Head:
    headers: dict[str, str] = {}
    for name, value in response.headers.raw:
        headers[name.decode("latin-1").lower()] = value.decode("latin-1")
    return Head(response.status_code, headers)


@cache
def tls(secure: bool) -> ssl.SSLContext:
    """Return what certificates are checked with; the same for every connection."""
    # Loading the authorities takes some 20 ms, so it is done once, and not for plain http.
    if secure:
        return httpx.create_ssl_context(trust_env=True)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _transport(secure: bool, *, reuse: bool = True) -> AiohttpTransport:
    """Return a pool of connections; without ``reuse`` each of them serves one request."""
    keeping: dict[str, Any] = {"keepalive_timeout": 15.0} if reuse else {"force_close": True}

    def session() -> aiohttp.ClientSession:  # made where it is used: it belongs to a loop
        connector = aiohttp.TCPConnector(limit=MAX_IN_FLIGHT, ssl=tls(secure), **keeping)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(verify=tls(secure), trust_env=False, client=session)
