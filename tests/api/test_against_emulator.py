"""The whole client against the whole emulator, over a real socket and with real media."""

from __future__ import annotations

import asyncio
import io

import pytest

from decart_lab import DecartClient
from decart_lab._clock import AcceleratedClock
from decart_lab.errors import (
    AuthError,
    InvalidInputError,
    ModerationError,
    NotFoundError,
    QueueSubmitError,
)
from decart_lab.media.probe import probe

pytestmark = pytest.mark.anyio


def client_of(emu, key=None):
    return DecartClient(key or emu.api_key, base_url=emu.url, clock=AcceleratedClock(20.0))


async def test_a_photograph_comes_back_as_a_picture_of_the_models_size(emu, photo, tmp_path):
    async with client_of(emu) as client:
        media = await client.process(
            model="lucy-image-2", prompt="ink drawing", data=photo, save_to=tmp_path / "out.png"
        )
    assert media.simulated
    assert (media.kind, media.width, media.height) == ("image", 1280, 704)
    assert len(emu.ledger.entries) == 1


async def test_a_clip_comes_back_as_a_clip_of_the_models_size(emu, clip, tmp_path):
    seen = []
    async with client_of(emu) as client:
        result = await client.queue.submit_and_poll(
            model="lucy-2.1",
            prompt="make it snow",
            data=clip,
            save_to=tmp_path / "out.mp4",
            on_status_change=lambda job: seen.append(job.status),
        )
    assert result.status == "completed"
    assert seen[0] == "pending"
    assert seen[-1] == "completed"
    assert len(seen) == len(set(seen))
    found = probe(tmp_path / "out.mp4")
    assert (found.kind, found.width, found.height, found.fps) == ("video", 1280, 720, 20.0)
    assert result.data.job_id == result.job_id
    assert result.data.simulated
    assert len(emu.ledger.entries) == 1


async def test_a_job_can_be_collected_by_another_client_with_the_ticket_alone(emu, clip):
    async with client_of(emu) as client:
        job = await client.queue.submit(model="lucy-2.1", prompt="snow", data=clip)
    async with client_of(emu) as client:
        done = await client.queue.wait(job.job_id)
        first = await client.queue.result(done.job_id)
        assert first == await client.queue.result(done.job_id)
    assert len(emu.ledger.entries) == 1


async def test_moderation_is_an_error_for_process_and_a_failed_job_for_the_queue(emu, photo, clip):
    async with client_of(emu) as client:
        with pytest.raises(ModerationError):
            await client.process(model="lucy-image-2", prompt="[[blocked]]", data=photo)
        result = await client.queue.submit_and_poll(
            model="lucy-2.1", prompt="[[blocked]]", data=clip
        )
    assert result.status == "failed"
    assert result.error
    assert result.error != "Job failed"


async def test_tokens_files_models_and_quota_work_together(emu, photo):
    async with client_of(emu) as client:
        token = await client.tokens.create(expires_in=120, allowed_models=["lucy-image-2"])
        uploaded = await client.files.upload(photo, ttl_seconds=600)
        assert (await client.files.get(uploaded.id)).size_bytes == photo.stat().st_size
        await client.files.delete(uploaded.id)
        with pytest.raises(NotFoundError):
            await client.files.get(uploaded.id)
        assert await client.models.resolve("lucy-latest") == "lucy-2.5"
        assert (await client.models.resolve(["lucy-2.1"])) == {"lucy-2.1": "lucy-2.1"}
        assert (await client.realtime.quota()).active == 0
    async with client_of(emu, token.api_key) as client:
        assert await client.process(model="lucy-image-2", prompt="ink", data=photo)
        with pytest.raises(AuthError):
            await client.tokens.create()
    assert len(emu.ledger.entries) == 1


@pytest.mark.parametrize("key", ["invalid-key", "ek_forged0123456789"])
async def test_a_refused_key_is_an_auth_error(emu, key, clip):
    async with client_of(emu, key) as client:
        with pytest.raises(AuthError) as caught:
            await client.queue.submit(model="lucy-2.1", prompt="x", data=clip)
    assert isinstance(caught.value, QueueSubmitError)
    assert emu.ledger.entries == []


def huge_png():
    """A header that promises 50,000 by 50,000 pixels."""
    import struct
    import zlib

    chunk = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    end = b"IEND"
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0)
        + end
        + struct.pack(">I", zlib.crc32(end))
    )


async def test_bad_input_never_reaches_the_ledger(emu, photo, clip, tmp_path):
    (tmp_path / "text.png").write_text("this is no picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "huge.png").write_bytes(huge_png())
    (tmp_path / "half.mp4").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    image = {"model": "lucy-image-2", "prompt": "ink"}
    video = {"model": "lucy-2.1", "prompt": "snow"}
    restyle = {"model": "lucy-restyle-2", "data": clip}
    refused = [
        ("process", image | {"data": tmp_path / "missing.png"}, "data"),
        ("process", image | {"data": tmp_path}, "data"),
        ("process", image | {"data": tmp_path / "empty.png"}, "data"),
        ("process", image | {"data": tmp_path / "text.png"}, "data"),
        ("process", image | {"data": tmp_path / "huge.png"}, "data"),
        ("process", image | {"data": clip}, "data"),
        ("process", image | {"data": photo, "model": "lucy-image-9"}, "model"),
        ("process", image | {"data": photo, "model": "lucy-2.1"}, "model"),
        ("process", image | {"data": photo, "prompt": "x" * 1001}, "prompt"),
        ("process", image | {"data": photo, "seed": 2**32}, "seed"),
        ("process", image | {"data": photo, "reference_image": io.BytesIO()}, "reference_image"),
        ("submit", video | {"data": tmp_path / "half.mp4"}, "data"),
        ("submit", video | {"data": photo}, "data"),
        ("submit", video | {"data": clip, "model": "lucy-image-2"}, "model"),
        ("submit", restyle, "prompt"),
        ("submit", restyle | {"prompt": "x", "reference_image": photo}, "prompt"),
    ]
    async with client_of(emu) as client:
        for call, options, field in refused:
            method = client.process if call == "process" else client.queue.submit
            with pytest.raises(InvalidInputError) as caught:
                await method(options)
            assert caught.value.field == field, options
            assert caught.value.hint, options
    assert emu.ledger.entries == []


async def test_many_calls_at_once_share_one_client(emu, photo):
    async with client_of(emu) as client:
        results = await asyncio.gather(
            *(
                client.process(model="lucy-image-2", prompt="ink", data=photo, seed=seed)
                for seed in range(20)
            )
        )
    assert len(set(results)) == 20
    assert len(emu.ledger.entries) == 20
