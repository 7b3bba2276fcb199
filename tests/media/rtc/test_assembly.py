"""Frames from packets, whatever order and number they come in."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from decart_lab.media.rtc.assembly import MAX_AHEAD, Assembler, begins_frame


@dataclass
class Packet:
    sequence_number: int
    timestamp: int
    marker: int
    payload: bytes
    payload_type: int = 97
    _data: bytes = field(default=b"", repr=False)

    def __post_init__(self):
        self._data = self.payload


def begins(packet):
    return packet.payload.startswith(b"<")


def packets(sizes, *, first=65_000):
    """Frames of so many packets each; every frame is <...> from its first to its last."""
    found = []
    for number, size in enumerate(sizes):
        for part in range(size):
            text = b"%d.%d" % (number, part)
            text = (b"<" if part == 0 else b"") + text + (b">" if part == size - 1 else b",")
            last = part == size - 1
            at = (first + len(found)) & 0xFFFF
            found.append(Packet(at, (4_294_960_000 + 3600 * number) & 0xFFFFFFFF, last, text))
    return found


def frames(sizes):
    whole = packets(sizes)
    found = {}
    for packet in whole:
        found.setdefault(packet.timestamp, []).append(packet.payload)
    return [b"".join(parts) for parts in found.values()]


def test_a_frame_is_complete_with_its_marker_and_not_a_packet_later():
    assembler = Assembler(begins)
    sent = packets([3, 2])
    done = [len(assembler.add(packet, 0.0)) for packet in sent]
    assert done == [0, 0, 1, 0, 1]


def test_a_frame_without_a_marker_ends_where_the_next_one_begins():
    assembler = Assembler(begins)
    sent = packets([2, 2])
    sent[1].marker = 0
    assert [len(assembler.add(packet, 0.0)) for packet in sent] == [0, 0, 1, 1]


sizes_of_frames = st.lists(st.integers(1, 6), min_size=1, max_size=30)


@given(sizes_of_frames, st.randoms(use_true_random=False), st.integers(0, 65_535))
def test_any_order_and_repetition_gives_the_same_frames(sizes, random, first):
    sent = packets(sizes, first=first)
    mixed = [sent[0], *sorted(sent[1:], key=lambda _: random.random())]
    mixed[1:] = [p for p in mixed[1:] for _ in range(random.choice((1, 1, 2)))]
    assembler = Assembler(begins)
    got = [whole.data for packet in mixed for whole in assembler.add(packet, 0.0)]
    assert got == frames(sizes)
    assert assembler.lost == 0
    assert assembler.gap_since_s is None
    assert assembler.missing() == []


@given(sizes_of_frames, st.sets(st.integers(0, 100)), st.booleans())
def test_loss_leaves_out_frames_and_damages_none(sizes, lost, at_once):
    sent = packets(sizes)
    kept = [packet for number, packet in enumerate(sent) if number not in lost]
    assembler = Assembler(begins)
    got = []
    for packet in kept:
        got += assembler.add(packet, 0.0)
        while at_once and assembler.gap_since_s is not None:
            got += assembler.skip()
    while assembler.gap_since_s is not None:
        got += assembler.skip()
    texts = [whole.data for whole in got]
    assert texts == [text for text in frames(sizes) if text in texts]  # in order, each whole
    intact = {
        text
        for text, stamp in zip(frames(sizes), dict.fromkeys(p.timestamp for p in sent), strict=True)
        if all(p in kept for p in sent if p.timestamp == stamp)
    }
    assert intact <= set(texts)


def test_what_is_missing_is_named_and_the_wait_for_it_is_timed():
    assembler = Assembler(begins)
    sent = packets([2, 2, 2])
    for number in (0, 3, 5):
        assembler.add(sent[number], float(number))
    assert assembler.missing() == [sent[n].sequence_number for n in (1, 2, 4)]
    assert assembler.gap_since_s == 3.0
    got = [whole.data for n in (1, 2) for whole in assembler.add(sent[n], 6.0)]
    assert got == frames([2, 2, 2])[:2]
    assert assembler.gap_since_s == 5.0


def test_a_sender_that_begins_anew_is_followed():
    assembler = Assembler(begins)
    for packet in packets([2] * 10, first=30_000):
        assembler.add(packet, 0.0)
    got = [
        whole.data for packet in packets([2, 2], first=100) for whole in assembler.add(packet, 0.0)
    ]
    assert got == frames([2, 2])


def test_what_is_held_is_bounded():
    assembler = Assembler(begins)
    sent = packets([1] * (3 * MAX_AHEAD), first=0)
    for packet in sent[:1] + sent[2:]:  # the second never comes
        assembler.add(packet, 0.0)
        assert len(assembler._ahead) <= MAX_AHEAD


def test_padding_makes_no_frames():
    assembler = Assembler(begins)
    sent = packets([1, 1, 1])
    sent[1]._data = b""
    assert [len(assembler.add(packet, 0.0)) for packet in sent] == [1, 0, 1]


def test_every_packet_of_sound_is_a_frame():
    assembler = Assembler(begins, single=True)
    sent = packets([1, 1, 1, 1])
    got = [whole.data for n in (0, 2, 1, 3) for whole in assembler.add(sent[n], 0.0)]
    assert got == frames([1, 1, 1, 1])


def test_a_beginning_is_told_from_a_middle():
    assert begins_frame("h264", bytes([24, 0, 5, 0x67]))
    assert begins_frame("h264", bytes([0x7C, 0x87]))
    assert not begins_frame("h264", bytes([0x7C, 0x45]))
    assert not begins_frame("h264", bytes([0x41]))
    assert begins_frame("vp8", bytes([0x90, 0x80]))
    assert not begins_frame("vp8", bytes([0x91, 0x80]))
    assert not begins_frame("vp8", b"")
