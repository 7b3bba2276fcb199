"""Who is calling: API keys and client tokens, never stored and never logged.

Any non-empty key is welcome except those that begin with ``invalid`` or ``evt_``; an emulator that
was given keys takes no others. A client token is known by its keyed hash (``ek_...``) or by its
signature (JWT), until it expires; both forms work for every call (wire contract, section 6).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers

from .._clock import Clock
from .answers import Refusal
from .keyring import Keyring
from .records import TokenRecord
from .world import World


@dataclass(frozen=True, slots=True)
class Caller:
    """An accepted caller: the account itself, or somebody with a client token."""

    token: TokenRecord | None = None


class Gatekeeper:
    """Lets callers in.

    Parameters
    ----------
    api_keys : iterable of str
        The only keys to take; none for any. They are kept as salted digests.
    """

    def __init__(
        self, api_keys: Iterable[str], world: World, keyring: Keyring, clock: Clock
    ) -> None:
        self._salt = secrets.token_bytes(16)
        self._digests = tuple(self._digest(key) for key in api_keys)
        self._world = world
        self._keyring = keyring
        self._clock = clock

    def admit(self, headers: Headers, *, running: TokenRecord | None = None) -> Caller:
        """Return the caller of a request.

        Parameters
        ----------
        headers : Headers
            Of the request.
        running : TokenRecord, optional
            The client token that the session in question was opened with: it goes on controlling
            that session when it has expired (wire contract, section 6).

        Raises
        ------
        Refusal
            401: no key, or one that is not accepted.
        """
        return self.admit_key(headers.get("x-api-key", ""), running=running)

    def admit_key(self, given: str, *, running: TokenRecord | None = None) -> Caller:
        """Return the caller who shows that key; as :meth:`admit`."""
        key = given.strip()
        if not key:
            # OpenAPI would make this 422; the documentation says 401 (contradiction 4).
            raise Refusal(401, "No API key: send it in the x-api-key header.")
        if key.startswith("ek_"):
            token = self._world.token_by_hash(self._keyring.hash(key))
            return self._with_token(token, running)
        if key.count(".") == 2 and key.startswith("eyJ"):
            at = self._clock.utc() if running is None else running.created_at
            token_id = self._keyring.verify(key, at)
            token = self._world.tokens.get(token_id) if token_id else None
            return self._with_token(token, running)
        # An event token reads one session's events, and is no key to anything (section 7.1).
        if key.startswith(("invalid", "evt_")) or not self._known(key):
            raise Refusal(401, "Invalid API key.")
        return Caller()

    def admit_account(self, headers: Headers) -> Caller:
        """Return the caller, who must hold an API key and not a client token.

        Raises
        ------
        Refusal
            401 as for :meth:`admit`, 403 for a client token.
        """
        caller = self.admit(headers)
        if caller.token is not None:
            raise Refusal(403, "Client tokens cannot be created with a client token.")
        return caller

    def _with_token(self, token: TokenRecord | None, running: TokenRecord | None) -> Caller:
        over = token is not None and token.expires_at <= self._clock.utc()
        if token is None or (over and token is not running):
            raise Refusal(401, "The client token is not valid or has expired.")
        return Caller(token)

    def _known(self, key: str) -> bool:
        if not self._digests:
            return True
        digest = self._digest(key)
        # A sum looks at every digest, so that the time taken says nothing about which one is near.
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0

    def _digest(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode(), key=self._salt).digest()
