"""What the tests of sources share: a numbered clip, a sink that notes, a clock that ticks."""

from __future__ import annotations

import itertools
import threading
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from decart_lab.media import marker

SIZE = (320, 180)


class Notes:
    """A sink that keeps what it is given; ``wait_for`` returns when there is enough."""

    def __init__(self, on_video=None) -> None:
        self.pictures: list[av.VideoFrame | av.Packet] = []
        self.sound: list[av.AudioFrame] = []
        self.ends: list[Exception | None] = []
        self._on_video = on_video
        self._changed = threading.Condition()

    def video(self, frame) -> None:
        if self._on_video is not None:
            self._on_video(frame)
        self._note(self.pictures, frame)

    def audio(self, frame) -> None:
        self._note(self.sound, frame)

    def ended(self, error) -> None:
        self._note(self.ends, error)

    def _note(self, where, what) -> None:
        with self._changed:
            where.append(what)
            self._changed.notify_all()

    def wait_for(self, enough) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: enough(self), 20), "the source fell silent"

    @property
    def times_s(self) -> list[float]:
        return [float(picture.pts * picture.time_base) for picture in self.pictures]


class Ticking:
    """A clock that moves five thousandths each time it is asked, and when it is pushed."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> float:
        self.at_s += 0.005
        return self.at_s

    def utc(self) -> datetime:
        raise AssertionError("sources do not ask for the date")

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("threads do not sleep on it")


def numbered(path: Path, count: int, *, size=SIZE, fps=25, options=None, codec="libx264") -> Path:
    """Write a clip whose frames carry their numbers as markers."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(fps), options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(count):
            grey = np.full((size[1] * 3 // 2, size[0]), 100 + number % 50, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="yuv420p")
            marker.stamp(frame, number)
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, fps), 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def counted(tmp_path_factory) -> Path:
    """Twenty numbered frames, 25 a second."""
    return numbered(tmp_path_factory.mktemp("counted") / "counted.mp4", 20)


def first(count: int, iterator):
    """The first items of an iterator without end, which is then closed."""
    found = list(itertools.islice(iterator, count))
    iterator.close()
    return found


def pixels(frame: av.VideoFrame) -> np.ndarray:
    """A frame as players show it when nobody tells them the matrix."""
    matrix = 1 if frame.height >= 720 else 5
    return frame.to_ndarray(format="rgb24", src_colorspace=matrix).astype(int)
