"""What faults do to realtime sessions: small functions, in the order of their rows.

Those of the route "create" run before a session is opened for its client; those of "live" run
beside it, from its first generated frame on, and undo what they can when they are disarmed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

Values = Mapping[str, float | str]
LiveEffect = Callable[["Live", Values], Awaitable[None]]


class Live(Protocol):
    """One session that a fault has struck, and what can be done to it."""

    async def generating(self, seconds: float) -> None:
        """Wait until it has generated for that long, in the emulator's seconds."""

    async def sleep(self, seconds: float) -> None:
        """Wait that many of the emulator's seconds."""

    def unavailable(self, retry_after_s: float) -> None:
        """Refuse it; only while it is being created."""

    def start_late(self, seconds: float) -> None:
        """Let the first generated frame take that long."""

    def queue(self, positions: int, each_s: float) -> None:
        """Let it wait behind so many others."""

    def drop(self) -> None:
        """Let the media connection send and answer nothing any more."""

    def ask_restart(self, *, hopeless: bool) -> None:
        """Ask for an ICE restart, which will help or will not."""

    def cut(self) -> None:
        """Break the streams of events that are open."""

    def stale(self, patches: int) -> None:
        """Let so many PATCHes come too late, whatever ETag they bring."""

    def freeze(self, frozen: bool) -> None:
        """Stop sending media, or go on."""

    def lose(self, share: float) -> None:
        """Lose that share of the packets of media."""

    def hang_up(self, code: int) -> None:
        """Close its WebSocket."""

    def kill(self, seconds: float) -> None:
        """Let the server die, and another one be there after that long."""

    def end(self, reason: str) -> None:
        """End it."""


async def unavailable(live: Live, values: Values) -> None:
    """Have no room for it."""
    live.unavailable(float(values["retry_after_s"]))


async def slow_start(live: Live, values: Values) -> None:
    """Take long to the first frame."""
    live.start_late(float(values["wait_s"]))


async def queue_position(live: Live, values: Values) -> None:
    """Let it queue."""
    live.queue(int(values["positions"]), float(values["each_s"]))


async def ice_drop(live: Live, values: Values) -> None:
    """Lose the network path of the media."""
    await live.generating(float(values["after_s"]))
    live.drop()


async def ice_restart(live: Live, values: Values) -> None:
    """Ask for a restart that works."""
    await live.generating(float(values["after_s"]))
    live.ask_restart(hopeless=False)


async def ice_restart_fails(live: Live, values: Values) -> None:
    """Ask for a restart that does not work."""
    await live.generating(float(values["after_s"]))
    live.drop()
    live.ask_restart(hopeless=True)


async def sse_cut(live: Live, values: Values) -> None:
    """Break the stream of events."""
    await live.generating(float(values["after_s"]))
    live.cut()


async def etag_storm(live: Live, values: Values) -> None:
    """Be overtaken again and again."""
    live.stale(int(values["patches"]))


async def frozen_media(live: Live, values: Values) -> None:
    """Stop sending media for a while."""
    await live.generating(float(values["after_s"]))
    live.freeze(True)
    try:
        await live.sleep(float(values["for_s"]))
    finally:
        live.freeze(False)


async def packet_loss(live: Live, values: Values) -> None:
    """Lose packets, by the same pattern each time, until disarmed."""
    live.lose(float(values["share"]))
    try:
        await live.sleep(float(values["for_s"]))
    finally:
        live.lose(0.0)


async def socket_closed(live: Live, values: Values) -> None:
    """Close the WebSocket."""
    await live.generating(float(values["after_s"]))
    live.hang_up(int(values["code"]))


async def server_killed(live: Live, values: Values) -> None:
    """Die, and come back without a memory of sessions."""
    await live.generating(float(values["after_s"]))
    live.kill(float(values["for_s"]))


async def session_ended(live: Live, values: Values) -> None:
    """End it for a reason of the service's own."""
    await live.generating(float(values["after_s"]))
    live.end(str(values["reason"]))
