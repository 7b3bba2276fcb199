"""Users' frame callbacks: on a worker of their own, always with the newest frame.

A slow callback skips frames and never delays them, nor the session. Pixels are converted only for
callbacks that want RGB.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import av

_log = logging.getLogger("decart_lab")

Format = Literal["rgb", "frame"]


class FrameWorker:
    """Calls one callback with frames.

    Parameters
    ----------
    callback : callable
        Called with an array (H, W, 3) of uint8, or with an ``av.VideoFrame``.
    every : int
        Take each n-th frame only.
    max_fps : float, optional
        Call at most so often a second.
    format : {"rgb", "frame"}
        What to call it with.
    on_error : callable, optional
        Told the exception that the callback raised; it is not called again then.

    Attributes
    ----------
    calls, skipped : int
        How often it was called, and how many frames came while it was busy.

    Raises
    ------
    InvalidInputError
        ``every`` or ``max_fps`` make no sense.
    """

    def __init__(
        self,
        callback: Callable[[Any], object],
        *,
        every: int = 1,
        max_fps: float | None = None,
        format: Format = "rgb",  # noqa: A002 - the word users know
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        if every < 1:
            raise InvalidInputError("every must be at least 1.", field="every")
        if max_fps is not None and not max_fps > 0:
            raise InvalidInputError("max_fps must be greater than 0.", field="max_fps")
        if format not in ("rgb", "frame"):
            raise InvalidInputError('format is "rgb" or "frame".', field="format")
        self._callback = callback
        self._every = every
        self._gap_s = 0.0 if max_fps is None else 1.0 / max_fps
        self._rgb = format == "rgb"
        self._on_error = on_error
        self.calls = 0
        self.skipped = 0
        self._seen = 0
        self._newest: av.VideoFrame | None = None
        self._ending = False
        self._ready = threading.Condition()
        self._thread = threading.Thread(
            target=self._work, name="decart-lab-frame-callback", daemon=True
        )
        self._thread.start()

    def put(self, frame: av.VideoFrame) -> None:
        """Offer a frame; it replaces one that still waits."""
        self._seen += 1
        if (self._seen - 1) % self._every:
            return
        with self._ready:
            self.skipped += self._newest is not None
            self._newest = frame
            self._ready.notify()

    def close(self) -> None:
        """Call no more; a call that runs comes to its end by itself."""
        with self._ready:
            self._ending = True
            self._ready.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(1.0)

    def _work(self) -> None:
        from ..media.video import to_rgb

        last = -float("inf")
        while True:
            with self._ready:
                while self._newest is None and not self._ending:
                    self._ready.wait()
                wait = self._gap_s - (time.monotonic() - last)
                if wait > 0 and not self._ending:
                    self._ready.wait(wait)
                    continue
                frame, self._newest = self._newest, None
                if self._ending or frame is None:
                    return
            last = time.monotonic()
            self.calls += 1
            try:
                self._callback(to_rgb(frame) if self._rgb else frame)
            except Exception as error:  # noqa: BLE001 - a user's code may raise anything at all
                _log.exception("A frame callback raised; it is not called again.")
                if self._on_error is not None:
                    self._on_error(error)
                return
