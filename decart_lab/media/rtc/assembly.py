"""Putting frames together from packets, each as soon as its last packet is there.

What belongs here: the order of packets, gaps, and where frames begin and end. No sockets, no
threads, no clock but the times it is given; what to do about a gap is the receiver's business.

A frame of video ends with the packet that bears the RTP marker (RFC 6184 5.1, RFC 7741 4.1).
aiortc 1.16 waits for the first packet of the next frame instead, which costs a whole frame's time,
and for lost packets it waits until 512 newer ones have come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

MAX_MISORDER: Final = 100
"""A packet further behind than this belongs to a sender that has begun anew."""
MAX_AHEAD: Final = 2048
"""Packets that may be held behind a gap."""


class Packet(Protocol):
    """What is asked of an RTP packet; aiortc's are such."""

    sequence_number: int
    timestamp: int
    marker: int
    payload: bytes
    payload_type: int
    _data: bytes


class Whole(NamedTuple):
    """A complete frame, as its codec made it."""

    data: bytes
    timestamp: int
    payload_type: int


class Assembler:
    """Puts packets in order and frames together.

    Parameters
    ----------
    begins : callable
        Tells from a packet whether a frame certainly begins with it; asked only where the packet
        before is missing.
    single : bool, default False
        Whether every packet is a frame of its own, as with sound.

    Attributes
    ----------
    expected : int
        Packets that must have been sent so far.
    missed : int
        Those among them that were not there when a later one came.
    lost : int
        Packets that were given up.
    late : int
        Packets that came twice, or after they had been given up.
    broken : int
        Frames left out because their beginning is missing.
    gap_since_s : float or None
        Since when packets have been held because one before them is missing.
    """

    def __init__(self, begins: Callable[[Packet], bool], *, single: bool = False) -> None:
        self._begins = begins
        self._single = single
        self._begun = False
        self._expected = 0
        self._ahead: dict[int, tuple[Packet, float]] = {}
        self._parts: list[bytes] = []
        self._timestamp = self._payload_type = 0
        self._certain = single  # whether the frame being put together has its beginning
        self._at_start = single  # whether the next packet begins a frame
        self._highest = 0
        self.expected = self.missed = self.lost = self.late = self.broken = 0
        self.gap_since_s: float | None = None

    def add(self, packet: Packet, now_s: float) -> list[Whole]:
        """Take a packet in; return the frames that it completes."""
        number = packet.sequence_number
        if not self._begun:
            self._begun = True
            self._restart(number)
        distance = (number - self._expected) & 0xFFFF
        if MAX_AHEAD < distance < 0x10000 - MAX_MISORDER:
            self._restart(number)
            distance = 0
        newer = (number - self._highest) & 0xFFFF
        if 0 < newer < 0x8000:
            self.expected += newer
            self.missed += newer - 1
            self._highest = number
        if distance == 0:
            done: list[Whole] = []
            self._take(packet, done)
            if self._ahead:
                self._drain(done)
            return done
        if distance > MAX_AHEAD or number in self._ahead:
            self.late += 1
            return []
        self._ahead[number] = packet, now_s
        if self.gap_since_s is None:
            self.gap_since_s = now_s
        return []

    def missing(self) -> list[int]:
        """Return the numbers of the packets that are waited for."""
        if not self._ahead:
            return []
        reach = max((number - self._expected) & 0xFFFF for number in self._ahead)
        numbers = ((self._expected + step) & 0xFFFF for step in range(reach))
        return [number for number in numbers if number not in self._ahead]

    def skip(self) -> list[Whole]:
        """Give up what is missing before the first packet held; return the frames after it."""
        if not self._ahead:
            return []
        start = self._expected
        distance = min((number - start) & 0xFFFF for number in self._ahead)
        self.lost += distance
        self.broken += bool(self._parts)
        self._parts = []
        self._expected = (start + distance) & 0xFFFF
        self._at_start = self._single
        done: list[Whole] = []
        self._drain(done)
        return done

    def _drain(self, done: list[Whole]) -> None:
        while held := self._ahead.pop(self._expected, None):
            self._take(held[0], done)
        self.gap_since_s = min((at_s for _, at_s in self._ahead.values()), default=None)

    def _take(self, packet: Packet, done: list[Whole]) -> None:
        self._expected = (packet.sequence_number + 1) & 0xFFFF
        if not packet._data:  # padding, sent to find out what the line can carry
            return
        if self._parts and packet.timestamp != self._timestamp:
            self._finish(done)
        if not self._parts:
            self._timestamp, self._payload_type = packet.timestamp, packet.payload_type
            self._certain = self._at_start or self._begins(packet)
        self._parts.append(packet._data)
        if packet.marker or self._single:
            self._finish(done)

    def _finish(self, done: list[Whole]) -> None:
        if self._certain:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            done.append(Whole(data, self._timestamp, self._payload_type))
        else:
            self.broken += 1
        self._parts = []
        self._at_start = True

    def _restart(self, number: int) -> None:
        self._ahead.clear()
        self._parts = []
        self._expected = number
        self._highest = (number - 1) & 0xFFFF
        self._at_start = self._single
        self.gap_since_s = None


def begins_frame(codec: str, payload: bytes) -> bool:
    """Tell whether a packet's payload certainly begins a frame that can be decoded by itself.

    For H.264 that is one which begins with parameter sets or a delimiter; for VP8, the first
    packet of the first partition.

    Examples
    --------
    >>> begins_frame("vp8", bytes([0x10])), begins_frame("h264", bytes([0x67, 0x42]))
    (True, True)
    >>> begins_frame("vp8", bytes([0x00])), begins_frame("h264", bytes([0x7C, 0x05]))
    (False, False)
    """
    if not payload:
        return False
    if codec == "vp8":
        return payload[0] & 0x17 == 0x10  # S set, partition 0; the bit between is reserved
    if codec != "h264":
        return True
    kind = payload[0] & 0x1F
    if kind == 24 and len(payload) > 3:  # several NAL units in one packet
        kind = payload[3] & 0x1F
    elif kind == 28 and len(payload) > 1:  # a part of one
        kind = payload[1] & 0x1F if payload[1] & 0x80 else 0
    return kind in (7, 9)
