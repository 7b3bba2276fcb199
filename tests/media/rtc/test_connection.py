"""Connections on loopback alone, with dead servers, and their end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass

import pytest

from decart_lab.media.rtc import connection as rtc
from decart_lab.media.rtc.connection import (
    LocalCandidate,
    add_candidate,
    close,
    local_candidates,
    make_connection,
    negotiated_codec,
    prefer_codec,
    set_remote,
)
from decart_lab.media.rtc.sdp import InvalidSDP
from tests.helpers.peers import join, two_connections, until

pytestmark = pytest.mark.anyio


@dataclass
class Server:
    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


async def test_two_connections_meet_within_half_a_second():
    async with two_connections() as (a, b):
        a.addTransceiver("audio")
        a.addTransceiver("video")
        began_s = time.monotonic()
        await join(a, b)
        assert time.monotonic() - began_s < 3 * 0.5


def test_two_connections_meet_on_a_machine_without_a_network():
    """In a network namespace of its own, where there is nothing but loopback."""
    script = """
        import asyncio, subprocess
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        from tests.helpers.peers import join, two_connections

        async def main():
            async with two_connections() as (a, b):
                a.addTransceiver("video")
                await join(a, b)
                hosts = a.localDescription.sdp.count("typ host")
            print("met over", hosts, "address")

        asyncio.run(main())
    """
    if sys.platform != "linux" or subprocess.run(["unshare", "-rn", "true"]).returncode:
        pytest.skip("this machine makes no network namespaces")
    ran = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == "met over 1 address\n", ran.stderr


async def test_loopback_can_be_left_out():
    connection = make_connection(loopback=False)
    connection.addTransceiver("video")
    await connection.setLocalDescription()
    assert "127.0.0.1" not in connection.localDescription.sdp
    await close(connection)


@pytest.mark.parametrize(
    ("urls", "limit_s"),
    [
        (("stun:127.0.0.1:{port}",), rtc.GATHER_S),
        (("turn:127.0.0.1:{port}?transport=udp",), rtc.RELAY_GATHER_S),
        (("stun:not a url", "stun:", "http://x", "turn:a:b:c"), 0.05),
    ],
)
async def test_dead_and_malformed_servers_hold_nothing_up(urls, limit_s):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        named = tuple(url.format(port=silent.getsockname()[1]) for url in urls)
        connection = make_connection([Server(named, "user", "secret")])
        connection.addTransceiver("video")
        began_s = time.monotonic()
        await connection.setLocalDescription()
        assert time.monotonic() - began_s < 3 * limit_s
        assert local_candidates(connection)
        await close(connection)


async def test_a_resolver_that_does_not_answer_holds_nothing_up(monkeypatch):
    monkeypatch.setattr(socket, "gethostbyname", lambda _: time.sleep(5))
    connection = make_connection([Server(("stun:slow.example",))])
    connection.addTransceiver("video")
    began_s = time.monotonic()
    await connection.setLocalDescription()
    assert time.monotonic() - began_s < 3 * rtc.GATHER_S
    await close(connection)


async def test_no_server_is_asked_unbidden():
    connection = make_connection()
    connection.addTransceiver("video")
    gatherer = connection.getTransceivers()[0].receiver.transport.transport.iceGatherer
    assert gatherer._connection.stun_server is None
    await close(connection)


async def test_candidates_may_come_one_by_one_and_for_any_line():
    async with two_connections() as (a, b):
        a.addTransceiver("audio")
        a.addTransceiver("video")
        await a.setLocalDescription()
        await set_remote(b, a.localDescription.sdp, "offer")
        await b.setLocalDescription()
        answer = b.localDescription.sdp
        bare = [
            line
            for line in answer.splitlines(keepends=True)
            if not line.startswith(("a=candidate", "a=end-of-cand"))
        ]
        own = local_candidates(b)
        assert own
        with pytest.raises(InvalidSDP, match="before the description"):
            await add_candidate(a, own[0])
        await set_remote(a, "".join(bare), "answer")
        await add_candidate(a, None)  # an end too early must not end anything
        for candidate in own:
            await add_candidate(a, candidate._replace(sdp_mid="1", sdp_m_line_index=1))
        await add_candidate(a, None)
        await add_candidate(a, own[0])
        await until(lambda: a.connectionState == "connected")


async def test_a_candidate_that_is_none_is_refused():
    async with two_connections() as (a, b):
        a.addTransceiver("video")
        await join(a, b)
        with pytest.raises(InvalidSDP):
            await add_candidate(a, LocalCandidate("candidate:dog", "0", 0))


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_the_preferred_codec_is_agreed_on(codec):
    async with two_connections() as (a, b):
        transceiver = a.addTransceiver("video")
        assert negotiated_codec(transceiver) is None
        prefer_codec(transceiver, codec)
        await join(a, b)
        assert negotiated_codec(transceiver) == codec
        assert negotiated_codec(b.getTransceivers()[0]) == codec


async def test_closing_while_connecting_raises_nothing_anywhere():
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    for turns in range(12):
        async with two_connections() as (a, b):
            a.addTransceiver("audio")
            a.addTransceiver("video")
            await a.setLocalDescription()
            await set_remote(b, a.localDescription.sdp, "offer")
            await b.setLocalDescription()
            await set_remote(a, b.localDescription.sdp, "answer")
            await asyncio.sleep(turns * 0.005)
    assert errors == []


async def test_closing_takes_no_longer_than_allowed(monkeypatch):
    connection = make_connection()

    async def hang():
        await asyncio.sleep(30)

    monkeypatch.setattr(connection, "close", hang)
    began_s = time.monotonic()
    assert not await close(connection, within_s=0.1)
    assert time.monotonic() - began_s < 1
