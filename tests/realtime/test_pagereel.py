"""What a page records becomes a file that can be played at any time; nonsense becomes none."""

from __future__ import annotations

from pathlib import Path

import pytest

from decart_lab.errors import InvalidInputError, MediaError, StoreError, WebRTCError
from decart_lab.media.mux import Muxer
from decart_lab.media.tally import tally
from decart_lab.realtime import pagereel
from decart_lab.realtime.pagereel import PageReel
from tests.helpers.disk import MB, small_disk
from tests.helpers.encoded import pictures
from tests.helpers.rest import eventually


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, bytes]:
    """Two seconds as a browser would record them."""
    folder, found = tmp_path_factory.mktemp("clips"), {}
    for codec, suffix in (("h264", ".mp4"), ("vp8", ".webm")):
        frames = pictures(codec, 50, gop=25)
        path = folder / f"clip{suffix}"
        with Muxer(path, codec, frames[0].data) as muxer:
            for number, frame in enumerate(frames):
                muxer.write("video", frame.data, number / 25, key=frame.key)
        found[suffix] = path.read_bytes()
    return found


class Page:
    """Sends a clip in slices, at most ``ahead`` before it hears that they are written."""

    def __init__(self, *clips: bytes, count: int = 8, ahead: int = 4) -> None:
        self.clips, self.count, self.ahead = list(clips), count, ahead
        self.reel: PageReel | None = None
        self.told: list[dict] = []
        self.slices: list[bytes] = []
        self.sent = self.id = 0

    def tell(self, message) -> None:
        self.told.append(dict(message))
        if message["op"] == "start":
            self.id, self.sent = message["id"], 0
            clip = self.clips.pop(0) if self.clips else b""
            step = -(-len(clip) // self.count) or 1
            self.slices = [clip[at : at + step] for at in range(0, len(clip), step)]
        if message["op"] == "stop":
            self.send(last=True, error="")
        else:
            while self.sent < min(len(self.slices), message.get("n", 0) + self.ahead):
                self.send([self.slices[self.sent]])

    def send(self, buffers=(), **more) -> None:
        self.sent += 1
        said = {"kind": "slice", "id": self.id, "n": self.sent, "last": False, **more}
        self.reel.heard(said | ({"buffers": buffers} if buffers else {}))

    @property
    def written(self) -> int:
        return max((message.get("n", 0) for message in self.told), default=0)


def recorded_by(page: Page, path: Path) -> PageReel:
    page.reel = PageReel(path, page.tell)
    page.reel.begin()
    return page.reel


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_slices_become_the_file_that_the_page_made(clips, tmp_path, suffix, threads):
    page = Page(clips[suffix])
    reel = recorded_by(page, tmp_path / "take.mp4")
    reel.prompt("ink")
    eventually(lambda: page.written == 8)
    recording = reel.close()
    assert reel.close() is recording
    assert recording.path == reel.path == tmp_path / f"take{suffix}", "the container's ending"
    assert recording.path.read_bytes() == clips[suffix]
    assert recording.frames == 50
    assert recording.seconds == pytest.approx(2.0, abs=0.05)
    assert recording.codec == {".mp4": "h264", ".webm": "vp8"}[suffix]
    assert recording.size == (320, 180)
    assert recording.size_bytes == len(clips[suffix])
    assert "ink" in recording.subtitles[0].read_text()
    assert [message["op"] for message in page.told] == ["start", *["took"] * 8, "stop"]
    eventually(lambda: not threads.new("decart-page-reel"))


def test_the_file_plays_whenever_the_writing_stops(clips, tmp_path):
    page = Page(clips[".mp4"])
    page.ahead = 1
    counted = []
    reel = PageReel(tmp_path / "take.mp4", lambda message: (counted.append(look()), tell(message)))
    page.reel, tell = reel, page.tell

    def look() -> int:
        return tally(reel.path).frames if page.written > 1 else 0

    reel.begin()
    eventually(lambda: page.written == 8)
    reel.close()
    assert counted == sorted(counted)
    assert counted[5] > 10, "all but what has not come"


def test_a_recorder_that_ends_by_itself_is_followed_by_another_file(clips, tmp_path):
    """As when the connection was lost: what the page received has ended with it."""
    page = Page(clips[".mp4"], clips[".mp4"])
    reel = recorded_by(page, tmp_path / "take")
    reel.prompt("ink")
    eventually(lambda: page.written == 8)
    page.send(last=True, error="")
    eventually(lambda: [m["op"] for m in page.told].count("start") == 2)
    eventually(lambda: page.told[-1].get("n") == 8)
    recording = reel.close()
    assert [path.name for path in recording.paths] == ["take.mp4", "take.part2.mp4"]
    assert recording.frames == 100
    assert all("ink" in path.read_text() for path in recording.subtitles)


def test_before_the_first_picture_the_page_is_asked_again(clips, tmp_path):
    page = Page(b"", clips[".mp4"])
    reel = recorded_by(page, tmp_path / "take.mp4")
    eventually(lambda: page.told)
    page.send(last=True, error="")
    eventually(lambda: page.written == 8)
    assert reel.close().paths == (tmp_path / "take.mp4",)


def test_a_hole_ends_the_recording_with_a_reason_and_keeps_what_came(clips, tmp_path):
    page = Page(clips[".mp4"])
    page.ahead = 0
    reel = recorded_by(page, tmp_path / "take.mp4")
    eventually(lambda: page.told)
    page.send([page.slices[0] + page.slices[1]])
    page.sent += 1
    page.send([page.slices[3]])
    eventually(lambda: page.told[-1]["op"] == "stop")
    with pytest.raises(WebRTCError, match="lost on its way"):
        reel.close()
    assert tally(tmp_path / "take.mp4").frames > 5


def test_a_page_that_cannot_record_says_why(tmp_path):
    page = Page(b"")
    reel = recorded_by(page, tmp_path / "take.mp4")
    eventually(lambda: page.told)
    page.send(last=True, error="MediaRecorder is not defined")
    with pytest.raises(WebRTCError, match="MediaRecorder is not defined"):
        reel.close()
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_gone_is_not_waited_for_long(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(pagereel, "STOP_S", 0.1)
    reel = PageReel(tmp_path / "take.mp4", lambda _: None)
    reel.begin()
    recording = reel.close()
    assert (recording.path, recording.frames, recording.seconds) == (None, 0, 0.0)


@pytest.mark.parametrize("data", [b"", b"RIFF....AVI ", b"\0" * 64], ids=["none", "avi", "zeros"])
def test_what_is_no_clip_is_not_kept(tmp_path, data):
    page = Page(b"")
    reel = recorded_by(page, tmp_path / "take.mp4")
    eventually(lambda: page.told)
    page.send([data])
    eventually(lambda: page.told[-1]["op"] == "stop")
    with pytest.raises(MediaError):
        reel.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "nonsense",
    [{}, {"id": "x", "n": 1}, {"n": "1"}, {"n": -1}, {"n": None, "last": True}, {"id": -5, "n": 1}],
    ids=str,
)
def test_nonsense_changes_nothing(clips, tmp_path, nonsense):
    page = Page(clips[".mp4"])
    page.ahead = 0
    reel = recorded_by(page, tmp_path / "take.mp4")
    eventually(lambda: page.told)
    reel.heard({"id": page.id, **nonsense})
    page.ahead = 4
    page.tell({"op": "took", "n": 0})
    eventually(lambda: page.written == 8)
    assert reel.close().frames == 50


def test_a_recording_has_a_largest_size(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(pagereel, "MOST_BYTES", len(clips[".mp4"]) // 2)
    page = Page(clips[".mp4"])
    reel = recorded_by(page, tmp_path / "take.mp4")
    eventually(lambda: page.told[-1]["op"] == "stop")
    with pytest.raises(StoreError, match="largest size"):
        reel.close()
    assert tally(tmp_path / "take.mp4").frames > 5


def test_a_file_that_is_there_is_left_alone_and_a_folder_is_refused(clips, tmp_path):
    (tmp_path / "take.mp4").write_bytes(b"mine")
    page = Page(clips[".mp4"])
    reel = recorded_by(page, tmp_path / "take.mp4")
    eventually(lambda: page.written == 8)
    assert reel.close().path == tmp_path / "take-2.mp4"
    assert (tmp_path / "take.mp4").read_bytes() == b"mine"
    with pytest.raises(InvalidInputError, match="is a folder"):
        PageReel(tmp_path, page.tell)


def test_a_full_disk_is_said_and_what_was_written_stays(clips, tmp_path):
    with small_disk(tmp_path, 4 * MB) as disk, disk.full(256_000):
        page = Page(clips[".mp4"] + b"\0" * 2 * MB, count=40)
        reel = recorded_by(page, disk.path / "take.mp4")
        eventually(lambda: page.told[-1]["op"] == "stop")
        with pytest.raises(StoreError, match="cannot be written"):
            reel.close()
        assert tally(disk.path / "take.mp4").frames == 50
