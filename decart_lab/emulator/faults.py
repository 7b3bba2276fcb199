"""Faults that are armed: what is to go wrong, where and how often, chosen while the emulator runs.

What belongs here: the list of armed faults and its spelling on a command line. What each fault
does, and what it must provoke, is its row in :mod:`.fault_rows`; meeting requests is
:mod:`.fault_layer`'s.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ..errors import InvalidInputError
from .fault_kinds import Fault, Value
from .fault_rows import FAULTS

ALWAYS: Final = "always"


class Listener(Protocol):
    """What a fault may do to the socket that new connections come to."""

    def refuse(self, seconds: float) -> None:
        """Take no connection for that many of the emulator's seconds."""

    def accept(self) -> None:
        """Take connections again."""


@dataclass(slots=True)
class Armed:
    """One fault that is set to strike.

    Attributes
    ----------
    id : int
        By which it is removed.
    route : str or None
        The only route it strikes; None for every route it has.
    model : str or None
        The only model it strikes.
    after : int
        How many requests (or jobs) that it could strike are let through first.
    times : int or None
        How often it strikes; None for always. A fault of jobs counts jobs, and strikes each of
        them at every request; one of sessions counts sessions, and strikes each of them once.
    chance : float
        With which probability it strikes, by the emulator's own dice.
    values : dict
        Its parameters.
    struck : int
        How often it has.
    jobs, turns : dict
        Which jobs, or sessions, it has met, with whether it strikes them, and how often it has.
    """

    id: int
    fault: Fault
    route: str | None = None
    model: str | None = None
    after: int = 0
    times: int | None = None
    chance: float = 1.0
    values: dict[str, Value] = field(default_factory=dict)
    struck: int = 0
    jobs: dict[str, bool] = field(default_factory=dict)
    turns: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """Return what the HTTP control tells of it."""
        return {
            "id": self.id,
            "fault": self.fault.name,
            "route": self.route,
            "model": self.model,
            "after": self.after,
            "times": self.times,
            "chance": self.chance,
            "values": dict(self.values),
            "struck": self.struck,
        }

    def __str__(self) -> str:
        where = self.route or ("" if self.fault.hook == "listener" else "everywhere")
        often = "" if self.fault.hook == "listener" else _often(self.times)
        given = [f"{name}={value}" for name, value in self.values.items()]
        if self.model is not None:
            given.insert(0, f"model={self.model}")
        if self.after:
            given.append(f"after={self.after}")
        if self.chance < 1:
            given.append(f"chance={self.chance:g}")
        parts = (f"#{self.id:<3} {self.fault.name:<22}", f"{where:<10}", f"{often:<8}")
        return f"{' '.join(parts)} struck {self.struck:<4} {' '.join(given)}".rstrip()


def _often(times: int | None) -> str:
    return ALWAYS if times is None else "once" if times == 1 else f"{times} times"


class Faults:
    """The armed faults of one emulator: a list that can be added to, and cleared, at any time.

    Parameters
    ----------
    seed : int
        What chances are drawn from.

    Examples
    --------
    >>> faults = Faults()
    >>> faults.add("rate_limited", route="jobs", times=2, retry_after_s=3)
    1
    >>> faults
    1 fault is armed:
    #1   rate_limited           jobs       2 times  struck 0    retry_after_s=3.0
    >>> faults.clear()
    >>> faults
    No fault is armed.
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._armed: tuple[Armed, ...] = ()
        self._ids = itertools.count(1)
        self._dice = random.Random(f"{seed}:faults")  # noqa: S311 - repeatable, not secret
        self._listener: Listener | None = None

    def add(
        self,
        name: str,
        *,
        route: str | None = None,
        model: str | None = None,
        after: int = 0,
        times: int | None = None,
        chance: float = 1.0,
        **values: Value,
    ) -> int:
        """Arm a fault, and return the number it can be removed by.

        Parameters
        ----------
        name : str
            One of ``FAULTS``.
        route : str, optional
            "generate", "jobs" (a submission), "status", "content" or "other", and of realtime
            sessions "create" or "live"; by default every route that the fault has.
        model : str, optional
            Only requests about this model, by the name that was asked for.
        after : int, default 0
            How many requests to let through first.
        times : int, optional
            How often it strikes; always by default.
        chance : float, default 1
            Probability with which it strikes.
        **values
            The fault's own parameters; ``FAULTS[name].parameters`` has their defaults.

        Raises
        ------
        InvalidInputError
            No such fault, route or parameter, or a value out of range.
        """
        fault = _known(name)
        if route is not None and route not in fault.routes:
            raise _wrong("route", f"{name} strikes {_listed(fault.routes)}, not {route[:40]!r}")
        if times is not None and times < 1:
            raise _wrong("times", "times must be at least 1")
        if after < 0:
            raise _wrong("after", "after must not be negative")
        if not 0 < chance <= 1:
            raise _wrong("chance", "chance must be above 0 and at most 1")
        given = {**fault.parameters, **{k: fault.value(k, v) for k, v in values.items()}}
        with self._lock:
            armed = Armed(next(self._ids), fault, route, model, after, times, float(chance), given)
            self._armed = (*self._armed, armed)
            listener = self._listener
        if fault.hook == "listener" and listener is not None:
            self._strike(armed, listener)
        return armed.id

    def remove(self, number: int) -> bool:
        """Disarm one fault; return whether there was one of that number."""
        with self._lock:
            gone = [armed for armed in self._armed if armed.id == number]
            self._armed = tuple(armed for armed in self._armed if armed.id != number)
        self._reopen(gone)
        return bool(gone)

    def clear(self) -> None:
        """Disarm every fault; jobs that were stuck or lost are as they would have been."""
        with self._lock:
            gone, self._armed = self._armed, ()
        self._reopen(gone)

    def bind(self, listener: Listener | None) -> None:
        """Take the listener of a server that has started; None when it has ended."""
        with self._lock:
            self._listener = listener
            waiting = [a for a in self._armed if a.fault.hook == "listener" and not a.struck]
        if listener is not None:
            for armed in waiting:
                self._strike(armed, listener)

    def meet(self, route: str, model: str | None, job_id: str | None) -> Armed | None:
        """Return the fault that strikes a request, if one does, and count it."""
        if not self._armed:
            return None
        with self._lock:
            for armed in self._armed:
                if self._strikes(armed, route, model, job_id):
                    armed.struck += 1
                    return armed
        return None

    def beset(self, route: str, model: str, session_id: str) -> list[Armed]:
        """Return the faults that strike a realtime session and have not met it yet."""
        with self._lock:
            found = [
                armed
                for armed in self._armed
                if armed.fault.hook == "session"
                and session_id not in armed.jobs
                and self._strikes(armed, route, model, session_id)
            ]
            for armed in found:
                armed.struck += 1
        return found

    def _strikes(self, armed: Armed, route: str, model: str | None, job_id: str | None) -> bool:
        fault = armed.fault
        if fault.hook == "listener" or route not in fault.routes:
            return False
        if armed.route not in (None, route) or armed.model not in (None, model):
            return False
        sticky = job_id if fault.hook in ("job", "session") else None
        if sticky is not None and sticky in armed.jobs:
            return armed.jobs[sticky]
        struck = sum(armed.jobs.values()) if sticky is not None else armed.struck
        strikes = armed.times is None or struck < armed.times
        if strikes and armed.after:
            armed.after -= 1
            strikes = False
        strikes = strikes and (armed.chance >= 1 or self._dice.random() < armed.chance)
        if sticky is not None:
            armed.jobs[sticky] = strikes
        return strikes

    def _strike(self, armed: Armed, listener: Listener) -> None:
        armed.struck += 1
        listener.refuse(float(armed.values["for_s"]))

    def _reopen(self, gone: tuple[Armed, ...] | list[Armed]) -> None:
        if self._listener is not None and any(a.fault.hook == "listener" for a in gone):
            self._listener.accept()

    def __iter__(self) -> Iterator[Armed]:
        return iter(self._armed)

    def __len__(self) -> int:
        return len(self._armed)

    def __repr__(self) -> str:
        armed = self._armed
        if not armed:
            return "No fault is armed."
        count = "1 fault is" if len(armed) == 1 else f"{len(armed)} faults are"
        return "\n".join([f"{count} armed:", *map(str, armed)])


def overview() -> str:
    """Return one line for each fault there is: its name, what it does, and its parameters."""
    width = max(map(len, FAULTS))
    return "\n".join(
        f"{fault.name:<{width}}  {fault.says}"
        + "".join(f"; {name}={value}" for name, value in fault.parameters.items())
        for fault in FAULTS.values()
    )


def parse(text: str) -> dict[str, Any]:
    """Read ``name`` or ``name:key=value,...`` into what :meth:`Faults.add` takes.

    Raises
    ------
    InvalidInputError
        Not of that form, or a fault that does not exist.

    Examples
    --------
    >>> parse("rate_limited:times=2,route=jobs,retry_after_s=0.5")
    {'name': 'rate_limited', 'times': 2, 'route': 'jobs', 'retry_after_s': 0.5}
    """
    name, _, rest = text.partition(":")
    fault = _known(name.strip())
    given: dict[str, Any] = {"name": fault.name}
    for piece in filter(None, (piece.strip() for piece in rest.split(","))):
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not equals or not key or key in given:
            raise _wrong("fault", f"{piece[:60]!r} is not key=value, or is given twice")
        try:
            given[key] = _READERS[key](value) if key in _READERS else fault.value(key, value)
        except ValueError as error:
            if isinstance(error, InvalidInputError):
                raise
            raise _wrong(key, f"{key} cannot be {value[:40]!r}") from error
    return given


_READERS: Final[dict[str, Any]] = {
    "route": str,
    "model": str,
    "after": int,
    "times": lambda text: None if text == ALWAYS else int(text),
    "chance": float,
}


def _known(name: str) -> Fault:
    fault = FAULTS.get(name)
    if fault is None:
        raise _wrong(
            "fault",
            f"there is no fault {name[:40]!r}",
            hint=f"There are: {', '.join(FAULTS)}.",
        )
    return fault


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "no route, but every new connection"


def _wrong(name: str, why: str, hint: str | None = None) -> InvalidInputError:
    return InvalidInputError(f"This fault cannot be armed: {why}.", field=name, hint=hint)
