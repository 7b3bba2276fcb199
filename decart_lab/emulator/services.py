"""What every route works with: one bundle per emulator, found through the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from .._clock import Clock
from .auth import Gatekeeper
from .door import Door
from .faults import Faults
from .jobs import Runner
from .keyring import Keyring
from .settings import Settings
from .world import World


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


def services(request: Request) -> Services:
    """Return the emulator that a request came to."""
    return cast(Services, request.app.state.services)
