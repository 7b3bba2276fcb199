"""The sound of a clip, decoded and brought to one rate, so that a new clip can keep it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .demux import demuxed_file, main_sound, main_video
from .probe import show_name

if TYPE_CHECKING:
    import av

SOUND_RATE: Final = 48_000
"""Samples per second of what is given."""

_GAP_S: Final = 0.04  # below two AAC frames; shorter gaps are rounding, not silence
_SILENCE_S: Final = 0.5


def channels(path: Path) -> int:
    """Return 0 without a sound track that can be decoded, 1 for mono, 2 for anything more."""
    name = show_name(path)
    with demuxed_file(path, name=name) as container:
        stream = main_sound(container)
        if stream is None:
            return 0
        return 1 if stream.codec_context.layout.nb_channels == 1 else 2


def read_sound(
    source: Path | bytes, layout: str, *, start_s: float = 0.0, field: str = "data"
) -> Iterator[av.AudioFrame]:
    """Decode the sound from a moment on; gaps become silence, so that it stays in step.

    Parameters
    ----------
    source : Path or bytes
        A clip with sound or a file of sound alone, or its content.
    layout : {"mono", "stereo"}
        Channels to give.
    start_s : float
        Where to begin, in seconds of the clip.
    field : str
        The argument to name when it is refused.

    Yields
    ------
    av.AudioFrame
        Planar floats at 48 kHz, stamped one after the other from 0.
    """
    import av

    name = show_name(source) if isinstance(source, Path) else "The given sound"
    with demuxed_file(source, name=name, field=field, sound=True) as container:
        stream = main_sound(container)
        if stream is None:
            return
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=SOUND_RATE)
        given = 0
        picture = main_video(container)
        origin = 0.0  # time is counted from the first frame of the picture, as read_frames does
        if picture is not None and picture.start_time and picture.time_base:
            origin = float(picture.start_time * picture.time_base)
        if start_s > 1.0:
            container.seek(int((origin + start_s) * 1_000_000))
        for frame in container.decode(stream):
            time = start_s if frame.time is None else frame.time - origin
            late = round((time - start_s) * SOUND_RATE) - given
            for piece in resampler.resample(frame):
                early = -late if given == 0 else 0
                if early >= piece.samples:
                    late += piece.samples
                    continue
                for part in _silence(late, layout):
                    yield _stamped(part, given)
                    given += part.samples
                late = 0
                part = _without_start(piece, early, layout)
                yield _stamped(part, given)
                given += part.samples


def _silence(samples: int, layout: str) -> Iterator[av.AudioFrame]:
    import av
    import numpy as np

    if samples < _GAP_S * SOUND_RATE:
        return
    rows = 1 if layout == "mono" else 2
    while samples > 0:
        count = min(samples, int(_SILENCE_S * SOUND_RATE))
        quiet = np.zeros((rows, count), np.float32)
        yield av.AudioFrame.from_ndarray(quiet, format="fltp", layout=layout)
        samples -= count


def _without_start(piece: av.AudioFrame, samples: int, layout: str) -> av.AudioFrame:
    import av
    import numpy as np

    if samples <= 0:
        return piece
    rest = np.ascontiguousarray(piece.to_ndarray()[:, samples:], dtype=np.float32)
    return av.AudioFrame.from_ndarray(rest, format="fltp", layout=layout)


def _stamped(frame: av.AudioFrame, pts: int) -> av.AudioFrame:
    frame.sample_rate = SOUND_RATE
    frame.pts = pts
    frame.time_base = Fraction(1, SOUND_RATE)
    return frame
