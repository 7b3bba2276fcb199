"""The life of a job: pending, processing, completed or failed, in the emulator's own time.

Two things happen side by side. The *simulated* service waits for a place and takes as long as the
model and the clip's length ask for; the ten-minute rule and the capacity are its matter. The *real*
media work runs in a few threads. A job is completed when both are done; a slow machine therefore
makes a job late, but never fails it by the ten-minute rule.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from .._clock import Clock
from ..contract.models import ModelSpec, find
from ..contract.states import JobStatus
from ..errors import InvalidInputError
from .records import JobRecord
from .settings import JOB_LIMIT_S, Settings
from .world import World

log = logging.getLogger("decart_lab.emulator")

MODERATED: Final = "Moderation: the prompt was rejected by the content policy."
TOO_LONG: Final = "The job was not finished within 10 minutes."


PACE: Final = {"lucy-restyle-2": 0.7, "lucy-2.1": 1.2, "lucy-2.1-vton": 1.3, "lucy-clip": 1.6}
"""How slow a model is beside the newest ones, which count as 1."""


def durations(model: ModelSpec, seconds: float | None, dice: random.Random) -> tuple[float, float]:
    """Return how long a job is pending and processing, in emulator seconds.

    The hosted service publishes no figures; these are made up to look like it: a picture takes
    two seconds, a clip a little longer than it plays, and now and then either takes its time.
    Beyond a minute clips go faster, as half an hour of input is to be done within ten minutes.

    Parameters
    ----------
    model : ModelSpec
        What runs.
    seconds : float or None
        Length of the clip.
    dice : random.Random
        Where chance comes from.
    """
    wait_s = 0.2 + dice.lognormvariate(-0.7, 0.6)
    if seconds is None:
        return min(wait_s, 1.0), dice.uniform(1.2, 2.6)
    effort = min(seconds, 60.0) + 0.15 * max(0.0, seconds - 60.0)
    pace = PACE.get(model.canonical, 1.0)
    return wait_s, 1.5 + pace * dice.lognormvariate(0.0, 0.2) * effort


class Runner:
    """Moves jobs along on the server's loop, and renders them in threads.

    Jobs that are kept are written to the world at each step; those of the synchronous route are
    known only to the request that waits for them.
    """

    def __init__(self, world: World, clock: Clock, settings: Settings) -> None:
        self._world = world
        self._clock = clock
        self._settings = settings
        self._places = asyncio.Semaphore(settings.capacity)
        self._pool = ThreadPoolExecutor(
            settings.render_threads, thread_name_prefix="decart-lab-render"
        )
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, job: JobRecord, *, kept: bool = True) -> Awaitable[None]:
        """Let a job begin; the awaitable is done when the job is final."""
        task = asyncio.create_task(self._live(job, kept), name=job.id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def resume(self) -> None:
        """Take up what the last run of this world left unfinished; time stood still meanwhile."""
        for job in self._world.jobs.values():
            if not job.final:
                job.status = JobStatus.PENDING
                self.start(job)

    def fail(self, job: JobRecord, reason: str) -> None:
        """Let a job that is kept fail, however far it has come; for faults."""
        for task in self._tasks:
            if task.get_name() == job.id:
                task.cancel()
        self._fail(job, reason, kept=True)

    async def close(self, *, wait: bool = True) -> None:
        """Stop; unfinished jobs stay as they are, to be resumed.

        Parameters
        ----------
        wait : bool
            Whether to wait for media work that has begun.
        """
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown, wait=wait, cancel_futures=True)

    async def _live(self, job: JobRecord, kept: bool) -> None:
        limit = asyncio.create_task(self._clock.sleep(JOB_LIMIT_S))
        served = asyncio.create_task(self._serve(job, kept))
        try:
            await asyncio.wait({limit, served}, return_when=asyncio.FIRST_COMPLETED)
            if not served.done():
                served.cancel()
                self._fail(job, TOO_LONG, kept)
            else:
                await self._finish(job, served.result(), kept)
        except InvalidInputError as error:
            # The headers were in order and the rest was not.
            self._fail(job, error.message, kept, refused=True)
        except Exception:
            log.exception("a job failed inside the emulator")
            self._fail(job, "Internal error of the emulator; its log has the details.", kept)
        finally:
            limit.cancel()
            served.cancel()

    async def _serve(self, job: JobRecord, kept: bool) -> asyncio.Future[str] | None:
        """Simulate the service's side; return the media work that was begun on the way."""
        await self._clock.sleep(job.wait_s)
        async with self._places:
            job.status, job.started_at = JobStatus.PROCESSING, self._clock.utc()
            self._save(job, kept)
            loop = asyncio.get_running_loop()
            media = None
            if not job.blocked:
                media = loop.run_in_executor(self._pool, self._render, job)
            try:
                await self._clock.sleep(job.work_s)
            except asyncio.CancelledError:
                if media is not None:
                    media.cancel()
                raise
            return media

    async def _finish(self, job: JobRecord, media: asyncio.Future[str] | None, kept: bool) -> None:
        if media is None:
            self._fail(job, MODERATED, kept, refused=True)
            return
        job.mime = await media
        job.result = self.result_path(job).name
        job.status, job.finished_at = JobStatus.COMPLETED, self._clock.utc()
        self._forget_inputs(job)
        self._save(job, kept)

    def _render(self, job: JobRecord) -> str:
        """Do the media work, in a thread; return the type of what came out."""
        from .render import RenderRequest, render

        model = find(job.model, "image" if job.kind == "image" else "video")
        assert model is not None
        files = {name: self._world.uploads / stored for name, stored in job.inputs.items()}
        request = RenderRequest(
            model=model,
            prompt=job.prompt,
            seed=job.seed,
            data=files.get("data"),
            start=files.get("start"),
            end=files.get("end"),
            reference=files.get("reference_image"),
            trajectory=None if job.trajectory is None else tuple(job.trajectory),
            resolution=job.resolution,
            orientation=job.orientation,
            mode=self._settings.render,
            job_id=job.id,
            input_s=job.input_s,
        )
        return render(request, self.result_path(job)).mime

    def result_path(self, job: JobRecord) -> Path:
        """Return where a job's media is, once it is completed."""
        return self._world.results / (job.id + (".png" if job.kind == "image" else ".mp4"))

    def _fail(self, job: JobRecord, reason: str, kept: bool, *, refused: bool = False) -> None:
        job.refused = refused
        job.status, job.error, job.finished_at = JobStatus.FAILED, reason, self._clock.utc()
        entry = self._world.ledger.find(job.ledger_id)
        if entry is not None and entry.price:
            entry.price = 0.0  # inferred: what fails is not charged
            self._world.save_entry(entry)
        self._forget_inputs(job)
        self._save(job, kept)

    def _forget_inputs(self, job: JobRecord) -> None:
        for stored in job.inputs.values():
            (self._world.uploads / stored).unlink(missing_ok=True)
        job.inputs = {}

    def _save(self, job: JobRecord, kept: bool) -> None:
        if kept:
            self._world.save_job(job)
