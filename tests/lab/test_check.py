"""``dl.check()`` names what stands in the way, and does not claim to know what it cannot."""

from __future__ import annotations

import socket

import pytest

import decart_lab as dl
from decart_lab.emulator import emulator


@pytest.fixture
def live():
    with emulator() as emu, dl.connect(emu.url) as lab:
        yield lab.live(source="synthetic", size=(320, 180), fps=15)
        dl.stop_all()


def verdicts(found):
    return {one.what: one.verdict for one in found}


def open_view(live, **caps):
    live.view._handle_custom_msg({"kind": "ready", "view": "v", "protocol": 1, "caps": caps}, [])


def test_without_a_view_what_a_page_knows_is_unknown():
    found = dl.check()
    unknown = {what for what, verdict in verdicts(found).items() if verdict == "unknown"}
    assert unknown == {"Messages while a cell runs", "A secure page", "Decoding in the page"}
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
