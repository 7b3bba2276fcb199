"""One realtime session: its peer, its events, and how it comes to an end.

What belongs here: the life of a session whichever dialect it speaks. What does not: letting
sessions in and counting them (:mod:`.sessions`), reading messages (:mod:`.session_requests`),
seconds and money (:mod:`.session_bill`), and what the picture looks like (:mod:`.live`). Everything
runs on the server's loop.

Where the vendor is silent (inferred): a session that hears no media for its inactivity limit ends
with ``timeout``; each lost connection is given one restart.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from .._clock import Clock
from ..contract.realtime import Candidate, EndReason, SessionState
from . import prompts
from .event_log import ENDED, TICK, EventLog
from .live import LivePainter
from .peer import LivePeer
from .problems import Problem
from .session_bill import Bill
from .session_requests import KEPT, Change, Order
from .settings import Settings
from .world import World

log = logging.getLogger("decart_lab.emulator")

LOOK_S: Final = 0.1
"""How often, in real seconds, a session looks after itself."""
CHANGE_S: Final = 5.0
"""How long, in real seconds, an acknowledgement waits for the picture to change."""
SIZES: Final = {"720p": (1280, 720), "1080p": (1920, 1080)}
"""Of an avatar's frames, by resolution; all others are answered at the size they come in."""
MAX_REMEMBERED: Final = 1_000
"""Candidates of one offer that are told from repetitions."""
SETTLE_S: Final = 1.0
"""Media does not hurry with an accelerated clock, and so a limit on its silence is never less
than this many real seconds."""


class Session:
    """A session; made by :meth:`.sessions.Sessions.create`.

    Attributes
    ----------
    id : str
        Like ``rs_...``.
    etag : str
        Names the state of its ICE negotiation.
    log : EventLog
        What it told its client.
    reason : str
        Why it ended; "" while it runs.
    """

    def __init__(
        self,
        order: Order,
        world: World,
        clock: Clock,
        settings: Settings,
        on_end: Callable[[Session], None],
    ) -> None:
        self.id = f"rs_{secrets.token_hex(12)}"
        self.order = replace(order, change=Change())  # whose picture may be large
        self.log = EventLog()
        self.etag = ""
        self.reason = ""
        self.prompt = ""
        self.peer: LivePeer | None = None
        self.stale_patches = 0
        self.first_frame_s = settings.first_frame_s
        self.admitted = asyncio.Event()
        self.admitted.set()
        self.generating = asyncio.Event()
        self.hung_up: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._clock = clock
        self._settings = settings
        self._on_end = on_end
        self._painter: LivePainter | None = LivePainter(
            order.model.name,
            SIZES.get(order.resolution),
            enhance=False,
            seed=settings.seed,
            mark=settings.mark,
        )
        self._bill = Bill(order.model, order.speed, world, clock, settings)
        self._offers = 0
        self._negotiating = asyncio.Lock()
        self._heard_s = time.monotonic()
        self._restart_by: float | None = None
        self._remembered: set[Candidate | None] = set()
        self._connected = False
        self._hopeless = False
        self._lost = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        limits = ((order.token and order.token.constraints) or {}).get("realtime") or {}
        asked_s = limits.get("maxSessionDuration", settings.session_s)
        self._limit_s = min(settings.session_s, asked_s)
        self._deadline = clock.now() + self._limit_s
        self.expires_at: datetime = clock.utc() + timedelta(seconds=self._limit_s)
        self.rotate()

    # -- negotiation ---------------------------------------------------------------------------

    async def answer(self, sdp: str) -> str:
        """Answer an offer: the first one, or a later one with another peer.

        Raises
        ------
        InvalidSDP
            It is none; the session stays as it was.
        Problem
            422 for another offer that nobody had asked for, where the settings refuse it; 404
            when the session ended meanwhile.
        """
        async with self._negotiating:
            self._still_there()
            again = self.peer is not None
            asked = self._restart_by is not None
            if again and not asked and self._settings.restarts == "refuse":
                raise Problem(422, "restart-refused", "No ICE restart was asked for.")
            self._offers += 1
            number = self._offers
            assert self._painter is not None, "it lasts as long as the session"
            peer = LivePeer(
                painter=self._painter,
                on_state=partial(self._on_state, number),
                on_first_frame=partial(self._on_first_frame, number),
            )
            peer.hold(not again and self.first_frame_s > 0)
            try:
                answer = await peer.answer(sdp)
                self._still_there()
            except BaseException:
                await peer.close()
                raise
            before, self.peer = self.peer, peer
            self._connected = False
            self._heard_s = time.monotonic()
            self._remembered.clear()
            peer.lose(self._lost)
            if before is not None:
                self._later(before.close())
            if self._hopeless:
                peer.drop()
                self._later(self._give_up())
        if not again and self.first_frame_s > 0:
            self._later(self._release(peer))
        return answer

    async def charge(self) -> None:
        """Enter the session in the ledger; the line is on disk when this returns."""
        await self._bill.enter(self.id, self.order.resolution, self.prompt)

    def tell_candidates(self) -> None:
        """Send the server's own candidates as events, and the end of them."""
        assert self.peer is not None
        for candidate in self.peer.candidates():
            self.log.append("ice-candidate", candidate.as_json())
        self.log.append("ice-candidate", {"candidate": None})

    async def add_candidates(self, candidates: Sequence[Candidate | None]) -> None:
        """Pass the client's candidates on, each once; unreachable ones do not hold anybody up."""
        self._still_there()
        if self.peer is None:
            return
        for candidate in candidates:
            if candidate not in self._remembered and len(self._remembered) < MAX_REMEMBERED:
                self._remembered.add(candidate)
                self._later(self.peer.add_candidate(candidate))

    def rotate(self) -> None:
        """Make every ETag told so far a stale one."""
        self.etag = f'"ice-{secrets.token_hex(6)}"'

    def ask_restart(self, *, hopeless: bool = False) -> None:
        """Ask the client for another offer, and give it so long.

        Parameters
        ----------
        hopeless : bool
            Whether the restart will fail whatever the client does, for faults.
        """
        if self.log.closed or self._restart_by is not None:
            return
        self._hopeless = hopeless
        self._restart_by = self._clock.now() + self._settings.restart_s
        self.log.append("ice-restart", {"ice_servers": self.ice_servers()})

    def fail(self) -> None:
        """Give the connection up, as when a restart has not brought it back."""
        self.end(EndReason.ICE_FAILURE)

    def ice_servers(self) -> list[dict[str, Any]]:
        """Return STUN and TURN servers as JSON, with credentials of their own each time."""
        rows: list[dict[str, Any]] = []
        for url in self._settings.ice_urls:
            row: dict[str, Any] = {"urls": url}
            if url.startswith("turn"):
                row |= {"username": self.id, "credential": secrets.token_urlsafe(16)}
            rows.append(row)
        return rows

    def _on_state(self, number: int, state: str) -> None:
        """Hear from a peer; those that were replaced have nothing to say."""
        if number != self._offers or self.log.closed:
            return
        if state == "connected":
            self._connected = True
            self._restart_by = None
        elif state == "failed":
            self._connected = False
            # A restart is tried once, and the WebSocket dialect knows none any more (7.2).
            if self._restart_by is not None or self.order.dialect == "websocket":
                self.fail()
            else:
                self.ask_restart()

    def _on_first_frame(self, number: int) -> None:
        if number == self._offers and not self.log.closed and self._bill.begin():
            self.generating.set()
            self.log.append("generation_started", {})

    async def _give_up(self) -> None:
        await asyncio.sleep(LOOK_S)  # the client learns the answer first
        self.fail()

    async def _release(self, peer: LivePeer) -> None:
        await self._clock.sleep(self.first_frame_s)
        peer.hold(False)

    # -- for faults ----------------------------------------------------------------------------

    def queue(self, positions: int, each_s: float) -> None:
        """Let the session wait for its turn."""
        self.admitted.clear()
        self._later(self._wait_in_line(positions, each_s))

    async def _wait_in_line(self, positions: int, each_s: float) -> None:
        for position in range(positions, 0, -1):
            if self.order.dialect == "websocket" and not self.log.closed:
                place = {"position": position, "queue_size": positions}
                self.log.append("queue_position", place)
            await self._clock.sleep(each_s)
        self._heard_s = time.monotonic()
        self.admitted.set()

    def lose(self, share: float) -> None:
        """Lose that share of the packets, of later peers too."""
        self._lost = share
        if self.peer is not None:
            self.peer.lose(share)

    def hang_up(self, code: int) -> None:
        """Have the WebSocket closed with this code."""
        if not self.hung_up.done():
            self.hung_up.set_result(code)

    # -- what it shows -------------------------------------------------------------------------

    async def change(self, change: Change) -> None:
        """Show something else: the next frame does when this returns.

        Raises
        ------
        Problem
            404 when the session has ended, 422 for a picture that cannot be painted.
        """
        self._still_there()
        wanted: dict[str, Any] = {}
        if change.prompt is not KEPT:
            seed = self._settings.seed
            self.prompt = prompts.effective_prompt(change.prompt, change.enhance, seed)
            wanted["prompt"] = self.prompt
            self._bill.show(self.prompt)
        if change.image is not KEPT:
            wanted["image"] = change.image
        if wanted and self._painter is not None:
            shown = asyncio.wrap_future(self._painter.change(**wanted))
            done, _ = await asyncio.wait({shown}, timeout=CHANGE_S)
            if done and (error := shown.exception()) is not None:
                raise Problem(422, "invalid-image", f"This cannot be painted: {error}.") from error

    # -- time and money ------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """Where it stands, in the SDKs' words."""
        if self.log.closed:
            return SessionState.DISCONNECTED
        if self._restart_by is not None:
            return SessionState.RECONNECTING
        if self._bill.began:
            return SessionState.GENERATING
        return SessionState.CONNECTED if self._connected else SessionState.CONNECTING

    @property
    def seconds(self) -> int:
        """Whole seconds of generation that have been told and charged."""
        return self._bill.seconds

    def look(self) -> None:
        """Do what is due: a tick, or the end."""
        now = self._clock.now()
        told = self._bill.tick()
        if told is not None:
            self.log.append(TICK, {"seconds": told})
        if now >= self._deadline:
            self.end(EndReason.TIMEOUT)
        elif self._restart_by is not None and now >= self._restart_by:
            self.fail()
        elif self._silent():
            self.end(EndReason.TIMEOUT)
        elif self._bill.uncovered:
            self.end(EndReason.INSUFFICIENT_CREDITS)

    def _silent(self) -> bool:
        limit_s = max(SETTLE_S, self._settings.idle_s / self._settings.speed)
        heard_s = None if self.peer is None else self.peer.last_media_s
        return time.monotonic() - max(self._heard_s, heard_s or 0.0) > limit_s

    # -- the end -------------------------------------------------------------------------------

    def end(self, reason: str) -> dict[str, Any]:
        """End it, once; return the summary with what is billed."""
        if not self.log.closed:
            self.reason = str(reason)
            self._bill.close(self.reason)
            self.log.append(ENDED, {"seconds": self.seconds, "reason": self.reason})
            self._over()
        return {"session_id": self.id, "seconds": self.seconds, "reason": self.reason}

    def vanish(self) -> None:
        """Be gone without a word, as when the server is killed."""
        if not self.log.closed:
            self.reason = str(EndReason.ERROR)
            self._over()

    def _over(self) -> None:
        self.log.close()
        self.admitted.set()  # whoever waits for a turn learns that there will be none
        self._on_end(self)

    async def close(self) -> None:
        """Let go of the peer, the painter and what is still under way.

        Ended sessions are remembered for a while, and theirs is most of the memory.
        """
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        peer, self.peer = self.peer, None
        painter, self._painter = self._painter, None
        if peer is not None:
            await peer.close()
        if painter is not None:
            painter.close()

    def _later(self, work: Any) -> None:
        """Do something beside, whose failure is no reason to end the session."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("beside a session: %r", task.exception())

    def _still_there(self) -> None:
        if self.log.closed:
            raise Problem(404, "session-ended", f"The session has ended: {self.reason}.")

    def __repr__(self) -> str:
        return f"<Session {self.id}: {self.state}, {self.seconds} s>"
