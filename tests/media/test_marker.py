"""The pixel marker survives what happens to pictures, and is not seen where none is."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decart_lab.media import marker
from decart_lab.media.video import read_frames

SIZES = [(640, 352), (1280, 720), (352, 640), (512, 512), (624, 360)]


def noisy(width: int, height: int, seed: int = 0, pixel_format: str = "yuv420p") -> av.VideoFrame:
    dice = np.random.default_rng(seed)
    rgb = dice.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)


@settings(max_examples=150, deadline=None)
@given(
    counter=st.integers(0, 200_000),
    size=st.tuples(st.integers(160, 960), st.integers(160, 960)),
    seed=st.integers(0, 5),
)
def test_a_stamped_number_is_read_back_at_any_size(counter, size, seed):
    width, height = size
    frame = noisy(width, height, seed)
    stamped = marker.stamp(frame, counter)
    assert stamped == bool(marker.region(width, height)[0])
    assert marker.read(frame) == (counter % marker.COUNTERS if stamped else None)


@settings(max_examples=60, deadline=None)
@given(
    counter=st.integers(0, 65_535),
    gain=st.floats(0.45, 1.0),
    offset=st.floats(-20, 60),
    noise=st.floats(0, 18),
)
def test_it_survives_other_contrast_and_noise(counter, gain, offset, noise):
    frame = noisy(640, 352)
    marker.stamp(frame, counter)
    luma = marker._plane(frame, 0).astype(float) * gain + offset
    luma += np.random.default_rng(1).normal(0, noise, luma.shape)
    assert marker.read_luma(np.clip(luma, 0, 255).astype(np.uint8)) == counter


@settings(max_examples=200, deadline=None)
@given(counter=st.integers(0, 65_535), cell=st.integers(0, 31), other=st.integers(0, 31))
def test_a_wrong_cell_is_noticed_and_so_are_two(counter, cell, other):
    frame = noisy(640, 352)
    marker.stamp(frame, counter)
    luma = marker._plane(frame, 0)
    for number in {cell, other}:
        row, column = divmod(number, marker.COLUMNS)
        block = luma[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        block[:] = marker.DARK + marker.BRIGHT - block
    assert marker.read(frame) is None


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("codec", ["libx264", "libvpx"])
def test_it_survives_half_a_megabit_of_video(clip, size, codec):
    """Real pictures, encoded as a live session does."""
    width, height = size
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.bit_rate = 500_000
    context.framerate = 25
    context.options = (
        {"preset": "ultrafast", "tune": "zerolatency"}
        if codec == "libx264"
        else {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    )
    reader = av.CodecContext.create({"libx264": "h264", "libvpx": "vp8"}[codec], "r")
    sent, seen = [], []
    for number, frame in enumerate(read_frames(clip, fps=25)):
        small = frame.reformat(width=width, height=height, format="yuv420p")
        small.pts, small.pict_type = number, 0
        counter = 40_503 * number % marker.COUNTERS
        assert marker.stamp(small, counter)
        sent.append(counter)
        for packet in context.encode(small):
            seen += [marker.read(decoded) for decoded in reader.decode(packet)]
    seen += [marker.read(decoded) for decoded in reader.decode(None)]
    read = [counter for counter in seen if counter is not None]
    assert set(read) <= set(sent)
    assert len(read) >= 0.98 * len(sent)


def test_it_is_read_from_an_answer_of_another_size():
    for size in SIZES[:2]:
        frame = noisy(*size)
        marker.stamp(frame, 4711)
        for width, height in [(640, 352), (1280, 720), (848, 480), (480, 272)]:
            assert marker.read(frame.reformat(width=width, height=height)) == 4711


@pytest.mark.parametrize("colour", [(0, 0, 255), (255, 0, 0), (0, 255, 255), (255, 255, 255)])
def test_it_survives_a_detour_over_rgb(colour):
    """Bright luma over a strong colour would be clipped, were the colour left."""
    rgb = np.full((352, 640, 3), colour, np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
    marker.stamp(frame, 65_535)
    answer = frame.reformat(format="rgb24")
    assert marker.read(answer) == 65_535
    cells = answer.to_ndarray()[:32, :64].astype(int)
    assert np.ptp(cells, axis=2).max() < 8  # grey


@pytest.mark.parametrize("pixel_format", ["nv12", "gray", "yuv444p", "yuvj420p"])
def test_other_pixel_formats_can_be_stamped(pixel_format):
    frame = noisy(640, 352, pixel_format=pixel_format)
    assert marker.stamp(frame, 7)
    assert marker.read(frame) == 7


def test_a_format_without_luma_is_refused_and_a_small_frame_left_alone():
    with pytest.raises(ValueError, match="rgb24"):
        marker.stamp(noisy(640, 352, pixel_format="rgb24"), 7)
    small = noisy(160, 90)
    before = marker._plane(small, 0).copy()
    assert not marker.stamp(small, 7)
    assert np.array_equal(before, marker._plane(small, 0))
    assert marker.read(small) is None


def test_only_the_region_is_touched():
    frame = noisy(1280, 720)
    before = marker._plane(frame, 0).copy()
    wide, high = marker.region(1280, 720)
    marker.stamp(frame, 7)
    after = marker._plane(frame, 0).copy()
    assert not np.array_equal(before[:high, :wide], after[:high, :wide])
    before[:high, :wide] = after[:high, :wide] = 0
    assert np.array_equal(before, after)


def test_stamping_leaves_what_a_decoder_still_needs():
    """Decoded frames share memory with what the decoder predicts others from."""
    writer = av.CodecContext.create("libx264", "w")
    writer.width, writer.height, writer.pix_fmt, writer.framerate = 640, 352, "yuv420p", 25
    writer.options = {"tune": "zerolatency"}
    reader = av.CodecContext.create("h264", "r")
    reader.thread_count = 1
    found = []
    for number in range(5):
        grey = noisy(640, 352)
        grey.pts = number
        for packet in writer.encode(grey):
            for frame in reader.decode(packet):
                found.append(marker.read(frame))
                marker.stamp(frame, 1234)
    for frame in reader.decode(None):
        found.append(marker.read(frame))
    assert found == [None] * 5


def test_no_marker_is_seen_in_real_pictures(clip, photo, portrait):
    """Nor in any part of them: the corner is taken from everywhere."""
    from PIL import Image

    looked = wrong = 0
    lumas = [marker._plane(frame.reformat(format="gray"), 0) for frame in read_frames(clip, fps=4)]
    lumas += [np.asarray(Image.open(path).convert("L")) for path in (photo, portrait)]
    for luma in lumas:
        for top in range(0, luma.shape[0] - 176, 24):
            for left in range(0, luma.shape[1] - 320, 24):
                looked += 1
                wrong += (
                    marker.read_luma(luma[top:, left:][:176, :320].repeat(2, 0).repeat(2, 1))
                    is not None
                )
    assert looked > 5_000
    assert wrong == 0


def test_no_marker_is_seen_in_noise_or_flat_pictures():
    dice = np.random.default_rng(3)
    for level in (0, 16, 128, 235, 255):
        assert marker.read_luma(np.full((352, 640), level, np.uint8)) is None
    # Cells of pure chance are the hardest case: the checksum alone refuses them.
    wrong = 0
    for _ in range(20_000):
        cells = dice.choice(np.array([16, 235], np.uint8), (44, 80))
        wrong += marker.read_luma(cells.repeat(8, 0).repeat(8, 1)) is not None
    assert wrong <= 3
