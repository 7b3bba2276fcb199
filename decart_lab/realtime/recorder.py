"""Recording a session: what is received, as it was encoded, with its times and prompts.

What belongs here: taking frames from any thread without making it wait, and the files' names. What
goes into the files is :mod:`.reel`'s; how they are written so that they can be played after a kill
is :mod:`decart_lab.media.mux`'s.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import DecartSDKError, InvalidInputError, StoreError
from .recording import Recording
from .reel import Reel

if TYPE_CHECKING:
    from ..media.rtc.frames import EncodedFrame

__all__ = ["Recorder", "Recording"]

_QUEUE: Final = 2_000  # frames that wait for the disk: some twenty seconds
_CLOSE_S: Final = 10.0
_SUFFIXES: Final = (".mp4", ".webm", ".vtt")
_LOOK_S: Final = 0.05


class Recorder:
    """Writes encoded frames into files; its methods may be called from any thread.

    Parameters
    ----------
    path : str or Path
        The file to write. Its ending follows the codec: ``.mp4`` for H.264, ``.webm`` for VP8. A
        file that is there already is left alone, and the next free name is taken.
    input : bool
        Whether :meth:`input_video` is recorded too, as a second track; not when its codec differs
        from what is received.
    clock : callable, optional
        Seconds on the scale of ``EncodedFrame.arrived_s``.

    Raises
    ------
    InvalidInputError
        The path is a folder, or its folder cannot be made.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        input: bool = False,  # noqa: A002 - what is sent is called so everywhere
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wants_input = input
        self._clock = clock
        self._stem = free_stem(Path(path).expanduser().absolute())
        suffix = Path(path).suffix
        self._path = self._stem.with_name(
            self._stem.name + (suffix if suffix in _SUFFIXES[:2] else ".mp4")
        )
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(_QUEUE)
        self._full = False
        self._dropped = 0
        self._error: DecartSDKError | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._recording: Recording | None = None
        self._reel = Reel(self._stem, wants_input=input)
        self._thread = threading.Thread(target=self._run, name="decart-recorder", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The file; its ending may still change until the first picture has come."""
        paths = self._reel.paths
        return paths[0] if paths else self._path

    def video(self, frame: EncodedFrame) -> None:
        """Take a received picture; returns at once."""
        if self._full and not frame.key:
            self._dropped += 1  # what follows a frame that was dropped cannot be shown either
            return
        self._full = not self._put("video", frame)
        self._dropped += self._full

    def audio(self, frame: EncodedFrame) -> None:
        """Take a received piece of sound; returns at once."""
        self._put("audio", frame)

    def input_video(self, frame: EncodedFrame) -> None:
        """Take a picture that was sent; returns at once."""
        if self._wants_input:
            self._put("input", frame)

    def prompt(self, text: str, at_s: float | None = None) -> None:
        """Note what is asked for from now on, for the subtitles.

        Parameters
        ----------
        text : str
            The prompt; "" for none.
        at_s : float, optional
            Since when, on the recorder's clock; now by default.
        """
        self._put("prompt", (text, self._clock() if at_s is None else at_s))

    def close(self) -> Recording:
        """Finish the files and say what is in them; the second time it only says so.

        Raises
        ------
        StoreError
            Something could not be written. What was written before can be played.
        """
        with self._lock:
            if self._recording is None:
                self._closing.set()
                self._thread.join(_CLOSE_S)
                if self._thread.is_alive():
                    self._error = self._error or StoreError(
                        f"The recording {self.path.name} could not be finished within "
                        f"{_CLOSE_S:.0f} s.",
                        hint="The disk does not answer; what was written before can be played.",
                    )
                self._recording = self._reel.recording(self._dropped)
            if self._error is not None:
                raise self._error
            return self._recording

    def _put(self, kind: str, what: Any) -> bool:
        if self._closing.is_set() or self._error is not None:
            return True
        try:
            self._queue.put_nowait((kind, what))
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        try:
            while not (self._closing.is_set() and self._queue.empty()):
                try:
                    kind, what = self._queue.get(timeout=_LOOK_S)
                except queue.Empty:
                    self._reel.look(self._clock())
                    continue
                if kind == "prompt":
                    self._reel.prompt(*what)
                else:
                    self._reel.frame(kind, what)
            self._reel.finish()
        except DecartSDKError as error:
            self._error = error
            self._reel.abandon()
        except OSError as error:
            self._reel.abandon()
            self._error = StoreError(
                f"The recording {self.path.name} cannot be written: "
                f"{error.strerror or type(error).__name__}.",
                hint="Check the folder and the space that is left.",
            )
            self._error.__cause__ = error


def free_stem(path: Path) -> Path:
    """Return the path without its ending, and with a number when a file of it exists.

    Raises
    ------
    InvalidInputError
        The path is a folder, or its folder cannot be made.
    """
    if path.is_dir():
        raise InvalidInputError(
            f"{path.name} is a folder.", field="path", hint="Name the file to record into."
        )
    stem = path.with_suffix("") if path.suffix in _SUFFIXES else path
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"The folder of {path.name} cannot be made: {error.strerror}.",
            field="path",
            hint="Choose another place.",
        ) from error
    number = 1
    name = stem.name
    while any(stem.with_name(name + suffix).exists() for suffix in _SUFFIXES):
        number += 1
        name = f"{stem.name}-{number}"
    return stem.with_name(name)
