"""Sound as sessions send it: blocks of 20 ms, 16-bit stereo at 48 kHz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
import numpy as np

from .base import SOUND_BLOCK, SOUND_RATE


def in_blocks(frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Cut sound of any format into blocks; the last is filled up with silence."""
    resampler = av.AudioResampler(
        format="s16", layout="stereo", rate=SOUND_RATE, frame_size=SOUND_BLOCK
    )
    for frame in frames:
        yield from resampler.resample(frame)
    for rest in resampler.resample(None):
        yield rest if rest.samples == SOUND_BLOCK else _filled(rest)


def silence() -> av.AudioFrame:
    """Return a block of silence."""
    return _block(np.zeros((1, 2 * SOUND_BLOCK), np.int16))


def _filled(frame: av.AudioFrame) -> av.AudioFrame:
    samples = np.zeros((1, 2 * SOUND_BLOCK), np.int16)
    samples[:, : 2 * frame.samples] = frame.to_ndarray()[:, : 2 * frame.samples]
    return _block(samples)


def _block(samples: np.ndarray[tuple[int, int], np.dtype[np.int16]]) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
    frame.sample_rate = SOUND_RATE
    return frame
