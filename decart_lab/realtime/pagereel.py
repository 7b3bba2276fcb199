"""Recording what a page receives: its slices, on their way into files.

What belongs here: what is asked of the page's recorder, and writing what it sends, in order. The
page's side is ``widgets/static/livereel.js``: it encodes what it shows once more, in slices of a
second, and sends no more of them than it was told are written. What it sends is appended as it
comes, so that a file can be played whenever the writing stops. It may be anything, and is checked.

The container is the browser's choice: MP4 with H.264 where it can, else WebM.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ..errors import DecartSDKError, MediaError, StoreError, WebRTCError
from .recorder import free_stem
from .recording import Recording
from .subtitles import Subtitles

if TYPE_CHECKING:
    from ..media.tally import Tally

_log = logging.getLogger("decart_lab")

STOP_S: Final = 2.0
"""Longest wait for the slices that are on their way when a recording is stopped, in seconds."""
AGAIN_S: Final = 0.5
"""How long after a recorder of the page has ended by itself it is asked for another, in seconds."""
MOST_BYTES: Final = 8_000_000_000
"""Size of a recording; some seven hours at the rate that browsers record at."""
SLICE_BYTES: Final = 32_000_000
_WAITING: Final = 16  # slices; the page sends four and then waits
_CLOSE_S: Final = 10.0
_HEADS: Final = {b"ftyp": ".mp4", b"\x1a\x45\xdf\xa3": ".webm"}
_REASON: Final = 300
_numbers = itertools.count(1)


@dataclass
class _Part:
    """One run of the page's recorder, which becomes one file."""

    id: int
    began_s: float
    path: Path | None = None
    file: BinaryIO | None = None
    subtitles: Subtitles | None = None
    written: int = 0


class PageReel:
    """Writes what a page records; its methods may be called from any thread.

    A connection that is lost and comes back ends the page's recorder: what follows goes into
    another file, as it does for :class:`.recorder.Recorder` when pictures change their size.

    Parameters
    ----------
    path : str or Path
        The file to write. Its ending follows the container. A file that is there already is left
        alone, and the next free name is taken.
    tell : callable
        Takes a message for the page's recorder.
    clock : callable, optional
        Seconds.

    Raises
    ------
    InvalidInputError
        The path is a folder, or its folder cannot be made.
    """

    def __init__(
        self,
        path: str | Path,
        tell: Callable[[Mapping[str, Any]], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stem = free_stem(Path(path).expanduser().absolute())
        suffix = Path(path).suffix
        self._path = self._stem.with_name(
            self._stem.name + (suffix if suffix in _HEADS.values() else ".mp4")
        )
        self._tell = tell
        self._clock = clock
        self._queue: queue.Queue[Mapping[str, Any]] = queue.Queue(_WAITING)
        self._prompts: list[tuple[str, float]] = []  # those that no file has yet
        self._shown: tuple[str, float] | None = None
        self._paths: list[Path] = []
        self._tallies: list[Tally] = []
        self._part: _Part | None = None
        self._bytes = 0
        self._error: DecartSDKError | None = None
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._saying = threading.Lock()
        self._recording: Recording | None = None
        self._thread = threading.Thread(target=self._run, name="decart-page-reel", daemon=True)

    @property
    def path(self) -> Path:
        """The file; its ending may still change until the first slice has come."""
        return self._paths[0] if self._paths else self._path

    def begin(self) -> None:
        """Ask the page to record what it shows, from its first picture on."""
        self._thread.start()

    def prompt(self, text: str, at_s: float | None = None) -> None:
        """Note what is asked for from now on, for the subtitles; "" for nothing."""
        with self._saying:
            self._prompts.append((text, self._clock() if at_s is None else at_s))

    def heard(self, content: Mapping[str, Any]) -> None:
        """Take a slice of the page; returns at once."""
        with suppress(queue.Full):  # more than it may send: the gap ends the file
            self._queue.put_nowait(content)

    def close(self) -> Recording:
        """Stop the page's recorder, finish the file, and say what is in it.

        Raises
        ------
        StoreError
            Something could not be written. What was written before can be played.
        WebRTCError
            The page could not record; likewise.
        """
        with self._lock:
            if self._recording is None:
                self._closing.set()
                self._thread.join(STOP_S + _CLOSE_S)
                if self._thread.is_alive():
                    self._error = self._error or StoreError(
                        f"The recording {self.path.name} could not be finished within "
                        f"{STOP_S + _CLOSE_S:.0f} s.",
                        hint="The disk does not answer; what was written before can be played.",
                    )
                self._recording = self._told()
            if self._error is not None:
                raise self._error
            return self._recording

    # -- in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._record()
        except DecartSDKError as error:
            self._error = error
        except OSError as error:
            self._error = StoreError(
                f"The recording {self.path.name} cannot be written: "
                f"{error.strerror or type(error).__name__}.",
                hint="Check the folder and the space that is left.",
            )
            self._error.__cause__ = error
        finally:
            part, self._part = self._part, None
            if part is not None:
                if self._error is not None:
                    self._tell({"op": "stop", "id": part.id})
                with suppress(OSError):
                    self._finish(part)

    def _record(self) -> None:
        """Ask for part after part until the recording is closed and the last slice is there."""
        while not self._closing.is_set():
            part = self._part = _Part(next(_numbers), self._clock())
            self._tell({"op": "start", "id": part.id})
            self._collect(part)
            self._part = None
            self._finish(part)
            self._closing.wait(AGAIN_S)

    def _collect(self, part: _Part) -> None:
        """Write the slices of a part, to its last."""
        deadline: float | None = None
        while deadline is None or self._clock() < deadline:
            if deadline is None and self._closing.is_set():
                self._tell({"op": "stop", "id": part.id})
                deadline = self._clock() + STOP_S
            self._subtitle(part)
            try:
                content = self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
            if content.get("id") != part.id or not self._next(part, content):
                continue
            if content.get("last") is True:
                return

    def _next(self, part: _Part, content: Mapping[str, Any]) -> bool:
        """Write a slice if it is the one that follows, or raise why nothing can follow."""
        number, last = content.get("n"), content.get("last") is True
        if not isinstance(number, int) or number <= part.written:
            return False  # it came before
        if last and content.get("error"):
            raise WebRTCError(f"The page could not record: {str(content['error'])[:_REASON]}.")
        if number > part.written + 1:
            raise WebRTCError(
                "Some of what the page recorded was lost on its way.",
                hint="Record again; what came before can be played.",
            )
        if not last:
            self._write(part, content)
            self._tell({"op": "took", "id": part.id, "n": part.written})
        return True

    def _write(self, part: _Part, content: Mapping[str, Any]) -> None:
        buffers = content.get("buffers") or [b""]
        data = bytes(buffers[0])
        self._bytes += len(data)
        if len(data) > SLICE_BYTES or self._bytes > MOST_BYTES:
            raise StoreError(
                f"The recording {self.path.name} has reached its largest size.",
                hint=f"It may have {MOST_BYTES / 1e9:.0f} GB. Record on into another file.",
            )
        if part.file is None:
            self._open(part, data)
        assert part.file is not None
        left = memoryview(data)
        while left:  # a disk that is nearly full takes a piece
            left = left[part.file.write(left) :]
        part.written += 1

    def _open(self, part: _Part, head: bytes) -> None:
        suffix = _HEADS.get(head[4:8]) or _HEADS.get(head[:4])
        if suffix is None:
            raise MediaError("What the page recorded is neither MP4 nor WebM.")
        number = len(self._paths) + 1
        name = self._stem.name + ("" if number == 1 else f".part{number}")
        part.path = self._stem.with_name(name + suffix)
        part.file = part.path.open("xb", buffering=0)
        part.subtitles = Subtitles(part.path.with_suffix(".vtt"))
        self._paths.append(part.path)

    def _subtitle(self, part: _Part) -> None:
        """Write the prompts that came; the last one is kept for a file that may follow."""
        if part.subtitles is None:
            return
        with self._saying:
            prompts, self._prompts = self._prompts, []
        for text, at_s in prompts:
            part.subtitles.say(text, max(0.0, at_s - part.began_s))
        if prompts:
            self._shown = prompts[-1]

    def _finish(self, part: _Part) -> None:
        from ..media.tally import Tally, tally

        if part.file is None or part.path is None:
            return
        self._subtitle(part)
        part.file.close()
        try:
            found = tally(part.path)
        except (MediaError, OSError) as error:
            _log.warning("The recording %s cannot be read again: %s", part.path.name, error)
            found = Tally()
        self._tallies.append(found)
        if part.subtitles is not None:
            part.subtitles.close(found.seconds)
        with self._saying:
            self._prompts[:0] = [self._shown] if self._shown else []

    def _told(self) -> Recording:
        paths, tallies = tuple(self._paths), self._tallies
        last = tallies[-1] if tallies else None
        return Recording(
            path=paths[0] if paths else None,
            paths=paths,
            subtitles=tuple(path.with_suffix(".vtt") for path in paths),
            seconds=sum(one.seconds for one in tallies),
            frames=sum(one.frames for one in tallies),
            dropped=0,
            codec="" if last is None else last.codec,
            size=(0, 0) if last is None else last.size,
            audio=any(one.has_audio for one in tallies),
            input=False,
            size_bytes=sum(path.stat().st_size for path in paths if path.exists()),
        )
