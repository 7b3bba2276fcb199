"""``dl.check()`` names what stands in the way, and does not claim to know what it cannot."""

from __future__ import annotations

import socket
import time

import pytest

import decart_lab as dl
from decart_lab.emulator import emulator
from decart_lab.media.rtc.encoder import VideoEncoder
from decart_lab.widgets.budget import KERNEL
from decart_lab.widgets.printing import PRINTING
from tests.helpers.livetalk import open_view


@pytest.fixture(autouse=True)
def calm(monkeypatch):
    """No flood of print is remembered, neither from another test nor for one."""
    monkeypatch.setattr(PRINTING, "flood_s", float("-inf"))


@pytest.fixture
def live():
    with emulator() as emu, dl.connect(emu.url) as lab:
        yield lab.live(source="synthetic", size=(320, 180), fps=15)
        dl.stop_all()


def verdicts(found):
    return {one.what: one.verdict for one in found}


def test_without_a_view_what_a_page_knows_is_unknown():
    found = dl.check()
    unknown = [what for what, verdict in verdicts(found).items() if verdict == "unknown"]
    page = ["A secure page", "A camera in the page", "Decoding in the page"]
    assert unknown == ["Messages while a cell runs", *page, "Printing"]
    assert verdicts(found)["UDP"] == "good"
    assert "frames a second" in repr(found)
    assert "frames a second" in found._repr_mimebundle_()["text/html"]


def test_a_page_that_is_not_secure_is_named_with_the_remedy(live):
    open_view(live, secure=False, h264=False, vp8=False)
    found = dl.check()
    assert verdicts(found)["A secure page"] == "missing"
    assert not found.ok
    assert "https" in repr(found)


def test_a_page_that_cannot_decode_gets_jpeg_and_is_told_so(live):
    open_view(live, secure=True, h264=False, vp8=False)
    assert verdicts(dl.check())["Decoding in the page"] == "slow"
    open_view(live, secure=True, h264=True, vp8=True)
    assert verdicts(dl.check())["Decoding in the page"] == "good"


def test_a_page_that_may_not_have_a_camera_is_named_with_what_allows_it(live):
    what = "A camera in the page"
    for camera, verdict in ((True, "good"), (False, "missing"), (None, "unknown")):
        open_view(live, secure=True, h264=True, camera=camera)
        assert verdicts(dl.check())[what] == verdict
    open_view(live, secure=True, h264=True, camera=False)
    [found] = [one for one in dl.check() if one.what == what]
    assert 'allow="camera' in found.fix
    open_view(live, secure=False, camera=True)
    assert verdicts(dl.check())[what] == "missing"


def test_a_flood_of_print_is_named_though_it_is_over(live):
    open_view(live, secure=True)
    assert verdicts(dl.check())["Printing"] == "good"
    for _ in range(4):
        PRINTING.count(1_000_000, time.monotonic())
    [found] = [one for one in dl.check() if one.what == "Printing"]
    assert found.verdict == "slow"
    assert "iopub_data_rate_limit" in found.fix


def test_an_encoder_that_cannot_keep_up_is_named_with_the_size(live, monkeypatch):
    assert verdicts(dl.check())["Encoding"] == "good"
    encode = VideoEncoder.encode

    def slowly(*args, **keywords):
        time.sleep(0.1)
        return encode(*args, **keywords)

    monkeypatch.setattr(VideoEncoder, "encode", slowly)
    [found] = [one for one in dl.check() if one.what == "Encoding"]
    assert found.verdict == "slow"
    assert "320x180" in found.found
    assert "15 are to be sent" in found.found
    assert "size=" in found.fix


def test_previews_that_have_used_up_their_room_are_named(live):
    assert verdicts(dl.check())["Room for pictures"] == "good"
    until = time.monotonic() + 2.0
    while time.monotonic() < until and not KERNEL.tight(time.monotonic()):
        KERNEL.take(8_000_000, time.monotonic())
        time.sleep(0.01)
    [found] = [one for one in dl.check() if one.what == "Room for pictures"]
    assert found.verdict == "slow"
    assert "size=" in found.fix


def test_messages_that_wait_behind_cells_are_named_with_the_setting(live):
    open_view(live, secure=True, h264=True)
    [cells] = [one for one in dl.check() if one.what == "Messages while a cell runs"]
    assert cells.verdict == "slow"
    assert "commsOverSubshells" in cells.fix


def test_a_kernel_without_udp_is_told_to_leave_media_to_the_browser(monkeypatch):
    def refused(*_):
        raise PermissionError("no UDP here")

    monkeypatch.setattr(socket.socket, "bind", refused)
    [udp] = [one for one in dl.check() if one.what == "UDP"]
    assert udp.verdict == "missing"
    assert "camera" in udp.fix
