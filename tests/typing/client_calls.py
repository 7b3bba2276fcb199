"""The documented calls, for the type checker only: what each returns. Nothing here is run."""

from __future__ import annotations

from typing import assert_type

from decart_lab.api.client import DecartClient
from decart_lab.contract.models import models
from decart_lab.contract.responses import (
    ClientToken,
    FileReference,
    Job,
    JobResult,
    RealtimeQuota,
    ResultBytes,
)
from decart_lab.media.media import Media


async def process(client: DecartClient) -> None:
    """Bytes by default, Media with save_to."""
    options = {"model": models.image("lucy-image-2"), "prompt": "ink", "data": "cat.png"}
    assert_type(await client.process(options), ResultBytes)
    assert_type(await client.process(model="lucy-image-2", prompt="ink", data=b""), ResultBytes)
    assert_type(await client.process(options, save_to="out.png"), Media)


async def queue(client: DecartClient) -> None:
    """Jobs and results."""
    job = await client.queue.submit(model="lucy-2.1", prompt="snow", data="clip.mp4")
    assert_type(job, Job)
    assert_type(await client.queue.wait(job, timeout_s=5), Job)
    assert_type(await client.queue.status(job.job_id), Job)
    assert_type(await client.queue.result(job.job_id), ResultBytes)
    assert_type(await client.queue.result(job.job_id, save_to="out.mp4"), Media)
    assert_type(await client.queue.submit_and_poll(model="lucy-2.1", prompt="snow"), JobResult)


async def rest(client: DecartClient) -> None:
    """Tokens, files, look-ups."""
    assert_type(await client.tokens.create(expires_in=60), ClientToken)
    assert_type(await client.files.upload("cat.png", ttl_seconds="persistent"), FileReference)
    assert_type(await client.models.resolve("lucy-latest"), str)
    assert_type(await client.models.resolve(["lucy-latest"]), dict[str, str])
    assert_type(await client.realtime.quota(), RealtimeQuota)
