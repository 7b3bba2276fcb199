"""H.264 files whose packets can be sent as they are, which costs next to nothing.

A packet cannot be left out, enlarged or asked for again, so the file has to suit: the size that is
sent, upright, 8-bit 4:2:0, no frame that waits for a later one, and a key frame, after which
nothing before it is needed, every two seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
from av.bitstream import BitStreamFilterContext

from ..demux import demuxed, identify, main_video, opened
from ..limits import MAX_CLIP_FRAMES
from ..probe import Probe, show_name

if TYPE_CHECKING:
    from .wanted import Wanted

_PROFILES: Final = frozenset({"Constrained Baseline", "Baseline", "Main", "High"})
_LONGEST_GOP_S: Final = 2.0
_START: Final = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_IDR: Final = 5


def suits(path: Path, found: Probe, wanted: Wanted) -> bool:
    """Say whether a clip can be sent packet by packet; reads its packets, decodes nothing."""
    if (
        not wanted.passthrough
        or wanted.mirror
        or found.codec != "h264"
        or found.rotation
        or (found.width, found.height) != wanted.size
        or (found.fps or 0) > 1.02 * wanted.fps
    ):
        return False
    last_s = -1.0
    key_s = 0.0
    for at_s, packet, decoding_order in _packets(path, check=True):
        # A frame may be called a key frame, and be one that later frames look back beyond.
        if packet.is_keyframe and _IDR in kinds(bytes(packet)):
            key_s = at_s
        elif last_s < 0:
            return False
        if not decoding_order or at_s <= last_s or at_s - key_s > _LONGEST_GOP_S:
            return False
        last_s = at_s
    return last_s >= 0


def kinds(data: bytes) -> set[int]:
    """Return which kinds of NAL unit a packet in Annex B holds.

    Examples
    --------
    >>> sorted(kinds(bytes.fromhex("00000001 67 42 00000001 68 ce 000001 65 88")))
    [5, 7, 8]
    """
    return {found[1][0] & 0x1F for found in _START.finditer(data)}


class Packets:
    """The packets of one pass, in Annex B, with the times they are shown at."""

    def __init__(self, path: Path) -> None:
        self.length_s = 0.0
        self._path = path

    def __iter__(self) -> Iterator[tuple[float, av.Packet[Any]]]:
        before_s = 0.0
        for at_s, packet, _ in _packets(self._path):
            length_s = float((packet.duration or 0) * (packet.time_base or 0))
            self.length_s = at_s + (length_s or at_s - before_s)
            before_s = at_s
            yield at_s, packet


def _packets(path: Path, *, check: bool = False) -> Iterator[tuple[float, av.Packet[Any], bool]]:
    """Yield time, packet and whether it is shown when it is decoded."""
    name = show_name(path)
    with opened(path) as file:
        kind = identify(file, name=name, field="source")
        with demuxed(file, kind, name=name, field="source") as container:
            stream = main_video(container)
            assert stream is not None  # probe saw it
            context = stream.codec_context
            if check and (context.profile not in _PROFILES or context.pix_fmt != "yuv420p"):
                return
            annexb = BitStreamFilterContext("h264_mp4toannexb", stream)
            origin: int | None = None
            for count, raw in enumerate(container.demux(stream)):
                if count > MAX_CLIP_FRAMES:
                    return
                for packet in annexb.filter(raw if raw.size else None):
                    if packet.pts is None or packet.time_base is None:
                        continue
                    origin = packet.pts if origin is None else origin
                    at_s = float((packet.pts - origin) * packet.time_base)
                    yield at_s, packet, packet.dts in (None, packet.pts)
