"""URL inputs: fetched by the client, from public addresses only, into a temporary file.

What belongs here: which addresses may be reached and how redirects are followed. The key never
comes near: requests are made without the client's transport. Rules and vectors:
https://docs.python.org/3/library/ipaddress.html and the special-purpose registries of IANA.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO, Final, Self
from urllib.parse import SplitResult, urljoin, urlsplit

from .._http import fetch_once
from .._wire import Head, Timeouts
from ..errors import InvalidInputError, NetworkError
from ..media import temp

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]

MAX_BYTES: Final = 512_000_000
MAX_REDIRECTS: Final = 3
TOTAL_S: Final = 300.0

_REFUSED: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # shared space, cloud metadata among it
        "192.0.0.0/24",  # special use, parts of which pass is_global
        "192.88.99.0/24",  # 6to4 relays
        "64:ff9b::/96",  # NAT64: an IPv4 address inside
        "64:ff9b:1::/48",
        "2001::/23",  # special use, Teredo among it
        "2002::/16",  # 6to4: an IPv4 address inside
        "::/96",  # IPv4-compatible
        "fec0::/10",  # site-local
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
    )
)


def is_public(text: str) -> bool:
    """Return whether an IP address may be reached for a user's URL.

    Examples
    --------
    >>> is_public("93.184.216.34"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address.version == net.version and address in net for net in _REFUSED)


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, odd spellings of numbers included."""
    rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


class Fetcher:
    """Fetches the URL inputs of one call; the files are deleted when the call is over.

    Parameters
    ----------
    allow_private : bool
        Reach private and loopback addresses as well.
    user_agent : str
        What to call ourselves.
    resolver : callable, optional
        Host and port to addresses; the system's by default.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        user_agent: str,
        timeouts: Timeouts,
        resolver: Resolver = resolve,
    ) -> None:
        self._allow_private = allow_private
        self._user_agent = user_agent
        self._resolve = resolver
        self._timeouts = timeouts
        self._files: list[Path] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for path in self._files:
            temp.remove(path)

    async def __call__(self, url: str, field: str) -> Path:
        """Fetch an address into a temporary file.

        Raises
        ------
        InvalidInputError
            The address is unusable or not public, the file is missing or too large, or it could
            not be fetched; no request was made to the service.
        """
        problem: Exception
        try:
            async with asyncio.timeout(TOTAL_S):
                return await self._follow(url, field)
        except InvalidInputError:
            raise
        except TimeoutError as error:
            problem = error
        except NetworkError as error:
            problem = error
        why = problem.message if isinstance(problem, NetworkError) else "It took too long."
        raise InvalidInputError(
            f"The address given as {field} could not be fetched. {why}",
            field=field,
            hint="Download it first and pass the file.",
        ) from problem

    async def _follow(self, url: str, field: str) -> Path:
        for _ in range(MAX_REDIRECTS + 1):
            parts = _split(url, field)
            address = await self._address(parts, field)
            path = temp.new_path(".download")
            self._files.append(path)
            head = await fetch_once(
                url,
                address,
                user_agent=self._user_agent,
                receive=_Receiver(path, field),
                timeouts=self._timeouts,
            )
            if 200 <= head.status < 300:
                return path
            location = head.headers.get("location")
            if head.status not in (301, 302, 303, 307, 308) or not location:
                raise InvalidInputError(
                    f"The address given as {field} answered with status {head.status}.",
                    field=field,
                    hint="Open it in a browser, or download it first and pass the file.",
                )
            target = urljoin(url, location)
            if parts.scheme == "https" and not target.lower().startswith("https:"):
                raise InvalidInputError(
                    f"The address given as {field} is redirected from https to plain http.",
                    field=field,
                    hint="Download it first and pass the file.",
                )
            url = target
        raise InvalidInputError(
            f"The address given as {field} is redirected more than {MAX_REDIRECTS} times.",
            field=field,
            hint="Give the final address.",
        )

    async def _address(self, parts: SplitResult, field: str) -> str:
        """Resolve once; the connection goes to the very address that was checked."""
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        problem: OSError | UnicodeError | None = None
        found: list[str] = []
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            problem = error
        if not found:
            raise InvalidInputError(
                f"The host of the address given as {field} is not known: {host[:100]!r}.",
                field=field,
                hint="Check its spelling and the connection.",
            ) from problem
        if not self._allow_private and not all(is_public(text) for text in found):
            raise InvalidInputError(
                f"The address given as {field} leads into a private network: {host[:100]!r}.",
                field=field,
                hint="If that is meant, make the client with allow_private_urls=True.",
            )
        return found[0]


def _split(url: str, field: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        usable = usable and parts.port != 0 and url.isprintable() and len(url) <= 4000
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInputError(
            f"{field} is not an address that can be fetched.",
            field=field,
            hint="Give an http or https address, or a path.",
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError(
            f"The address given as {field} holds credentials.",
            field=field,
            hint="Download it first and pass the file.",
        )
    return parts


class _Receiver:
    """Streams an answer to a file within the size cap."""

    def __init__(self, path: Path, field: str) -> None:
        self._path = path
        self._field = field

    async def __call__(self, _: Head, chunks: AsyncIterator[bytes]) -> None:
        size = 0
        file: IO[bytes] = await asyncio.to_thread(self._path.open, "wb")
        with file:
            async for chunk in chunks:
                size += len(chunk)
                if size > MAX_BYTES:
                    raise InvalidInputError(
                        f"The address given as {self._field} holds more than {MAX_BYTES:,} bytes.",
                        field=self._field,
                    )
                await asyncio.to_thread(file.write, chunk)
