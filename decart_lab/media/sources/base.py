"""A source: pictures and sound with the times they are due at, and the thread that keeps to them.

What belongs here: the one :class:`Source` class that every kind makes, and its pacing. A kind only
says what comes when; it knows no thread and no clock.

Times are seconds since the source began and never go back, loops included. A picture that is late
is left out rather than shown late; when the source falls a second behind (the machine slept, or
cannot decode that fast), or when whoever makes the frames is simply slow (``slips``), the rest of
the schedule moves instead. Nothing is kept but the item that is waited for, so no delay builds up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple, Protocol, cast

import av

from ..._clock import Clock, RealClock
from ...errors import DecartSDKError, MediaError
from .fit import Fit

VIDEO_RATE: Final = 90_000
"""Ticks per second of a picture's ``pts``, as RTP counts them."""
SOUND_RATE: Final = 48_000
"""Samples per second of sound, and ticks of its ``pts``."""
SOUND_BLOCK: Final = 960
"""Samples in a block of sound: 20 ms, as Opus takes them."""

_LATE_FRAMES: Final = 1.5  # a picture later than so many intervals is left out
_STARVED_S: Final = 0.25  # but something is shown at least so often
_SLIP_S: Final = 1.0
_LIVE_SLACK_S: Final = 0.1
_STOP_S: Final = 1.0
_STEP_S: Final = 0.002  # how often a clock other than the machine's is asked


class Sink(Protocol):
    """What a source pushes into; called from the source's thread."""

    def video(self, frame: av.VideoFrame | av.Packet[Any]) -> None:
        """Take a picture of the source's size in yuv420p, or an H.264 packet (Annex B)."""

    def audio(self, frame: av.AudioFrame) -> None:
        """Take 20 ms of sound: 16-bit stereo at 48 kHz."""

    def ended(self, error: Exception | None) -> None:
        """Learn that nothing more comes; with the reason, when that is not the end."""


class Item(NamedTuple):
    """One piece of media; ``due_s`` is None for what is shown as it comes."""

    due_s: float | None
    media: av.VideoFrame | av.Packet[Any] | av.AudioFrame


Items = Callable[[threading.Event], Iterator[Item]]
"""Begins from the start; what blocks inside ends soon after the event is set."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What is known of a source before it starts.

    Parameters
    ----------
    kind : str
        Name of its row in the registry.
    label : str
        A short printable name.
    size : (int, int)
        Width and height of its pictures.
    fps : float
        Pictures per second at most.
    has_video, has_audio : bool
        What it gives.
    duration_s : float or None
        Length of one pass; None for what has no end, or does not say.
    mirror : bool
        Whether pictures are flipped left to right.
    passthrough : bool
        Whether its pictures are H.264 packets, given as they lie in the file.
    slips : bool
        Whether a late item moves the schedule rather than being left out.
    """

    kind: str
    label: str
    size: tuple[int, int]
    fps: float
    has_video: bool = True
    has_audio: bool = False
    duration_s: float | None = None
    mirror: bool = False
    passthrough: bool = False
    slips: bool = False


class Source:
    """Something that frames come from; made by :func:`.open_source`.

    Parameters
    ----------
    traits : Traits
        What it is.
    items : callable
        Given an event, returns what comes, from the start.

    Attributes
    ----------
    failed : Exception or None
        Why it ended before its end.
    pushed, skipped : int
        Pictures given so far, and pictures left out because they were late.

    Examples
    --------
    >>> from decart_lab.media.sources import open_source
    >>> source = open_source("synthetic", size=(320, 176), fps=25)
    >>> frames = source.frames()
    >>> [round(due_s, 2) for due_s, _ in (next(frames), next(frames), next(frames))]
    [0.0, 0.04, 0.08]
    """

    def __init__(self, traits: Traits, items: Items) -> None:
        self.traits = traits
        self.failed: Exception | None = None
        self.pushed = 0
        self.skipped = 0
        self._items = items
        self._thread: threading.Thread | None = None
        self._halt = threading.Event()
        self._go = threading.Event()
        self._go.set()

    @property
    def kind(self) -> str:
        """Name of its row in the registry."""
        return self.traits.kind

    @property
    def label(self) -> str:
        """A short printable name."""
        return self.traits.label

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures."""
        return self.traits.size

    @property
    def fps(self) -> float:
        """Pictures per second at most."""
        return self.traits.fps

    @property
    def has_video(self) -> bool:
        """Whether it gives pictures."""
        return self.traits.has_video

    @property
    def has_audio(self) -> bool:
        """Whether it gives sound."""
        return self.traits.has_audio

    @property
    def duration_s(self) -> float | None:
        """Length of one pass in seconds; None when there is no end, or it is unknown."""
        return self.traits.duration_s

    @property
    def passthrough(self) -> bool:
        """Whether its pictures are H.264 packets."""
        return self.traits.passthrough

    @property
    def running(self) -> bool:
        """Whether its thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def __repr__(self) -> str:
        width, height = self.size
        return f"Source({self.kind}: {self.label}, {width}x{height}, {self.fps:g} fps)"

    def items(self) -> Iterator[Item]:
        """Yield what comes, fitted and stamped, without waiting; for tests and tools."""
        stamps = _Stamps()
        fit = Fit(self.size, mirror=self.traits.mirror)
        started = RealClock().now()
        with closing(cast("Any", self._items(threading.Event()))) as items:
            for item in items:
                live = item.due_s is None
                due_s = RealClock().now() - started if item.due_s is None else item.due_s
                media = fit(item.media) if isinstance(item.media, av.VideoFrame) else item.media
                yield Item(due_s, stamps(media, due_s, live=live))

    def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yield the pictures with the times they are due at, without waiting."""
        for item in self.items():
            if isinstance(item.media, av.VideoFrame) and item.due_s is not None:
                yield item.due_s, item.media

    def start(self, sink: Sink, clock: Clock | None = None) -> None:
        """Begin to push from the start, from a thread of its own.

        Parameters
        ----------
        sink : Sink
            Where to. When it raises, the source has failed with that.
        clock : Clock, optional
            The machine's own by default.
        """
        if self.running:
            raise RuntimeError(f"the source {self.label} is running already")
        self.failed, self.pushed, self.skipped = None, 0, 0
        self._halt = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            args=(sink, clock or RealClock(), self._halt),
            name=f"decart-source-{self.kind}",
            daemon=True,
        )
        self._thread.start()

    def pause(self) -> None:
        """Stop giving; what is recorded waits, what is live passes unseen."""
        self._go.clear()

    def resume(self) -> None:
        """Go on where it was paused; ``pts`` leaps by the length of the pause."""
        self._go.set()

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return not self._go.is_set()

    def stop(self) -> None:
        """End the thread, within a second unless it hangs in code that is not ours."""
        self._halt.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_S)

    def _run(self, sink: Sink, clock: Clock, halt: threading.Event) -> None:
        error: Exception | None = None
        try:
            with closing(cast("Any", self._items(halt))) as items:
                self._push(items, sink, _Timeline(clock, halt, self._go))
        except DecartSDKError as problem:
            error = problem
        except Exception as problem:  # noqa: BLE001 - generators and sinks are other people's code
            error = MediaError(
                f"The source {self.label} failed: {type(problem).__name__}: {problem}.",
                field="source",
                hint="The error beneath says where.",
            )
            error.__cause__ = problem
        self.failed = error
        if not halt.is_set():
            sink.ended(error)

    def _push(self, items: Iterator[Item], sink: Sink, timeline: _Timeline) -> None:
        stamps = _Stamps()
        fit = Fit(self.size, mirror=self.traits.mirror)
        late_s = _LATE_FRAMES / self.fps
        shown_s = -_STARVED_S
        for due_s, media in items:
            at_s = timeline.place(due_s, slip_s=late_s if self.traits.slips else _SLIP_S)
            if at_s is None:
                continue  # live, and paused
            if isinstance(media, av.VideoFrame):
                if timeline.elapsed() - at_s > late_s and at_s - shown_s < _STARVED_S:
                    self.skipped += 1
                    continue
                media = fit(media)
            moved_s = timeline.wait(at_s)
            if moved_s is None:
                return
            at_s += moved_s
            stamped = stamps(media, at_s, live=due_s is None)
            if isinstance(stamped, av.AudioFrame):
                sink.audio(stamped)
            else:
                shown_s = at_s
                self.pushed += 1
                sink.video(stamped)


class _Timeline:
    """When what is due: the clock, the pauses, and how far the schedule has moved."""

    def __init__(self, clock: Clock, halt: threading.Event, go: threading.Event) -> None:
        self._clock = clock
        self._halt = halt
        self._go = go
        self._origin: float | None = None  # the first item's time: opening a file takes a while
        self._moved_s = 0.0
        self._real = isinstance(clock, RealClock)

    def elapsed(self) -> float:
        now = self._clock.now()
        if self._origin is None:
            self._origin = now
        return now - self._origin

    def place(self, due_s: float | None, *, slip_s: float) -> float | None:
        """Return when an item is to be given; None for a live one that is not to be."""
        if due_s is None:
            return self.elapsed() if self._go.is_set() else None
        behind = self.elapsed() - (due_s + self._moved_s)
        if behind > slip_s:
            self._moved_s += behind
        return due_s + self._moved_s

    def wait(self, at_s: float) -> float | None:
        """Wait for the time, and through pauses; return how far they moved it, None to stop."""
        moved_s = 0.0
        while not self._halt.is_set():
            if not self._go.is_set():
                began = self.elapsed()
                while not self._go.wait(0.05) and not self._halt.is_set():
                    pass
                moved_s += self.elapsed() - began
                continue
            left = at_s + moved_s - self.elapsed()
            if left <= 0:
                self._moved_s += moved_s
                return moved_s
            # A pause is noticed between two frames at the latest, a stop at once.
            self._halt.wait(min(left, 0.05) if self._real else _STEP_S)
        return None


class _Stamps:
    """Writes times into media; pictures never go back nor share a tick."""

    def __init__(self) -> None:
        self._video = -1
        self._heard = 0  # the sample after the last one given

    def __call__(self, media: Any, at_s: float, *, live: bool) -> Any:
        if isinstance(media, av.AudioFrame):
            at = round(at_s * SOUND_RATE)
            # Live sound comes in bursts and is gapless all the same.
            if live and abs(at - self._heard) < _LIVE_SLACK_S * SOUND_RATE:
                at = self._heard
            media.pts, media.time_base = at, Fraction(1, SOUND_RATE)
            media.sample_rate = SOUND_RATE
            self._heard = at + media.samples
            return media
        self._video = max(round(at_s * VIDEO_RATE), self._video + 1)
        media.pts, media.time_base = self._video, Fraction(1, VIDEO_RATE)
        if isinstance(media, av.Packet):
            media.dts = self._video
        else:
            media.pict_type = 0  # a decoded frame would impose its own on the encoder
        return media
