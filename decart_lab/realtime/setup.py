"""What a session is made of, gathered before it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .changes import Fetch
from .latency import Latency
from .link import Link, Signal
from .meter import Meter
from .policy import Reconnect
from .signaling.base import Change

if TYPE_CHECKING:
    from .._clock import Clock
    from ..media.sources import Source
    from .uplink import Uplink

MakeUplink = Callable[[Latency | None, Callable[[BaseException | None], None]], "Uplink"]


@dataclass
class Setup:
    """What a session is made of; see :func:`decart_lab.realtime.connect.connect`."""

    model: str
    dialect: str
    make_link: Callable[[Callable[[Signal], None]], Link]
    initial: Change
    meter: Meter
    clock: Clock
    reconnect: Reconnect = field(default_factory=Reconnect)
    idle_timeout_s: float | None = None
    source: Source | None = None
    open_source: Callable[[Any], Source] | None = None
    make_uplink: (
        Callable[[Latency | None, Callable[[BaseException | None], None]], Uplink] | None
    ) = None
    fetch: Fetch | None = None
    references: bool = False
    measure: bool = False
    viewer: bool = False
    run_handler: Callable[..., object] = lambda handler, *data: handler(*data)
