"""What an emulator can be told: one frozen row of settings, checked when it is made.

Keys are not settings: they are turned into digests at once (see :mod:`.auth`).
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from typing import Final, Literal

from ..errors import InvalidInputError

Render = Literal["full", "canned"]
Restarts = Literal["accept", "refuse"]
ServerCandidates = Literal["both", "events"]

_TIMES: Final = re.compile(r"(lognormal:0*[1-9]?\d*\.?\d+:\d*\.?\d+)?\Z")

PLATFORM: Final = "https://platform.decart.ai"
"""Issuer and audience of client tokens, as at the hosted service (wire contract, section 6)."""

JOB_LIMIT_S: Final = 600.0
"""The service marks a job failed after ten minutes (wire contract, section 5)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one emulator behaves.

    Attributes
    ----------
    speed : float
        Emulator seconds per real second. Media work takes the time it takes.
    render : {"full", "canned"}
        Real media work, or precomputed bytes that differ from job to job.
    credits : float or None
        USD that the account holds; None for an account that never runs dry. Requests without a
        known price draw nothing.
    capacity : int
        Jobs processed at once; more wait as pending.
    seed : int
        What durations, and seeds that a request leaves out, are drawn from.
    allow_origins : tuple of str
        Web origins, besides those of this machine, whose pages may call the emulator.
    max_upload_bytes : int
        Largest request body; the service documents none.
    session_limit : int or None
        Realtime sessions at once; None for no limit.
    render_threads : int
        Threads that do media work.
    service_times : str
        How long jobs are processed, such as ``lognormal:2.0:0.6`` (mean in seconds, sigma), with
        no wait before; "" for times made up to look like the service's.
    tick_s : float
        Seconds between the ticks of a realtime session; the service documents none.
    session_s : float
        How long a realtime session may last, in seconds.
    idle_s : float
        So many seconds without media from the client end a realtime session.
    restart_s : float
        How long a client has to answer the wish for an ICE restart, in seconds.
    first_frame_s : float
        How long a realtime session takes to its first generated frame, in seconds.
    restarts : {"accept", "refuse"}
        What becomes of another offer that was not asked for; how the service takes one from a
        client with a new connection is not known.
    server_candidates : {"both", "events"}
        Whether the emulator's own ICE candidates are in its answers too, or only in events.
    ice_urls : tuple of str
        STUN and TURN servers that clients are told of.
    mark : bool
        Whether SIMULATED is written into live frames.
    """

    speed: float = 1.0
    render: Render = "full"
    credits: float | None = None
    capacity: int = 8
    seed: int = 0
    allow_origins: tuple[str, ...] = ()
    max_upload_bytes: int = 500_000_000
    session_limit: int | None = 5
    render_threads: int = 2
    service_times: str = ""
    tick_s: float = 1.0
    session_s: float = 600.0
    idle_s: float = 30.0
    restart_s: float = 10.0
    first_frame_s: float = 0.0
    restarts: Restarts = "accept"
    server_candidates: ServerCandidates = "both"
    ice_urls: tuple[str, ...] = ()
    mark: bool = True

    def __post_init__(self) -> None:
        _require(self.speed > 0 and math.isfinite(self.speed), "speed", "a number above 0")
        _require(self.render in ("full", "canned"), "render", '"full" or "canned"')
        credit = self.credits
        _require(credit is None or 0 <= credit < math.inf, "credits", "an amount in USD, or None")
        _require(self.capacity >= 1, "capacity", "at least 1")
        limit = self.session_limit
        _require(limit is None or limit >= 1, "session_limit", "at least 1, or None")
        _require(self.max_upload_bytes >= 1, "max_upload_bytes", "at least 1")
        _require(self.render_threads >= 1, "render_threads", "at least 1")
        wanted = "lognormal:MEAN:SIGMA, such as lognormal:2.0:0.6"
        _require(_TIMES.match(self.service_times) is not None, "service_times", wanted)
        for name in ("tick_s", "session_s", "idle_s", "restart_s"):
            _require(0 < getattr(self, name) < math.inf, name, "a number of seconds above 0")
        _require(0 <= self.first_frame_s < math.inf, "first_frame_s", "a number, at least 0")
        _require(self.restarts in ("accept", "refuse"), "restarts", '"accept" or "refuse"')
        told = ("both", "events")
        _require(self.server_candidates in told, "server_candidates", '"both" or "events"')
        for url in self.ice_urls:
            named = url.startswith(("stun:", "stuns:", "turn:", "turns:"))
            _require(named, "ice_urls", "addresses such as stun:127.0.0.1:3478")
        for origin in self.allow_origins:
            _require("://" in origin, "allow_origins", "origins such as https://example.com")

    def service_time(self, dice: random.Random) -> float | None:
        """Draw how long a job is processed; None when that is for the model to say."""
        if not self.service_times:
            return None
        mean, sigma = (float(text) for text in self.service_times.split(":")[1:])
        return dice.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)


def _require(holds: bool, field: str, wanted: str) -> None:
    if not holds:
        raise InvalidInputError(
            f"{field} of the emulator is not {wanted}.", field=field, hint=f"Give {wanted}."
        )
