"""Descriptions and candidates of the other side: what is used, what is refused, and how."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCPeerConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from decart_lab.media.rtc.connection import close, make_connection, set_remote
from decart_lab.media.rtc.sdp import MAX_CHARS, InvalidSDP, check_sdp, read_candidate

CANDIDATE = "candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host"


def described(kind="offer"):
    """A description as stock aiortc makes it."""

    async def make():
        connection = RTCPeerConnection()
        connection.addTransceiver("audio")
        connection.addTransceiver("video")
        other = RTCPeerConnection()
        await connection.setLocalDescription()
        await other.setRemoteDescription(connection.localDescription)
        await other.setLocalDescription()
        texts = connection.localDescription.sdp, other.localDescription.sdp
        await asyncio.gather(connection.close(), other.close())
        return texts

    offer, answer = asyncio.run(make())
    return offer if kind == "offer" else answer


@pytest.fixture(scope="module")
def offer():
    return described()


@pytest.fixture(scope="module")
def answer():
    return described("answer")


def test_a_good_description_is_left_as_it_is(offer, answer):
    assert check_sdp(offer, "offer") == offer
    assert check_sdp(answer, "answer") == answer
    assert check_sdp(offer.replace("\r\n", "\n"), "offer") == offer


def without(prefix):
    return lambda text: "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith(prefix)
    )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda _: 7, "not text"),
        (lambda _: "", "no media line"),
        (lambda text: text + "a=x\x00y\r\n", "characters"),
        (lambda text: text + "a=x\u2028y\r\n", "characters"),
        (lambda text: text + "a=" + "x" * MAX_CHARS, "characters"),
        (without("a=ice-ufrag"), "ice-ufrag"),
        (without("a=ice-pwd"), "ice-pwd"),
        (without("a=fingerprint"), "fingerprint"),
        (without("a=setup"), "encryption"),
        (without("a=rtcp-mux"), "rtcp-mux"),
        (without("a=mid"), "names of their own"),
        (lambda text: text.replace("a=mid:1", "a=mid:0"), "names of their own"),
        (lambda text: text.replace("a=mid:1", "a=mid"), "names of their own"),
        (lambda text: text.replace("BUNDLE 0", "BUNDLE 7"), "bundles"),
        (lambda text: text.replace("m=audio", "m=text"), "kind we do not know"),
        (lambda text: text.replace("m=audio", "m=audio x"), "cannot be read"),
        (lambda text: text.replace("sha-256 ", "sha-256 zz:"), "malformed fingerprint"),
        (lambda text: text.replace("sha-256 ", "sha-256 AA:"), "wrong length"),
        (lambda text: text.replace("a=extmap:1 ", "a=extmap:999 "), "header extension"),
        (lambda text: text + "a=ssrc:99999999999 cname:x\r\n", "ssrc"),
        (lambda text: text + "a=candidate:1 1 udp x\r\n", "candidate"),
        (lambda text: text + f"a={CANDIDATE}\r\n" * 300, "candidates"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(offer, damage, says):
    with pytest.raises(InvalidSDP, match=says):
        check_sdp(damage(offer), "offer")


def test_an_answer_must_choose_who_begins(offer):
    with pytest.raises(InvalidSDP, match="active or passive"):
        check_sdp(offer, "answer")


def test_a_line_without_a_direction_goes_both_ways(offer):
    assert check_sdp(without("a=sendrecv")(offer), "offer").count("a=sendrecv") == 2
    said = without("a=sendrecv")(offer).replace("t=0 0", "t=0 0\r\na=sendonly")
    assert check_sdp(said, "offer").count("a=sendonly") == 3


def test_candidates_of_no_use_are_left_out(offer):
    dead = (
        "a=candidate:1 1 tcp 2 10.0.0.1 9 typ host tcptype active\r\n"
        "a=candidate:2 2 udp 2130706431 10.0.0.1 5001 typ host\r\n"
        "a=candidate:3 1 udp 2130706431 8d4e-66aa.local 5001 typ host\r\n"
    )
    assert check_sdp(offer + dead, "offer") == offer


def test_a_list_of_hidden_names_only_is_left_open(offer):
    hidden = without("a=candidate")(offer)
    hidden += "a=candidate:3 1 udp 2130706431 8d4e-66aa.local 5001 typ host\r\n"
    assert "end-of-candidates" in hidden
    assert "end-of-candidates" not in check_sdp(hidden, "offer")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        "candidate:1 x udp 1 127.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 127.0.0.1 99999 typ host",
        "candidate:1 1 udp -1 127.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 no.such.host 5000 typ host",
        "candidate:1 1 udp 1 127.0.0.1 5000 typ dog",
        "candidate:1 1 udp 1 127.0.0.1 5000 typ host\n",
        CANDIDATE + " x" * 1000,
    ],
)
def test_a_candidate_that_is_none_is_refused(text):
    with pytest.raises(InvalidSDP):
        read_candidate(text, "0", 0)


@given(st.text(max_size=300))
def test_any_text_is_either_a_description_or_refused(text):
    with pytest.raises(InvalidSDP):
        check_sdp(text, "offer")
    try:
        read_candidate(text, None, None)
    except InvalidSDP:
        return


edits = st.lists(
    st.tuples(
        st.sampled_from(["drop", "double", "cut", "swap", "letter"]),
        st.integers(0, 9_999),
        st.integers(0, 80),
        st.characters(codec="utf-8"),
    ),
    min_size=1,
    max_size=4,
)


def edited(text, plan):
    lines = text.splitlines()
    for edit, line, where, letter in plan:
        at = line % len(lines)
        if edit == "drop" and len(lines) > 1:
            del lines[at]
        elif edit == "double":
            lines.insert(at, lines[at])
        elif edit == "cut":
            lines[at] = lines[at][:where]
        elif edit == "swap":
            lines[at], lines[where % len(lines)] = lines[where % len(lines)], lines[at]
        elif edit == "letter":
            lines[at] = lines[at][:where] + letter + lines[at][where + 1 :]
    return "\r\n".join(lines) + "\r\n"


@settings(max_examples=150, deadline=None)
@given(plan=edits)
def test_an_offer_that_passes_can_be_answered_and_all_others_raise_one_error(offer, plan):
    async def answer_it():
        loop_errors = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: loop_errors.append(c))
        connection = make_connection()
        try:
            await set_remote(connection, edited(offer, plan), "offer")
            await connection.setLocalDescription()
            await asyncio.sleep(0.03)  # the checks begin, in tasks that nobody watches
        except InvalidSDP:
            pass
        finally:
            await close(connection)
        assert not loop_errors

    asyncio.run(answer_it())
