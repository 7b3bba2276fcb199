"""What the steps of a point tell the engine; see :mod:`decart_lab.sweep.engine`, which listens."""

from __future__ import annotations

from typing import Protocol

from ..errors import DecartSDKError
from .purchase import Purchase
from .verdict import Fate


class Watcher(Protocol):
    """What the steps tell the engine."""

    def accepted(self, purchase: Purchase) -> None:
        """Take that the service has answered: the request's fate is known."""

    def overdue(self, purchase: Purchase) -> None:
        """Take that its answer is late: others are not to wait for it."""

    def finished(self, purchase: Purchase) -> None:
        """Take that the service works on it no longer."""

    def again(self, purchase: Purchase, what: Fate, error: DecartSDKError) -> float | None:
        """Return after how long it may be sent again; None when it was tried enough."""

    def put_back(self, purchase: Purchase, wait_s: float) -> None:
        """Take that it is planned again, to be sent after so many seconds."""

    def refused(self, error: DecartSDKError) -> None:
        """Take that the service said no to this very request."""

    def troubled(self, error: Exception) -> None:
        """Take a passing failure of a question."""

    def pause(self, error: Exception) -> None:
        """Stop buying: what is wrong concerns every point."""
