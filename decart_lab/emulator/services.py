"""What every route works with: one bundle per emulator, found through the request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, cast

from starlette.requests import HTTPConnection

from .._clock import Clock
from .auth import Gatekeeper
from .door import Door
from .faults import Faults
from .jobs import Runner
from .keyring import Keyring
from .sessions import Sessions
from .settings import Settings
from .world import World

LOOPBACK_ORIGIN: Final = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one running emulator."""

    settings: Settings
    clock: Clock
    world: World
    keyring: Keyring
    gatekeeper: Gatekeeper
    runner: Runner
    faults: Faults
    door: Door
    sessions: Sessions

    def welcomes(self, origin: str) -> bool:
        """Whether pages of that origin may call: this machine's, and those of the settings."""
        near = LOOPBACK_ORIGIN.fullmatch(origin) is not None
        return near or origin in self.settings.allow_origins


def services(request: HTTPConnection) -> Services:
    """Return the emulator that a request or a socket came to."""
    return cast(Services, request.app.state.services)
