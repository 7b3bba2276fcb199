"""What a realtime session has cost: seconds of generation, told as ticks and charged in the ledger.

Where the vendor is silent (inferred): seconds are counted from the first generated frame to the
end, whether media flows meanwhile or not, and rounded down; what is charged is what was told.
"""

from __future__ import annotations

import asyncio
import secrets
from math import isnan

from .._clock import Clock
from ..contract.models import ModelSpec
from ..contract.prices import realtime_cost
from .records import LedgerEntry
from .settings import Settings
from .world import World


class Bill:
    """One session's seconds, and its line in the ledger.

    Attributes
    ----------
    seconds : int
        Whole seconds that have been told and charged.
    """

    def __init__(
        self, model: ModelSpec, speed: str, world: World, clock: Clock, settings: Settings
    ) -> None:
        self.seconds = 0
        self._model = model
        self._speed = speed
        self._world = world
        self._clock = clock
        self._settings = settings
        self._entry: LedgerEntry | None = None
        self._began_s: float | None = None

    async def enter(self, session_id: str, resolution: str, prompt: str) -> None:
        """Enter the session in the ledger; the line is on disk when this returns."""
        self._entry = LedgerEntry(
            id=f"led_{secrets.token_hex(8)}",
            at=self._clock.utc(),
            route="realtime",
            model=self._model.name,
            model_resolved=self._model.canonical,
            request_sha256="",
            job_id=None,
            seconds=0.0,
            resolution=resolution,
            price=self._price(0),
            enhanced_prompt=prompt,
            session_id=session_id,
        )
        await asyncio.wrap_future(self._world.save_entry(self._entry))

    def begin(self) -> bool:
        """Count from now on; False when it has begun already."""
        if self._began_s is not None:
            return False
        self._began_s = self._clock.now()
        return True

    @property
    def began(self) -> bool:
        """Whether seconds are counted."""
        return self._began_s is not None

    def tick(self) -> int | None:
        """Return the seconds that are to be told now, if it is time to tell some."""
        tick_s = self._settings.tick_s
        told = int(int(self._elapsed() / tick_s) * tick_s)
        if told <= self.seconds:
            return None
        self._charge(told)
        return told

    def show(self, prompt: str) -> None:
        """Note what is rendered now."""
        if self._entry is not None:
            self._entry.enhanced_prompt = prompt

    def close(self, reason: str) -> None:
        """Charge what has not been told yet, and note why the session ended."""
        self._charge(max(self.seconds, int(self._elapsed())))
        if self._entry is not None:
            self._entry.reason = reason
            self._world.save_entry(self._entry)

    @property
    def uncovered(self) -> bool:
        """Whether the account has no credits left for it."""
        held = self._settings.credits
        return held is not None and self.began and self._world.ledger.total >= held

    def _elapsed(self) -> float:
        return 0.0 if self._began_s is None else self._clock.now() - self._began_s

    def _charge(self, seconds: int) -> None:
        self.seconds = seconds
        if self._entry is not None:
            self._entry.seconds = float(seconds)
            self._entry.price = self._price(seconds)
            self._world.save_entry(self._entry)

    def _price(self, seconds: int) -> float | None:
        cost = realtime_cost(self._model.canonical, seconds, self._speed)
        return None if isnan(cost) else cost
