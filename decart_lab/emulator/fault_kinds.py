"""What a row of the table of faults is: hook, routes, parameters, and what it must provoke."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from ..errors import InvalidInputError
from .fault_effects import Visit
from .session_faults import LiveEffect

Value = float | str
Hook = Literal[
    "listener", "request", "body", "answer", "job", "content", "account", "clock", "session"
]
"""What a fault happens to: new connections; a request before it is read; its body on the way in;
an answer on its way out; what a job is said to be; the media; who pays; the server's time; a
realtime session."""

BUYING: Final = ("generate", "jobs")
READING: Final = ("status", "content")
SESSIONS: Final = ("create", "live")
ROUTES: Final = (*BUYING, *READING, "other", *SESSIONS)


class Outcome(NamedTuple):
    """What a fault must provoke on one route.

    Attributes
    ----------
    error : str
        Class that a call raises while the fault lasts, "" when it raises nothing; "A or B" where
        the packets decide.
    status : str
        Where the point of a sweep ends when the fault strikes once. For a realtime session: it is
        "unharmed", "recovered" (the same session goes on), "replaced" (by a new one), "ended", or
        "refused".
    paid : int
        Ledger entries that the point, or the session and what replaced it, has then.
    """

    error: str
    status: str
    paid: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A row.

    Attributes
    ----------
    name : str
        How it is armed.
    hook : str
        What it happens to.
    says : str
        What it does, as the end of a sentence that begins with "The service".
    effect : callable
        Does it to one request.
    live : callable or None
        Does it to one realtime session.
    outcomes : dict
        What it must provoke, by route.
    parameters : dict
        Their defaults, which also say their types.
    side : {"server", "client"}
        Whose fault it is.
    large : bool
        Whether the outcomes are those of a body larger than sockets hold; a small one has left
        the client as a whole before the fault can strike, and its point is in doubt.
    """

    name: str
    hook: Hook
    says: str
    effect: Callable[[Visit], Awaitable[None]]
    outcomes: Mapping[str, Outcome]
    parameters: Mapping[str, Value] = field(default_factory=dict)
    side: Literal["server", "client"] = "server"
    large: bool = False
    live: LiveEffect | None = None

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes it can strike."""
        if self.hook == "listener":
            return ()
        generic = self.hook in ("request", "body", "answer", "account", "clock")
        named = tuple(route for route in ROUTES if route in self.outcomes)
        return (*named, "other") if generic and set(READING) & set(named) else named

    def value(self, name: str, given: Value) -> Value:
        """Return a parameter's value, checked and in its type.

        Raises
        ------
        InvalidInputError
            No such parameter, or a number that is none, negative or endless.
        """
        if name not in self.parameters:
            known = ", ".join(self.parameters) or "none"
            raise InvalidInputError(
                f"{self.name} has no parameter {name[:40]!r}; it has: {known}.", field=name
            )
        if isinstance(self.parameters[name], str):
            return str(given)[:500]
        try:
            number = float(given)
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf and name != "skew_s":
            raise InvalidInputError(f"{name} must be a number, at least 0.", field=name)
        if not math.isfinite(number):
            raise InvalidInputError(f"{name} must be a number.", field=name)
        return number
