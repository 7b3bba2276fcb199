"""The files of a recording: which frame goes into which, and at what time.

What belongs here: beginning a file with a key frame once it is known what there is to record,
beginning another when the pictures' size changes, and laying tracks over each other. Threads, names
and what users see are :mod:`.recorder`'s.

Times are the sender's, from its RTP time stamps. The tracks, which count from different beginnings,
are laid over each other by when their frames arrived; the quickest of the first ones is believed.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import DecartSDKError, MediaError
from .recording import Recording
from .subtitles import Subtitles

if TYPE_CHECKING:
    from ..media.mux import Muxer, Track
    from ..media.rtc.frames import EncodedFrame

_GATHER_S: Final = 0.25  # how long frames are looked at before a file begins
_GATHER_INPUT_S: Final = 0.4  # the same, while the first picture that was sent is missing
_BACK_S: Final = 0.5
_JUMP_S: Final = 1.0
_WINDOW_S: Final = 5.0
_LAG_S: Final = 0.15


class Reel:
    """The files of a recording; used by one thread.

    Parameters
    ----------
    stem : Path
        Path without its ending.
    wants_input : bool
        Whether a file waits a little longer for the first picture that was sent.

    Attributes
    ----------
    paths : list of Path
        The files so far.
    """

    def __init__(self, stem: Path, *, wants_input: bool) -> None:
        self._wants_input = wants_input
        self.paths: list[Path] = []
        self._stem = stem
        self._gathered: list[tuple[Track, EncodedFrame]] = []
        self._since_s: float | None = None  # arrival of the key frame a file will begin with
        self._muxer: Muxer | None = None
        self._tracks: frozenset[str] = frozenset()
        self._lines: dict[str, Line] = {}
        self._began_s = 0.0
        self._parameters = b""
        self._subtitles: Subtitles | None = None
        self._prompts: list[tuple[str, float]] = []  # the last one, and those no file has yet
        self._seconds = 0.0
        self._before_s = 0.0
        self._step_s = 0.0
        self._frames = 0
        self._skipped = 0
        self._codec = ""
        self._size = (0, 0)
        self._had: set[str] = set()
        self._came_late = False  # sound that the open file has no track for

    def prompt(self, text: str, at_s: float) -> None:
        """Show a prompt in the subtitles from a time on, on the clock of arrivals."""
        if self._subtitles is None:
            self._prompts.append((text, at_s))
        else:
            self._prompts = [(text, at_s)]
            self._subtitles.say(text, max(0.0, at_s - self._began_s))

    def frame(self, track: Any, frame: EncodedFrame) -> None:
        """Take a frame: gather it, begin another file with it, or write it."""
        if track == "video" and frame.key and (size := self._new_size(frame)) is not None:
            self.finish()
            self._codec, self._size = frame.codec, size
            self._since_s = frame.arrived_s
        if self._muxer is not None:
            self._write(track, frame)
        elif self._since_s is not None or track != "video":
            self._gathered.append((track, frame))
            # Before the first picture there may be sound for hours.
            horizon = frame.arrived_s - _GATHER_S
            if self._since_s is None:
                self._gathered = [g for g in self._gathered if g[1].arrived_s > horizon]
        else:
            self._skipped += 1
        self.look(frame.arrived_s)

    def look(self, now_s: float) -> None:
        """Begin the file when enough was gathered to know what is in it."""
        if self._muxer is not None or self._since_s is None:
            return
        waited_s = now_s - self._since_s
        lacks_input = self._wants_input and self._sent() is None
        if waited_s >= (_GATHER_INPUT_S if lacks_input else _GATHER_S):
            self._begin()

    def finish(self) -> None:
        """Write what is still gathered, and close the last file."""
        if self._muxer is None and self._since_s is not None:
            self._begin()
        self._end()

    def recording(self, dropped: int) -> Recording:
        """Say what was recorded; ``dropped`` pictures did not come here."""
        paths = tuple(self.paths)
        return Recording(
            path=paths[0] if paths else None,
            paths=paths,
            subtitles=tuple(path.with_suffix(".vtt") for path in paths),
            seconds=self._before_s + self._seconds,
            frames=self._frames,
            dropped=dropped + self._skipped,
            codec=self._codec,
            size=self._size,
            audio="audio" in self._had,
            input="input" in self._had,
            size_bytes=sum(path.stat().st_size for path in paths if path.exists()),
        )

    def abandon(self) -> None:
        """Let go of the files as they are."""
        with contextlib.suppress(DecartSDKError, OSError):
            self._end()

    def _new_size(self, frame: EncodedFrame) -> tuple[int, int] | None:
        """Return the size of a key frame that begins a file; None when it belongs to this one."""
        from ..media.mux import frame_size

        parameters = _parameters(frame)
        same = (frame.codec, parameters) == (self._codec, self._parameters)
        if same and not self._came_late:
            return None
        try:
            # Only looked up when the parameters are others, since it costs a decoded frame.
            size = frame_size(frame.codec, frame.data)
        except MediaError:
            return None  # damaged on its way; the next one will do
        self._parameters = parameters
        if (frame.codec, size) == (self._codec, self._size) and not self._came_late:
            return None
        return size

    def _sent(self) -> EncodedFrame | None:
        """Return the first picture that was sent, when it can be shown beside what is received."""
        keys = (frame for track, frame in self._gathered if track == "input" and frame.key)
        return next((frame for frame in keys if frame.codec == self._codec), None)

    def _begin(self) -> None:
        from ..media.mux import SUFFIXES, Muxer

        gathered = self._gathered
        first = next(frame for track, frame in gathered if track == "video")
        sent = self._sent()
        audio = any(track == "audio" for track, _ in gathered)
        path = self._name(SUFFIXES[first.codec])
        self._muxer = Muxer(
            path,
            first.codec,
            first.data,
            audio=audio,
            input_key_frame=None if sent is None else sent.data,
        )
        self.paths.append(path)
        self._tracks = frozenset(
            {"video"} | ({"audio"} if audio else set()) | ({"input"} if sent else set())
        )
        self._lines = {
            track: Line([f for t, f in gathered if t == track]) for track in self._tracks
        }
        self._began_s = self._lines["video"].time_s(first)
        self._subtitles = Subtitles(path.with_suffix(".vtt"))
        for text, at_s in self._prompts:
            self._subtitles.say(text, max(0.0, at_s - self._began_s))
        del self._prompts[:-1]
        self._since_s, self._gathered, self._came_late = None, [], False
        begun = False  # a track of what was sent begins with a key frame as well
        for track, frame in gathered:
            begun = begun or (track == "input" and frame is sent)
            if track != "input" or begun:
                self._write(track, frame)

    def _write(self, track: Track, frame: EncodedFrame) -> None:
        assert self._muxer is not None  # who calls this has begun a file
        if track not in self._tracks:
            self._came_late = self._came_late or track == "audio"
            return
        time_s = self._lines[track].time_s(frame) - self._began_s
        if time_s < 0 and track == "audio":
            return  # from before the first picture
        # What was sent before that cannot be left out: what follows is decoded with its help.
        self._muxer.write(track, frame.data, max(0.0, time_s), key=frame.key)
        self._had.add(track)
        if track == "video":
            self._frames += 1
            self._step_s = max(0.0, time_s - self._seconds + self._step_s)
            self._seconds = time_s + self._step_s

    def _end(self) -> None:
        muxer, self._muxer = self._muxer, None
        if muxer is None:
            return
        if self._subtitles is not None:
            self._subtitles.close(self._seconds)
            self._subtitles = None
        self._before_s += self._seconds
        self._seconds = self._step_s = 0.0
        muxer.close()

    def _name(self, suffix: str) -> Path:
        number = len(self.paths) + 1
        part = "" if number == 1 else f".part{number}"
        return self._stem.with_name(f"{self._stem.name}{part}{suffix}")


class Line:
    """A track's time stamps as times on our clock, without the network's jitter.

    Parameters
    ----------
    frames : list of EncodedFrame
        The first ones; the one that was quickest on its way is believed.
    """

    def __init__(self, frames: list[EncodedFrame]) -> None:
        self._offset_s = min(f.arrived_s - f.timestamp / f.clock_rate for f in frames)
        self._before: tuple[float, float] | None = None  # stamp and arrival of the last frame
        self._latest_s = -math.inf
        self._lag_s = math.inf  # the least since then
        self._since_s = frames[0].arrived_s

    def time_s(self, frame: EncodedFrame) -> float:
        """Return when a frame belongs; never before an earlier one of the track."""
        stamp_s, arrived_s = frame.timestamp / frame.clock_rate, frame.arrived_s
        if self._before is not None:
            step_s, passed_s = stamp_s - self._before[0], arrived_s - self._before[1]
            # Late frames are the network's; stamps that run ahead, or back, are another count.
            if step_s < -_BACK_S or step_s > passed_s + _JUMP_S:
                self._offset_s = arrived_s - stamp_s
        self._before = stamp_s, arrived_s
        self._catch_up(arrived_s - stamp_s - self._offset_s, arrived_s)
        self._latest_s = max(stamp_s + self._offset_s, self._latest_s)
        return self._latest_s

    def _catch_up(self, lag_s: float, now_s: float) -> None:
        """Move on when all frames of some seconds came late: the sender's count stood still."""
        self._lag_s = min(self._lag_s, lag_s)
        if now_s - self._since_s >= _WINDOW_S:
            if self._lag_s > _LAG_S:
                self._offset_s += self._lag_s
            self._lag_s, self._since_s = math.inf, now_s


def _parameters(frame: EncodedFrame) -> bytes:
    """Return what a key frame begins with, up to its picture: it changes when the size does."""
    if frame.codec == "vp8":
        return frame.data[6:10]
    data = frame.data
    at = 0
    while (at := data.find(b"\0\0\1", at)) >= 0 and at + 3 < len(data):
        if data[at + 3] & 0x1F not in (6, 7, 8, 9):  # no parameters, delimiter or message
            return data[:at]
        at += 3
    return data
