"""What frames say of themselves, read from really encoded ones."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.media.rtc.encoder import VideoEncoder
from decart_lab.media.webcodecs import Description, describe, disposable
from tests.helpers.peers import picture

SIZES = [(320, 176), (640, 360), (1280, 720), (1920, 1080), (354, 198)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_key_frame_tells_codec_and_size(codec: Any, size: tuple[int, int]) -> None:
    encoder = VideoEncoder(codec, bitrate=500_000)
    made = encoder.encode(picture(1, width=size[0], height=size[1]), 1, key=True)
    assert made is not None
    found = describe(codec, made.data)
    assert found is not None
    assert (found.width, found.height) == size
    assert found.codec == "vp8" or found.codec.startswith("avc1.42C0")


@pytest.mark.parametrize(
    ("profile", "pixels", "starts"),
    [
        ("baseline", "yuv420p", "avc1.42"),
        ("main", "yuv420p", "avc1.4D"),
        ("high", "yuv420p", "avc1.64"),
        ("high422", "yuv422p", "avc1.7A"),
        ("high444", "yuv444p", "avc1.F4"),
    ],
)
@pytest.mark.parametrize("size", [(354, 200), (1920, 1080)])
@pytest.mark.parametrize("extra", ["", ":interlaced=1", ":cqm=jvt"])
def test_every_profile_is_understood(
    profile: str, pixels: str, starts: str, size: tuple[int, int], extra: str
) -> None:
    if extra == ":cqm=jvt" and not profile.startswith("high"):
        extra = ""  # has no scaling lists
    if extra == ":interlaced=1" and profile == "baseline":
        extra = ""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, pixels
    encoder.time_base = Fraction(1, 25)
    encoder.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "profile": profile,
        "x264-params": "repeat-headers=1:level=4.0" + extra,
    }
    frame = picture(0, width=size[0], height=size[1]).reformat(*size, pixels)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    found = describe("h264", data)
    assert found is not None
    assert (found.width, found.height) == size
    assert found.codec.startswith(starts)
    assert found.codec.endswith("28")  # level 4.0


def test_bytes_that_only_guard_against_a_start_code_are_left_out() -> None:
    def number(value: int) -> str:
        return "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"

    bits = "".join(f"{byte:08b}" for byte in (66, 0xC0, 30))
    bits += number(0) + number(0) + number(1) + "0"
    bits += number(2**30) + number(0) + number(0)  # an offset with thirty zeros in a row
    bits += number(1) + "0" + number(19) + number(10) + "1" + "1" + "0" + "0" + "1"
    body = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    guarded = body.replace(b"\x00\x00\x00", b"\x00\x00\x03\x00")
    assert guarded != body
    assert describe("h264", b"\x00\x00\x01\x67" + guarded) == Description("avc1.42C01E", 320, 176)


def test_frames_between_tell_nothing() -> None:
    for codec in ("h264", "vp8"):
        encoder = VideoEncoder(codec, bitrate=500_000)  # type: ignore[arg-type]
        encoder.encode(picture(1), 1, key=True)
        second = encoder.encode(picture(2), 2)
        assert second is not None
        assert describe(codec, second.data) is None
        assert not disposable(codec, second.data)


def test_frames_that_no_other_needs_are_told_apart() -> None:
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 176, "yuv420p"
    encoder.time_base, encoder.max_b_frames = Fraction(1, 25), 2
    encoder.options = {"x264-params": "repeat-headers=1:b-pyramid=none:b-adapt=0"}
    packets = []
    for number in range(12):
        frame = picture(number)
        frame.time_base = Fraction(1, 25)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    told = [disposable("h264", bytes(packet)) for packet in packets]
    # B-frames are shown before what was sent before them, and here nothing is made from them.
    times = [packet.pts for packet in packets]
    assert told == [any(earlier > pts for earlier in times[:n]) for n, pts in enumerate(times)]
    assert {True, False} == set(told)


@given(st.sampled_from(["h264", "vp8", "opus"]), st.binary(max_size=60))
def test_garbage_is_no_error(codec: str, data: bytes) -> None:
    for given_data in (data, b"\x00\x00\x01\x67" + data):
        found = describe(codec, given_data)
        assert found is None or isinstance(found, Description)
        assert disposable(codec, given_data) in (True, False)
