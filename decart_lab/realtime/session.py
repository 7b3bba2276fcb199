"""A live session, as Python sees it.

What belongs here: what a user asks of a session, and the figures. How it stays connected is
:mod:`.keeper`'s, how messages travel :mod:`.signaling`'s, pixels :mod:`decart_lab.media`'s. All of
it lives on one event loop; the sync face is :mod:`decart_lab.lab.session`. It is as long as what a
user may ask, documented; the work is done in the files named.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from ..contract.realtime import (
    SessionState,
)
from ..errors import (
    DeadlineError,
    DecartSDKError,
    InvalidInputError,
    NetworkError,
    SessionClosedError,
    WebRTCError,
)
from . import live
from .captures import Captures
from .changes import make_change
from .course import Course
from .events import SessionEvent
from .keeper import Keeper, Outcome
from .latency import Latency
from .measure import Measure
from .signaling.base import KEEP, Change, Keep, Summary

if TYPE_CHECKING:
    import pandas as pd

    from ..media.rtc.outgoing import VideoOut
    from .pagereel import PageReel
    from .recorder import Recorder
    from .setup import Setup

CHANGE_S: Final = 45.0
"""Longest time for a change to be accepted, reconnections included, in seconds."""


class Session:
    """A live session. Made by ``client.realtime.connect`` or ``lab.session``; use it with ``with``.

    Attributes
    ----------
    model : str
        Canonical id.
    dialect : str
        How it is signaled: "http" or "websocket".
    reason : str
        Why it ended, in the service's word or ours (``max_seconds``, ``max_cost``, ``idle``); ""
        while it runs.
    error : DecartSDKError or None
        What ended it, if that was an error.
    """

    def __init__(self, setup: Setup) -> None:
        self.model = setup.model
        self.dialect = setup.dialect
        self.reason = ""
        self.error: DecartSDKError | None = None
        self._setup = setup
        self._clock = setup.clock
        self._loop = asyncio.get_running_loop()
        self._course = course = Course(
            setup.initial, setup.meter, setup.idle_timeout_s, setup.clock, setup.run_handler
        )
        latency = Latency() if setup.measure else None
        if setup.make_uplink is not None:
            course.uplink = setup.make_uplink(latency, self._on_source_ended)
        course.captures = captures = Captures(
            course.uplink,
            tell=course.tell,
            on_problem=course.on_problem,
            check_open=self._check_open,
        )
        course.measure = Measure(captures.hub, latency, course.uplink, course.frame)
        self.hub = captures.hub
        self._keeper = Keeper(setup.make_link, course, setup.reconnect, self._clock)
        self._changing = asyncio.Lock()
        self._task: asyncio.Task[Outcome] | None = None
        self._over = asyncio.Event()
        self.on, self.off = course.bus.on, course.bus.off
        self.on_frame, self.off_frame = captures.on_frame, captures.off_frame
        self.on_remote_stream, self.on_sound = captures.on_remote_stream, captures.on_sound
        self.snapshot, self.stop_recording = captures.snapshot, captures.stop_recording

    # -- what it is ----------------------------------------------------------------------------

    @property
    def session_id(self) -> str | None:
        """The service's name for the session; another one after a reconnection."""
        return self.session_ids[-1] if self.session_ids else None

    @property
    def session_ids(self) -> list[str]:
        """The names of all sessions at the service that this one has been, in order."""
        return list(self._course.session_ids)

    @property
    def state(self) -> SessionState:
        """Where it stands: connecting, connected, generating, reconnecting or disconnected."""
        return self._course.state

    @property
    def subscribe_token(self) -> str | None:
        """Lets viewers watch, where the dialect offers that."""
        link = self._keeper.link
        return None if link is None else link.signaling.subscribe_token

    @property
    def prompt(self) -> str | None:
        """The prompt that is in force."""
        prompt = self._course.shown.prompt
        return None if isinstance(prompt, Keep) else prompt

    @property
    def has_image(self) -> bool:
        """Whether a reference image is in force."""
        return self.image is not None

    @property
    def image(self) -> str | None:
        """The reference image in force, as it went out: base64, or a ``file_...`` reference."""
        image = self._course.shown.image
        return image if isinstance(image, str) else None

    @property
    def seconds(self) -> float:
        """Seconds of generation, as the service counted them so far."""
        return self._course.meter.seconds

    @property
    def cost(self) -> float:
        """USD for them; NaN when the price is unknown. Play money when ``simulated``."""
        return self._course.meter.cost

    @property
    def simulated(self) -> bool | None:
        """Whether the emulator answers; None until it has."""
        return self._course.simulated

    @property
    def over(self) -> bool:
        """Whether the session has ended."""
        return self._over.is_set()

    @property
    def diagnostics(self) -> list[str]:
        """What is not as it should be with media here, in sentences."""
        return self._course.measure.diagnostics()

    @property
    def begun(self) -> bool:
        """Whether it was started, whatever came of it."""
        return self._task is not None

    @property
    def recording(self) -> bool:
        """Whether what is received is being recorded."""
        return self._course.captures.recorder is not None

    @property
    def figures(self) -> Mapping[str, Any]:
        """The last second's figures, by the columns of :meth:`stats`; {} before the first."""
        return self._course.telemetry.latest()

    @property
    def price_per_s(self) -> float:
        """USD for a second of generation; NaN when unknown."""
        return self._course.meter.price_per_s

    @property
    def idle_left(self) -> float | None:
        """Seconds until it stops for want of use; None when it never does."""
        return self._course.idle_left()

    @property
    def sends(self) -> VideoOut | None:
        """What encodes the outgoing video, for previews of it; None when there is none here."""
        return None if self._course.uplink is None else self._course.uplink.video_out

    def previewed_by(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        """Take figures of a preview into every second's row."""
        self._course.preview = figures

    def is_connected(self) -> bool:
        """Whether media is connected."""
        return self.state in (SessionState.CONNECTED, SessionState.GENERATING)

    # -- its life ------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Connect; return when media is connected.

        Raises
        ------
        WebRTCError
            Also of a cause class; nothing is left behind.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="decart-lab-session")
        ready = asyncio.ensure_future(self._course.connected.wait())
        try:
            await asyncio.wait((ready, self._task), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.end()
            raise
        finally:
            ready.cancel()
        if not self._course.connected.is_set():
            raise self.error or SessionClosedError(
                f"The session ended before it began: {self.reason}.", reason=self.reason
            )
        return self

    async def end(self, reason: str = "disconnect") -> Summary:
        """End the session at the service and close everything here; again, it does nothing.

        Returns
        -------
        Summary
            Seconds and reason, as the service counted and called them.
        """
        self._keeper.stop(reason)
        if self._task is not None:
            await asyncio.shield(self._task)
        return self.summary

    disconnect = end
    """The official SDK's word."""

    @property
    def summary(self) -> Summary:
        """Seconds so far and, once it is over, why."""
        return Summary(self.seconds, self.reason)

    async def wait(self) -> Summary:
        """Wait until the session is over, by whatever reason."""
        await self._over.wait()
        return self.summary

    def keep_running(self) -> None:
        """Say that somebody is there, so that an idle session goes on."""
        self._course.use()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.end()

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        return self._course.bus.read()

    def __repr__(self) -> str:
        money = "" if math.isnan(self.cost) else f", {self.cost:.2f} USD"
        why = f" ({self.reason})" if self.over else ""
        play = ", simulated" if self.simulated else ""
        return f"<Session {self.model}: {self.state}{why}, {self.seconds:.0f} s{money}{play}>"

    # -- what it shows -------------------------------------------------------------------------

    async def set(
        self,
        change: Mapping[str, Any] | None = None,
        /,
        *,
        prompt: str | Keep | None = KEEP,
        image: Any = KEEP,
        enhance: bool = True,
    ) -> None:
        """Replace what is shown, in one step.

        Parameters
        ----------
        change : mapping, optional
            The same arguments in a dict, as the official SDK takes them.
        prompt : str or None, optional
            The words; None shows the input unchanged; by default they stay.
        image : path, bytes, picture, array, URL, "file_..." or None, optional
            The reference image; None clears it; by default it stays.
        enhance : bool, default True
            Whether the service may extend the words.

        Raises
        ------
        InvalidInputError
            Before anything is sent.
        ModerationError
            The service refused the words or the picture; what was shown stays, and so does the
            session.
        SessionClosedError
            The session is over.
        """
        if change is not None:
            asked = _arguments(change)
            prompt, image, enhance = (
                asked.get("prompt", prompt),
                asked.get("image", image),
                asked.get("enhance", enhance),
            )
        if self._setup.viewer:
            raise InvalidInputError("A viewer cannot change what a session shows.")
        wanted = await make_change(
            prompt, image, enhance, fetch=self._setup.fetch, references=self._setup.references
        )
        if wanted.empty:
            raise InvalidInputError("Give a prompt or an image.", field="prompt")
        self.keep_running()
        async with self._changing:
            await self._apply(wanted)
            self._course.showing(wanted)
        recorder = self._course.captures.recorder
        if recorder is not None and not isinstance(wanted.prompt, Keep):
            recorder.prompt(wanted.prompt or "")

    async def set_prompt(self, prompt: str | None, *, enhance: bool = True) -> None:
        """Change the words; see :meth:`set`."""
        await self.set(prompt=prompt, enhance=enhance)

    async def set_image(
        self, image: Any, *, prompt: str | Keep | None = KEEP, enhance: bool = True
    ) -> None:
        """Change the reference image; None clears it. See :meth:`set`."""
        await self.set(image=image, prompt=prompt, enhance=enhance)

    async def _apply(self, wanted: Change) -> None:
        """Have the service accept a change, across reconnections."""
        deadline = self._clock.now() + CHANGE_S
        while True:
            await self._until_up(deadline)
            link = self._keeper.link
            if link is None:
                continue
            try:
                return await link.signaling.change(wanted)
            except (NetworkError, SessionClosedError):
                # Asking for a picture twice shows it once: this may be repeated.
                if self.over or self._clock.now() >= deadline:
                    raise
            await self._clock.sleep(0.2)

    async def _until_up(self, deadline: float) -> None:
        while not self._keeper.up.is_set():
            self._check_open()
            if self._clock.now() >= deadline:
                raise DeadlineError(f"The session is still {self.state}; the change was not made.")
            await self._clock.sleep(0.05)
        self._check_open()

    def _check_open(self) -> None:
        if self.over:
            raise SessionClosedError(
                f"The session is over: {self.reason}.",
                reason=self.reason,
                hint="Open a new one.",
            )

    def record(self, path: Any, *, input: bool = False) -> Recorder:  # noqa: A002 - as below
        """Record what is received; see :meth:`.captures.Captures.record`."""
        return self._course.captures.record(path, input=input, prompt=self.prompt)

    def record_in_page(self, reel: PageReel) -> None:
        """Have the page record what it receives; see :meth:`.captures.Captures.record_in_page`."""
        self._course.captures.record_in_page(reel, prompt=self.prompt)

    # -- what goes in --------------------------------------------------------------------------

    async def set_source(self, source: Any) -> None:
        """Send from another source from now on."""
        if self._course.uplink is None or self._setup.open_source is None:
            raise InvalidInputError("This session sends nothing.", field="source")
        self._check_open()
        opened = await asyncio.to_thread(self._setup.open_source, source)
        if opened.has_video and self._course.uplink.video_out is None:
            raise InvalidInputError(
                "This session was opened with sound alone, and cannot send pictures.",
                field="source",
                hint="Open another one with this source.",
            )
        await asyncio.to_thread(self._course.uplink.start, opened)
        self.keep_running()
        self._course.tell("source", opened.label)

    def mute(self, muted: bool = True) -> None:
        """Send nothing for a while, or go on."""
        if self._course.uplink is not None:
            self._course.uplink.muted = muted

    # -- numbers -------------------------------------------------------------------------------

    def stats(self) -> pd.DataFrame:
        """Return one row per second; see :data:`decart_lab.realtime.stats.SECONDS`."""
        return self._course.telemetry.stats()

    def events(self) -> pd.DataFrame:
        """Return one row per event."""
        return self._course.telemetry.events()

    def frames(self) -> pd.DataFrame:
        """Return one row per received frame; kept for the last 100,000."""
        return self._course.telemetry.frames()

    # -- inside --------------------------------------------------------------------------------

    async def _run(self) -> Outcome:
        live.add(self)
        outcome = Outcome("error")
        try:
            uplink = self._course.uplink
            if uplink is not None and self._setup.source is not None:
                await asyncio.to_thread(uplink.start, self._setup.source)
            outcome = await self._keeper.run()
        except DecartSDKError as error:
            outcome = Outcome("error", error)
        finally:
            await self._close(outcome)
        return outcome

    async def _close(self, outcome: Outcome) -> None:
        self.reason, self.error = outcome.reason, outcome.error
        course = self._course
        await course.captures.close()
        if course.uplink is not None:
            await asyncio.to_thread(course.uplink.close)
        if outcome.error is not None:
            course.tell("error", outcome.error)
        self._over.set()
        course.on_state(SessionState.DISCONNECTED)
        course.bus.end()
        live.discard(self)

    def _on_source_ended(self, error: BaseException | None) -> None:
        """From the source's thread: it has nothing more to send."""
        if error is not None:
            problem = error if isinstance(error, DecartSDKError) else WebRTCError(str(error))
            self._loop.call_soon_threadsafe(self._course.on_problem, problem)
        self._loop.call_soon_threadsafe(self._course.tell, "source", None)


def _arguments(change: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(change)
    if "enhance_prompt" in given:
        given["enhance"] = given.pop("enhance_prompt")
    unknown = set(given) - {"prompt", "image", "enhance"}
    if unknown:
        raise InvalidInputError(
            f"set() takes no {sorted(unknown)[0]!r}.", hint="It takes prompt, image and enhance."
        )
    return given
