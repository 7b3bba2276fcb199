"""Whatever is done to a file, it is read or refused with our own error; nothing else escapes."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decart_lab.errors import InvalidInputError
from decart_lab.media.image import open_image
from decart_lab.media.probe import probe
from decart_lab.media.video import read_frames
from tests.helpers.clips import moving, png_claiming, still, write_clip

PICTURES = {fmt: still(fmt, 40, 30, 6) for fmt in ("PNG", "JPEG", "WEBP")}
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(PICTURES)),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    st.integers(0, 2000),
)
def test_damaged_pictures_are_read_or_refused(fmt, edits, length):
    content = bytearray(PICTURES[fmt])
    for at, value in edits:
        content[at % len(content)] = value
    with contextlib.suppress(InvalidInputError):
        open_image(bytes(content[: max(length, 1)]))


@settings(max_examples=60, suppress_health_check=QUIET)
@given(
    st.sampled_from(["plain.mp4", "sound.mp4", "plain.webm"]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_clips_are_read_or_refused(made, tmp_path, name, edits):
    content = bytearray((made / name).read_bytes())
    for share, value in edits:
        content[int(share * (len(content) - 1))] = value
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with contextlib.suppress(InvalidInputError):
        probe(path)
        for _ in read_frames(path):
            pass


@given(st.sampled_from(sorted(PICTURES)), st.data())
def test_a_picture_cut_anywhere_is_refused(fmt, data):
    content = PICTURES[fmt]
    length = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(InvalidInputError):
        probe(content[:length])


@pytest.mark.parametrize("fmt", sorted(PICTURES))
def test_pixels_that_cannot_be_decoded_are_a_media_error(fmt):
    content = bytearray(still(fmt, 200, 200))
    if fmt == "PNG":
        at = content.index(b"IDAT") + 4
        content[at : at + 2] = b"\xff\xff"  # not a zlib stream
    elif fmt == "JPEG":
        at = content.index(b"\xff\xdb") + 2
        content[at : at + 2] = b"\0\x03"  # no room for a quantisation table
    else:
        at = content.index(b"\x9d\x01\x2a")
        content[at : at + 3] = bytes(3)  # no start code
    with pytest.raises(InvalidInputError):
        open_image(bytes(content))


def test_a_clip_may_not_open_other_files(tmp_path):
    """No system call opens a sibling, though playlists and references name one."""
    secret = write_clip(tmp_path / "secret.mp4", moving(3))
    traps = {
        "list.mp4": f"ffconcat version 1.0\nfile {secret}\n",
        "play.mp4": f"#EXTM3U\n#EXTINF:1,\n{secret}\n",
        "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in traps.items():
        (tmp_path / name).write_text(text)
    code = f"""
import sys
from pathlib import Path
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from decart_lab.media.probe import probe
from decart_lab.errors import MediaError
for name in {sorted(traps)!r}:
    try:
        probe(Path({str(tmp_path)!r}) / name)
    except MediaError:
        continue
    raise SystemExit(name + " was accepted")
print(any("secret" in name for name in opened))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


def test_the_demuxer_is_given_a_file_and_a_format_and_nothing_else(made, monkeypatch):
    import av

    calls = []
    real = av.open

    def spy(file, *args, **kwargs):
        calls.append((file, kwargs))
        return real(file, *args, **kwargs)

    monkeypatch.setattr(av, "open", spy)
    list(read_frames(made / "plain.mp4"))
    assert calls
    for file, kwargs in calls:
        assert not isinstance(file, (str, Path))
        assert isinstance(file, io.IOBase)
        assert kwargs["format"] == "mov"
        assert {"max_pixels", "codec_whitelist"} <= set(kwargs["options"])


def test_frames_larger_than_their_header_says_are_refused(tmp_path):
    """A box may promise 64 x 48 while the stream holds 8K; the decoder's own cap stops it."""
    from decart_lab.media import limits

    path = write_clip(tmp_path / "clip.mp4", moving(2, 320, 240))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("decart_lab.media.demux.MAX_CLIP_PIXELS", 10_000)
        patch.setattr(limits, "MAX_CLIP_PIXELS", 10_000)
        with pytest.raises(InvalidInputError):
            list(read_frames(path))


def test_frames_that_grow_in_the_middle_of_a_clip_are_refused(tmp_path, monkeypatch):
    """VP8 may change its size at any key frame, long after the header was checked."""
    import av

    small = write_clip(tmp_path / "small.webm", moving(60), codec="libvpx")
    large = write_clip(tmp_path / "large.webm", moving(3, 640, 480), codec="libvpx")
    path = tmp_path / "grows.webm"
    with av.open(str(path), "w") as out, av.open(str(small)) as first, av.open(str(large)) as then:
        stream = out.add_stream_from_template(first.streams.video[0])
        end = 0
        for source in (first, then):
            start = end
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.pts += start
                    packet.dts += start
                    end = packet.pts + 40
                    packet.stream = stream
                    out.mux(packet)
    assert probe(path).width == 64
    assert {frame.width for frame in read_frames(path)} == {64, 640}
    monkeypatch.setattr("decart_lab.media.demux.MAX_CLIP_PIXELS", 100 * 100)
    monkeypatch.setattr("decart_lab.media.limits.MAX_CLIP_PIXELS", 100 * 100)
    with pytest.raises(InvalidInputError):
        list(read_frames(path))


def test_a_picture_that_says_two_sizes_is_refused_before_it_is_decoded(monkeypatch):
    """Pillow believes the last header, and only warns below twice its limit."""
    from PIL import ImageFile

    loads = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: loads.append(self.size))
    content = still()
    other = png_claiming(12_000, 12_000)[8:33]
    with pytest.raises(InvalidInputError, match="damaged"):
        open_image(content[:33] + other + content[33:])
    assert loads == []
