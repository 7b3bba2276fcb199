"""JPEGs of live frames: they show what the frame shows, in its colours, at the size asked for."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from decart_lab.media.jpeg import COARSE, JpegEncoder, fitted
from decart_lab.media.video import to_rgb
from tests.helpers.peers import picture


def shown(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def coloured(width: int, height: int, matrix: Colorspace) -> av.VideoFrame:
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2], rgb[:, width // 2 :] = (200, 60, 30), (30, 90, 210)
    source = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    return source.reformat(
        width, height, "yuv420p", dst_colorspace=matrix, dst_color_range=ColorRange.MPEG
    )


@pytest.mark.parametrize("matrix", [Colorspace.ITU709, Colorspace.ITU601])
@pytest.mark.parametrize("size", [(320, 176), (1280, 720)])
def test_colours_are_those_of_the_frame(size: tuple[int, int], matrix: Colorspace) -> None:
    picture = shown(JpegEncoder().encode(coloured(*size, matrix)))
    assert picture.shape == (size[1], size[0], 3)
    assert picture[8, 8] == pytest.approx([200, 60, 30], abs=5)
    assert picture[8, -8] == pytest.approx([30, 90, 210], abs=5)


@pytest.mark.parametrize("size", [(320, 176), (1280, 720)])
def test_a_frame_that_does_not_name_its_matrix_looks_as_everywhere_here(
    size: tuple[int, int],
) -> None:
    frame = coloured(*size, Colorspace.ITU709)
    planes = np.frombuffer(b"".join(bytes(p) for p in frame.planes), np.uint8)
    unnamed = av.VideoFrame.from_ndarray(
        planes.reshape(size[1] * 3 // 2, size[0]), format="yuv420p"
    )
    expected = to_rgb(unnamed).astype(int)
    assert shown(JpegEncoder().encode(unnamed))[8, 8] == pytest.approx(expected[8, 8], abs=5)


def test_the_picture_is_the_frame_and_the_frame_is_left_as_it_was() -> None:
    frame = picture(3, width=640, height=352)
    before = [bytes(plane) for plane in frame.planes]
    encoder = JpegEncoder()
    made = shown(encoder.encode(frame))
    assert np.abs(made - to_rgb(frame).astype(int)).mean() < 4
    small = shown(encoder.encode(frame, (320, 176)))
    assert small.shape == (176, 320, 3)
    assert ([bytes(plane) for plane in frame.planes], frame.pts) == (before, 3)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p"])
def test_the_times_of_frames_do_not_matter(pixels: str) -> None:
    encoder = JpegEncoder()
    for number, base in ((7, 90), (7, 90), (3, 25), (100, 90), (4, 90_000), (None, 90)):
        frame = picture(1).reformat(format=pixels)
        frame.pts, frame.time_base = number, Fraction(1, base)
        assert shown(encoder.encode(frame)).shape == (176, 320, 3)
        assert (frame.pts, frame.time_base) == (number, Fraction(1, base))


def test_coarse_is_smaller() -> None:
    rng = np.random.default_rng(1)
    planes = rng.integers(60, 120, (264, 320), np.uint8)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    encoder = JpegEncoder()
    fine = encoder.encode(frame)
    assert len(encoder.encode(frame, quantiser=COARSE)) < 0.6 * len(fine)
    assert encoder.encode(frame) == fine  # what came between leaves no trace


def test_sizes_that_come_and_go_keep_few_encoders() -> None:
    encoder = JpegEncoder()
    for side in range(16, 336, 16):
        encoder.encode(picture(1), (side, 16))
    assert len(encoder._contexts) <= 4


@given(
    st.integers(16, 4000),
    st.integers(16, 4000),
    st.tuples(st.floats(1, 5000), st.floats(1, 5000)),
)
def test_a_fitted_size_is_even_and_never_larger_than_the_frame(
    width: int, height: int, box: tuple[float, float]
) -> None:
    w, h = fitted(width, height, box)
    assert w % 2 == h % 2 == 0
    assert 16 <= w <= max(16, width + 1)
    assert 16 <= h <= max(16, height + 1)
    scale = min(1.0, box[0] / width, box[1] / height)
    assert w >= scale * width - 1  # never coarser than what is shown
    assert w <= max(16, (scale + 1 / 16) * width + 2)
