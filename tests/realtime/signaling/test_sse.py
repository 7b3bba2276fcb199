"""Server-sent events mean what the HTML standard says, however they are cut, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decart_lab._wire import Head
from decart_lab.errors import ResponseError
from decart_lab.realtime.signaling.sse import EventReader

pytestmark = pytest.mark.anyio

HEAD = Head(200, {"content-type": "text/event-stream; charset=utf-8"})


async def events_of(*chunks: bytes, max_bytes=1_000_000):
    async def arriving():
        for chunk in chunks:
            yield chunk

    reader = EventReader(HEAD, arriving(), max_bytes=max_bytes)
    return [(e.name, e.data, e.id) async for e in reader.read()], reader


# After the web-platform-tests of EventSource (eventsource/format-*): the stream, and what it means.
TABLE = [
    ("data", b"data: a\n\n", [("message", "a", None)]),
    ("no space", b"data:a\n\n", [("message", "a", None)]),
    ("one space only is taken away", b"data:  a\n\n", [("message", " a", None)]),
    ("two lines", b"data: a\ndata: b\n\n", [("message", "a\nb", None)]),
    ("an empty line among them", b"data: a\ndata\ndata: b\n\n", [("message", "a\n\nb", None)]),
    ("carriage returns", b"data: a\rdata: b\r\r", [("message", "a\nb", None)]),
    ("both", b"data: a\r\ndata: b\r\n\r\n", [("message", "a\nb", None)]),
    ("mixed", b"data: a\r\ndata: b\ndata: c\r\n\r", [("message", "a\nb\nc", None)]),
    ("byte order mark", b"\xef\xbb\xbfdata: a\n\n", [("message", "a", None)]),
    (
        "a second one is none",
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
        [("message", "b", None)],
    ),
    ("comment", b": hello\n\ndata: a\n\n", [("message", "a", None)]),
    ("comment inside", b"data: a\n:b\ndata: c\n\n", [("message", "a\nc", None)]),
    ("name", b"event: tick\ndata: a\n\n", [("tick", "a", None)]),
    ("the last name counts", b"event: a\nevent: b\ndata: c\n\n", [("b", "c", None)]),
    ("an empty name is none", b"event:\ndata: c\n\n", [("message", "c", None)]),
    (
        "names do not last",
        b"event: a\ndata: b\n\ndata: c\n\n",
        [("a", "b", None), ("message", "c", None)],
    ),
    ("unknown field", b"what: a\ndata: b\n\n", [("message", "b", None)]),
    ("case matters", b"DATA: a\ndata: b\n\n", [("message", "b", None)]),
    ("a space before the colon", b"data : a\ndata: b\n\n", [("message", "b", None)]),
    ("leading space", b" data: a\ndata: b\n\n", [("message", "b", None)]),
    ("id", b"id: 7\ndata: a\n\n", [("message", "a", "7")]),
    ("an id with NUL is none", b"id: 7\0\ndata: a\n\n", [("message", "a", None)]),
    (
        "an id is an event's own",
        b"id: 7\ndata: a\n\ndata: b\n\n",
        [("message", "a", "7"), ("message", "b", None)],
    ),
    ("data without an end is none", b"data: a\n\ndata: b\n", [("message", "a", None)]),
    ("nor with half an end", b"data: a", []),
    ("no data, no event", b"event: tick\nid: 3\n\n", []),
    ("empty data, no event", b"data:\n\n", []),
    ("NUL in data", b"data: a\0b\n\n", [("message", "a\0b", None)]),
    ("bytes that are no UTF-8", b"data: a\xff\n\n", [("message", "a\ufffd", None)]),
    (
        "other line ends are none",
        "data: a\u2028\u0085b\x0bc\n\n".encode(),
        [("message", "a\u2028\u0085b\x0bc", None)],
    ),
    ("many empty lines", b"\n\n\n\ndata: a\n\n\n\n", [("message", "a", None)]),
]


@pytest.mark.parametrize(
    ("stream", "means"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
async def test_a_stream_means_what_the_standard_says(stream, means):
    assert (await events_of(stream))[0] == means


@pytest.mark.parametrize(
    ("stream", "means"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
async def test_it_means_the_same_when_it_comes_byte_by_byte(stream, means):
    assert (await events_of(*[bytes([b]) for b in stream]))[0] == means


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from([row[1] for row in TABLE]), max_size=5), st.data())
async def test_where_a_stream_is_cut_makes_no_difference(streams, data):
    whole = b"".join(streams)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert (await events_of(*pieces))[0] == (await events_of(whole))[0]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=200), max_size=6))
async def test_no_bytes_break_the_reader(chunks):
    found, _ = await events_of(*chunks)
    assert all(data for _, data, _ in found)


async def test_ids_and_wishes_without_data_count_too():
    _, reader = await events_of(b"id: 41\n\nretry: 2500\n\n")
    assert (reader.last_id, reader.retry_s) == ("41", 2.5)


@pytest.mark.parametrize("value", [b"2500x", b"-1", b"", b"99999999999", b"9" * 5000])
async def test_a_wish_that_is_no_time_is_none(value):
    _, reader = await events_of(b"retry: " + value + b"\n\n")
    assert reader.retry_s is None


@pytest.mark.parametrize("value", ["ключ", "a\tb", "x" * 1001])
async def test_an_id_that_cannot_go_into_a_header_is_none(value):
    found, reader = await events_of(b"id: 1\n\n" + f"id: {value}\ndata: a\n\n".encode())
    assert (found, reader.last_id) == ([("message", "a", None)], "1")


async def test_an_empty_id_forgets_the_last():
    _, reader = await events_of(b"id: 1\ndata: a\n\nid\ndata: b\n\n")
    assert reader.last_id == ""


@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"x" * 2000, b":" + b"x" * 2000, b"data: " + b"x" * 100 + b"\n", b"x" * 2000],
    ids=["a line", "a comment", "an event of many lines", "no line at all"],
)
async def test_what_grows_without_end_is_given_up(stream):
    with pytest.raises(ResponseError, match="larger than the 1,000 bytes"):
        await events_of(*([stream] * 20), max_bytes=1000)


async def test_comments_without_end_cost_nothing():
    found, reader = await events_of(*([b": still here\n"] * 10_000), b"data: a\n\n", max_bytes=1000)
    assert found == [("message", "a", None)]
    assert reader.bytes == 130_009


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/html"},
        {},
        {"content-type": "text/event-stream", "content-encoding": "gzip"},
        {"content-type": "text/event-stream", "content-encoding": "br"},
    ],
)
def test_what_is_no_plain_stream_is_refused(headers):
    async def nothing():
        yield b""

    with pytest.raises(ResponseError, match="not a plain stream"):
        EventReader(Head(200, headers), nothing())
