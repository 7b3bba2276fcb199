"""A feed on a real connection: what one end of WebRTC sends is what the page gets."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from decart_lab.media.rtc.connection import VideoCodec, prefer_codec
from decart_lab.media.rtc.decoding import Decoder
from decart_lab.media.rtc.frames import VIDEO_CLOCK, EncodedFrame
from decart_lab.media.rtc.incoming import VideoIn
from decart_lab.media.rtc.outgoing import VideoOut
from decart_lab.realtime.hub import Hub
from decart_lab.widgets.feed import Feed
from tests.helpers.peers import join, picture, two_connections, until
from tests.helpers.screens import CAPS, Page, wait


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_output_and_input_of_a_real_connection_reach_the_page(codec: VideoCodec) -> None:
    async with two_connections() as (near, far):
        sender = near.addTransceiver("video", direction="sendonly")
        prefer_codec(sender, codec)
        out, hub, page = VideoOut(fps=25), Hub(), Page()
        out.bind(sender)
        await near.setLocalDescription()
        receiver = far.addTransceiver("video", direction="recvonly")
        hub.attach(SimpleNamespace(video_in=VideoIn(receiver), audio_in=None))  # type: ignore[arg-type]
        feed = page.feed = Feed(hub, out, page.send, fps=25)
        feed.ready("a", CAPS)
        await join(near, far)

        async def film() -> None:
            number = 0
            while True:
                out.put(picture(number := number + 1))
                await asyncio.sleep(0.04)

        filming = asyncio.ensure_future(film())
        try:
            for of in ("output", "input"):
                await until(lambda of=of: len(page.of("a", of)) >= 12)
        finally:
            filming.cancel()
            await asyncio.to_thread(feed.close)
            hub.attach(None)
            out.close()
    for of in ("output", "input"):
        assert decoded([data for _, data in page.of("a", of)], codec) >= 10
        assert page.of("a", of)[0][0]["codec"].startswith({"h264": "avc1.", "vp8": "vp8"}[codec])


def decoded(frames: list[bytes], codec: str) -> int:
    """How many pictures are in frames that come one after the other."""
    shown: list[object] = []
    decoder = Decoder(shown.append, lambda: None, name="test-decoder")
    for number, data in enumerate(frames):
        decoder.push(EncodedFrame(codec, data, number * 3600, VIDEO_CLOCK, number == 0, 0.0))
    wait(lambda: not decoder._waiting)
    decoder.close()
    return len(shown)
