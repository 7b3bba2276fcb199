"""A live session, blocking: the same words as the async one, run on the engine.

What belongs here: handing each call over. What a session is and does is told in
:mod:`decart_lab.realtime.session`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from .._engine import engine
from ..realtime.signaling.base import KEEP, Keep, Summary
from .namespaces import relayed

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from ..api.realtime import Realtime
    from ..contract.realtime import SessionState
    from ..errors import DecartSDKError
    from ..media.media import Media
    from ..realtime.frames import Format
    from ..realtime.presets import Preset
    from ..realtime.recorder import Recorder, Recording
    from ..realtime.session import Session


class LiveSession:
    """A live session of a notebook; made by ``lab.session``.

    Every call blocks until it is done; media goes on meanwhile. Use it in a ``with`` statement, or
    call :meth:`end`: a session is billed by the second until it is over.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._callbacks: dict[Callable[[Any], object], Callable[..., None] | None] = {}

    # -- what it is ------------------------------------------------------------------------------

    @property
    def model(self) -> str:
        """Canonical id of the model."""
        return self._session.model

    @property
    def state(self) -> SessionState:
        """Where it stands: connecting, connected, generating, reconnecting or disconnected."""
        return self._session.state

    @property
    def session_id(self) -> str | None:
        """The service's name for the session."""
        return self._session.session_id

    @property
    def prompt(self) -> str | None:
        """The prompt in force; None shows the input unchanged."""
        return self._session.prompt

    @property
    def seconds(self) -> float:
        """Seconds of generation, as the service counted them."""
        return self._session.seconds

    @property
    def cost(self) -> float:
        """USD for them; NaN when the price is unknown. Play money when ``simulated``."""
        return self._session.cost

    @property
    def reason(self) -> str:
        """Why it ended; "" while it runs."""
        return self._session.reason

    @property
    def error(self) -> DecartSDKError | None:
        """What ended it, if that was an error."""
        return self._session.error

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._session.over

    @property
    def simulated(self) -> bool | None:
        """Whether the emulator answers."""
        return self._session.simulated

    @property
    def subscribe_token(self) -> str | None:
        """Lets viewers in, where the dialect offers that; see ``lab.view``."""
        return self._session.subscribe_token

    @property
    def diagnostics(self) -> list[str]:
        """What is not as it should be with media here, in sentences."""
        return self._session.diagnostics

    # -- what it shows ---------------------------------------------------------------------------

    def set(
        self, *, prompt: str | Keep | None = KEEP, image: Any = KEEP, enhance: bool = True
    ) -> None:
        """Replace what is shown, in one step.

        Parameters
        ----------
        prompt : str or None, optional
            The words; None shows the input unchanged; by default they stay.
        image : path, bytes, picture, array, URL, Media or None, optional
            The reference image; None clears it; by default it stays.
        enhance : bool, default True
            Whether the service may extend the words.

        Raises
        ------
        InvalidInputError
            Before anything is sent.
        ModerationError
            The service refused; what was shown stays, and so does the session.
        SessionClosedError
            The session is over.
        """
        engine().run(self._session.set, prompt=prompt, image=image, enhance=enhance)

    def set_prompt(self, prompt: str | None, *, enhance: bool = True) -> None:
        """Change the words; see :meth:`set`."""
        self.set(prompt=prompt, enhance=enhance)

    def set_image(self, image: Any) -> None:
        """Change the reference image; None clears it. See :meth:`set`."""
        self.set(image=image)

    def set_source(self, source: Any) -> None:
        """Send from another source from now on."""
        engine().run(self._session.set_source, source)

    def mute(self, muted: bool = True) -> None:
        """Send nothing for a while, or go on."""
        self._session.mute(muted)

    def keep_running(self) -> None:
        """Say that somebody is there, so that an idle session goes on."""
        self._session.keep_running()

    # -- what is taken from it -------------------------------------------------------------------

    def on(self, name: str, handler: Callable[[Any], object]) -> None:
        """Call a handler for every event of a name; nothing that came before is lost."""
        engine().run(self._do, self._session.on, name, relayed(handler, "handler"))

    def on_frame(
        self,
        callback: Callable[[Any], object],
        *,
        every: int = 1,
        max_fps: float | None = None,
        format: Format = "rgb",  # noqa: A002 - the word users know
    ) -> None:
        """Call back with received frames, always the newest, on a thread of its own.

        Parameters
        ----------
        callback : callable
            Called with an array (H, W, 3) of uint8, or with an ``av.VideoFrame``.
        every : int, default 1
            Take each n-th frame only.
        max_fps : float, optional
            Call at most so often a second.
        format : {"rgb", "frame"}
            What to call it with.
        """
        engine().run(
            self._do, self._session.on_frame, callback, every=every, max_fps=max_fps, format=format
        )

    def on_sound(self, callback: Callable[[Any], object]) -> None:
        """Call back with received sound: ``av.AudioFrame`` of 20 ms, from the decoder's thread."""
        engine().run(self._do, self._session.on_sound, callback)

    def off_frame(self, callback: Callable[[Any], object]) -> None:
        """Call a frame callback no more."""
        engine().run(self._do, self._session.off_frame, callback)

    def snapshot(self) -> Media:
        """Return the next frame as a picture."""
        from ..media.media import Media

        pixels = engine().run(self._session.snapshot)
        caption = self.prompt or "the input unchanged"
        return replace(Media.of(pixels), simulated=bool(self.simulated), caption=caption)

    def record(self, path: Any, *, input: bool = False) -> Path:  # noqa: A002 - as below
        """Record what is received, without encoding it again; return the file's path.

        Parameters
        ----------
        path : path
            A file name; the ending follows the codec (.mp4 or .webm). Prompts become a .vtt file
            beside it.
        input : bool, default False
            Whether to record what is sent as well.
        """
        recorder: Recorder = engine().run(self._do, self._session.record, path, input=input)
        return recorder.path

    def stop_recording(self) -> Recording | None:
        """Finish the recording, if there is one, and return what was recorded."""
        return engine().run(self._session.stop_recording)

    def stats(self) -> pd.DataFrame:
        """Return one row per second."""
        return self._session.stats()

    def events(self) -> pd.DataFrame:
        """Return one row per event."""
        return self._session.events()

    def frames(self) -> pd.DataFrame:
        """Return one row per received frame."""
        return self._session.frames()

    # -- its end ---------------------------------------------------------------------------------

    def wait(self) -> Summary:
        """Wait until the session is over; Stop (Ctrl-C) leaves it running."""
        return engine().run(self._session.wait)

    def end(self) -> Summary:
        """End the session; again, it does nothing. Return its seconds and reason."""
        return engine().run(self._session.end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def __repr__(self) -> str:
        money = "" if math.isnan(self.cost) else f", {self.cost:.2f} USD"
        why = f" ({self.reason})" if self.over else ""
        play = ", simulated" if self.simulated else ""
        return f"<LiveSession {self.model}: {self.state}{why}, {self.seconds:.0f} s{money}{play}>"

    @staticmethod
    async def _do(call: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
        """Make a plain call on the engine's loop, where the session lives."""
        return call(*args, **keywords)


def begin(realtime: Realtime, source: Any, options: Mapping[str, Any]) -> LiveSession:
    """Open a session on the engine."""
    return LiveSession(engine().run(realtime.connect, source, **options))


def chosen(preset: str | Preset | None, **given: Any) -> dict[str, Any]:
    """Return a preset's arguments, loaded where it is named, under those given beside it."""
    from ..realtime.presets import load_preset

    kept = load_preset(preset) if isinstance(preset, str) else preset
    beside = {name: value for name, value in given.items() if value is not None}
    return ({} if kept is None else kept.options()) | beside


def watch(realtime: Realtime, token: str, **options: Any) -> LiveSession:
    """Join a session as a viewer, on the engine."""
    return LiveSession(engine().run(realtime.subscribe, token, **options))


def sessions() -> list[Session]:
    """Return the live sessions of this process, oldest first."""
    from ..realtime import live

    return live.sessions()


def stop_all() -> None:
    """End every live session of this process."""
    for session in sessions():
        engine().run(session.end)
