"""What every signaling dialect offers the session above it: one protocol.

What belongs here: the protocol and the values that cross it. A dialect carries descriptions,
candidates, changes and events; it owns no media and takes no decision about money or reconnecting
(:mod:`..session`). A new dialect is one file that implements :class:`Signaling`, and one row in
the package's ``DIALECTS``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from ...config import Secret
from ...contract.realtime import Candidate, IceServer, ServerEvent


class Keep:
    """The wish to leave something as it is, where None means to clear it."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Keep()


@dataclass(frozen=True, slots=True)
class Change:
    """What a session is to show from now on.

    Attributes
    ----------
    prompt : str, None or KEEP
        The words; None clears them.
    image : str, None or KEEP
        The reference image in base64, or a ``file_...`` reference; None clears it.
    enhance : bool
        Whether the service may extend the words.
    """

    prompt: str | Keep | None = KEEP
    image: str | Keep | None = KEEP
    enhance: bool = True

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return self.prompt is KEEP and self.image is KEEP


@dataclass(frozen=True, slots=True)
class Summary:
    """What the service says at the end: seconds it counted (NaN when it did not say), and why."""

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Reoffer:
    """The answer to an offer on a session that goes on."""

    answer_sdp: str
    ice_servers: tuple[IceServer, ...]


@dataclass(frozen=True, slots=True)
class Farewell:
    """How another process can end the session at the service, should this one die."""

    url: str
    key: Secret | None
    user_agent: str


class Signaling(Protocol):
    """One session's signaling. Used from one event loop; every call may be cancelled.

    All methods raise errors of :mod:`decart_lab.errors` only: WebRTCError, which is also of a
    cause class (AuthError, ModerationError, RejectedError, NotFoundError, ServerError with
    ``retry_after_s``, NetworkError, ResponseError...), and SessionClosedError(reason) once the
    session is over.
    """

    @property
    def session_id(self) -> str | None:
        """The service's name for the session, once it is known."""
        ...

    @property
    def ice_servers(self) -> tuple[IceServer, ...]:
        """What the service told last."""
        ...

    @property
    def subscribe_token(self) -> str | None:
        """Lets viewers in, where the dialect has that."""
        ...

    @property
    def expires_at(self) -> datetime | None:
        """When the session ends at the latest, aware."""
        ...

    @property
    def can_reoffer(self) -> bool:
        """Whether :meth:`reoffer` can bring a session's media back."""
        ...

    @property
    def simulated(self) -> bool | None:
        """Whether the emulator answers; None until it is known."""
        ...

    async def open(self, offer_sdp: str, initial: Change) -> str:
        """Create the session with what it shows first; return the answer's SDP.

        When it raises, nothing is left behind that is known to cost anything.
        """
        ...

    def events(self) -> AsyncIterator[ServerEvent]:
        """Yield what the server says, from the beginning, each once, in order; one consumer.

        Ends after :class:`Ended`. A stream that breaks is taken up again where it ended, inside;
        it raises when that is impossible: SessionClosedError when the session is over (its reason
        "" when nobody said), NetworkError when the service cannot be reached.
        """
        ...

    async def send_candidates(self, candidates: Sequence[Candidate | None]) -> None:
        """Send local candidates in order, each once; None ends the list."""
        ...

    async def reoffer(self, offer_sdp: str) -> Reoffer:
        """Offer a new peer for the same session (an ICE restart, or media that was lost)."""
        ...

    async def change(self, change: Change) -> None:
        """Ask for a change and return when the service has accepted it."""
        ...

    async def state(self) -> dict[str, Any]:
        """Ask how the session stands; {} where the dialect cannot."""
        ...

    def farewell(self) -> Farewell | None:
        """Return how to end the session from outside; None where a closed socket does."""
        ...

    async def end(self) -> Summary | None:
        """End the session at the service, and everything here; idempotent; None when it is silent.

        Ending one that is over already is success. It is tried until ``timeouts`` say stop, and
        raises NetworkError when the service may still be counting.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections and tasks without ending the session; idempotent."""
        ...
