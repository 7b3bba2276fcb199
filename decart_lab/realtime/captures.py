"""What is taken from a running session: frames for callbacks, snapshots, a recording.

The part of :class:`.session.Session` that concerns pixels; it knows the hub and nothing of
signaling, states or money.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..errors import DecartSDKError, InvalidInputError, WebRTCError
from .frames import Format, FrameWorker
from .hub import Hub

if TYPE_CHECKING:
    import av
    import numpy.typing as npt

    from ..media.rtc.remote import RemoteVideo
    from .pagereel import PageReel
    from .recorder import Recorder, Recording
    from .uplink import Uplink

SNAPSHOT_S: Final = 10.0
"""Longest wait for a frame, in seconds."""


class Captures:
    """Frames, snapshots and the recording of one session, which hands these methods on.

    Parameters
    ----------
    uplink : Uplink or None
        What goes out; recorded too when that is asked for.
    tell : callable
        Takes the name and data of an event.
    on_problem : callable
        Takes an error that the session survives.
    check_open : callable
        Raises when the session is over.

    Attributes
    ----------
    hub : Hub
        Where encoded and decoded frames can be had; for previews.
    """

    def __init__(
        self,
        uplink: Uplink | None,
        *,
        tell: Callable[[str, object], None],
        on_problem: Callable[[DecartSDKError], None],
        check_open: Callable[[], None],
    ) -> None:
        self.hub = Hub()
        self.recorder: Recorder | PageReel | None = None
        self._taps: list[Callable[[], object]] = []  # what ends the recorder's listening
        self._uplink = uplink
        self._tell = tell
        self._on_problem = on_problem
        self._check_open = check_open
        self._loop = asyncio.get_running_loop()
        self._workers: dict[Callable[..., object], FrameWorker] = {}
        self._tracks: list[RemoteVideo] = []
        self._listeners: list[Callable[..., object]] = []

    @property
    def active(self) -> bool:
        """Whether somebody takes frames."""
        takers = (self._workers, self._tracks, self._listeners)
        return self.recorder is not None or any(takers)

    async def close(self) -> None:
        """Finish the recording and call nobody any more."""
        try:
            await self.stop_recording()
        except DecartSDKError as error:
            self._on_problem(error)
        for callback in list(self._workers):
            self.off_frame(callback)
        for listener in self._listeners:
            self.hub.remove(listener)
        for track in self._tracks:
            self.hub.remove(track.put)
            track.stop()

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
        worker = FrameWorker(
            callback,
            every=every,
            max_fps=max_fps,
            format=format,
            on_error=lambda error: self._loop.call_soon_threadsafe(
                self._on_problem, WebRTCError(f"A frame callback raised {error!r}.")
            ),
        )
        self._workers[callback] = worker
        self.hub.add_pixels(worker.put)

    def on_sound(self, callback: Callable[[av.AudioFrame], object]) -> None:
        """Call back with received sound, from the decoder's thread: return at once.

        Parameters
        ----------
        callback : callable
            Called with an ``av.AudioFrame`` of 20 ms, 48,000 samples a second; ``to_ndarray()``
            makes it an array.
        """
        self._listeners.append(callback)
        self.hub.add_sound(callback)

    def on_remote_stream(self, handler: Callable[[Any], object]) -> None:
        """Hand a track of received frames to a handler, at once; the official SDK's way.

        The track has ``recv()``, as aiortc's have, and goes on across reconnections.
        """
        from ..media.rtc.remote import RemoteVideo

        track = RemoteVideo()
        self._tracks.append(track)
        self.hub.add_pixels(track.put)
        handler(track)

    def off_frame(self, callback: Callable[[Any], object]) -> None:
        """Call a frame callback no more."""
        worker = self._workers.pop(callback, None)
        if worker is not None:
            self.hub.remove(worker.put)
            worker.close()

    async def snapshot(self) -> npt.NDArray[Any]:
        """Return the next frame as an array (H, W, 3) of uint8.

        Raises
        ------
        WebRTCError
            No frame came in ten seconds.
        """
        from ..media.video import to_rgb

        self._check_open()
        arrived: asyncio.Future[av.VideoFrame] = self._loop.create_future()

        def take(frame: av.VideoFrame) -> None:
            self._loop.call_soon_threadsafe(_deliver, arrived, frame)

        self.hub.add_pixels(take)
        try:
            async with asyncio.timeout(SNAPSHOT_S):
                return await asyncio.to_thread(to_rgb, await arrived)
        except TimeoutError:
            pass
        finally:
            self.hub.remove(take)
        raise WebRTCError(f"No frame came within {SNAPSHOT_S:.0f} s.")

    def record(
        self,
        path: Any,
        *,
        input: bool = False,  # noqa: A002 - what is sent is called so everywhere
        prompt: str | None = None,
    ) -> Recorder:
        """Record what is received, as it comes and without encoding it again.

        Parameters
        ----------
        path : path
            A file name; the ending follows the codec (.mp4 or .webm).
        input : bool, default False
            Whether to record what is sent beside it.
        prompt : str, optional
            What is shown at the start, for the subtitles.

        Returns
        -------
        Recorder
            With ``path``; :meth:`stop_recording` finishes it.
        """
        from .recorder import Recorder

        self._check_free()
        recorder = Recorder(path, input=input)
        self._take(recorder, prompt)
        self.hub.add_video(recorder.video)
        self.hub.add_audio(recorder.audio)
        self._taps = [
            partial(self.hub.remove, recorder.video),
            partial(self.hub.remove, recorder.audio),
        ]
        if input and self._uplink is not None and self._uplink.video_out is not None:
            self._uplink.video_out.add_sink(recorder.input_video)
            self._taps.append(partial(self._uplink.video_out.remove_sink, recorder.input_video))
        return recorder

    def record_in_page(self, reel: PageReel, *, prompt: str | None = None) -> None:
        """Have the page record what it receives, which does not come here."""
        self._check_free()
        reel.begin()
        self._take(reel, prompt)

    def _check_free(self) -> None:
        self._check_open()
        if self.recorder is not None:
            raise InvalidInputError(
                "The session is being recorded already.", hint="Call stop_recording() first."
            )

    def _take(self, recorder: Recorder | PageReel, prompt: str | None) -> None:
        recorder.prompt(prompt or "")
        self.recorder = recorder
        self._tell("recording", str(recorder.path))

    async def stop_recording(self) -> Recording | None:
        """Finish the recording, if there is one, and return what was recorded."""
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return None
        taps, self._taps = self._taps, []
        for leave in taps:
            leave()
        recording = await asyncio.to_thread(recorder.close)
        self._tell("recording", None)
        return recording


def _deliver(arrived: asyncio.Future[av.VideoFrame], frame: av.VideoFrame) -> None:
    if not arrived.done():
        arrived.set_result(frame)
