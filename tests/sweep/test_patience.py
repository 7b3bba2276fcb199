"""An answer that is late: the point is in doubt, others go on, and the answer is still taken."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from decart_lab._wire import Timeouts
from decart_lab.media import samples
from decart_lab.sweep.grid import Grid
from tests.helpers.serve import serve
from tests.helpers.sweeping import bench

from .scripted import png

pytestmark = pytest.mark.anyio

CLIP, CAT = samples.path("clip.mp4"), samples.path("cat.jpg")
OVERDUE = {"answer_s": 0.1, "picture_s": 0.1}


class Slow:
    """Answers a paid request with "slow" in its prompt only when it is told to."""

    def __init__(self, late: Response | None = None) -> None:
        self.bought: Counter[str] = Counter()
        self.told = asyncio.Event()
        self.late = late
        self.loop: asyncio.AbstractEventLoop | None = None
        self.app = Starlette(
            routes=[
                Route("/v1/generate/{model}", self._generate, methods=["POST"]),
                Route("/v1/jobs/{model}", self._submit, methods=["POST"]),
                Route("/v1/jobs/{job}", self._status),
                Route("/v1/jobs/{job}/content", self._content),
            ]
        )

    def answer(self) -> None:
        """Let the slow ones be answered; from any thread."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.told.set)

    async def _paid(self, request: Request) -> Response | None:
        self.loop = asyncio.get_running_loop()
        async with request.form() as form:
            prompt = str(form["prompt"])
        self.bought[prompt] += 1
        if "slow" in prompt:
            await self.told.wait()
            return self.late
        return None

    async def _generate(self, request: Request) -> Response:
        return await self._paid(request) or Response(png(1), media_type="image/png")

    async def _submit(self, request: Request) -> Response:
        refused = await self._paid(request)
        job = f"job-{sum(self.bought.values())}"
        return refused or JSONResponse({"job_id": job, "status": "pending"})

    async def _status(self, request: Request) -> Response:
        return JSONResponse({"job_id": request.path_params["job"], "status": "completed"})

    async def _content(self, _: Request) -> Response:
        return Response(CLIP.read_bytes(), media_type="video/mp4")


def grid(model: str) -> Grid:
    return Grid.of(model=model, prompt=["slow", "ink"], data=CAT if "image" in model else CLIP)


def stand(it):
    return {row["prompt"]: row["status"] for row in it.journal.rows()}


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("model", ["lucy-image-2", "lucy-2.1"])
async def test_a_late_answer_is_taken_and_nobody_has_waited_for_it(tmp_path, model):
    slow = Slow()
    with serve(slow.app) as url:
        options = {**OVERDUE, "window": 1, "concurrency": 1}
        async with bench(url, tmp_path, grid(model), speed=1, options=options) as it:
            running = asyncio.create_task(it.runner.run())
            await until(lambda: stand(it) == {"slow": "in_doubt", "ink": "completed"})
            assert it.journal.spent().in_doubt > 0
            assert not running.done()
            slow.answer()
            await running
            rows = it.journal.rows()
            spent = it.journal.spent()
    assert {row["status"] for row in rows} == {"completed"}
    assert all(row["error_type"] is None and row["error_message"] is None for row in rows)
    assert (spent.in_doubt, spent.reserved) == (0, 0)
    assert slow.bought == {"slow": 1, "ink": 1}


@pytest.mark.parametrize("model", ["lucy-image-2", "lucy-2.1"])
async def test_an_answer_that_never_comes_leaves_the_doubt(tmp_path, model):
    slow = Slow()
    timeouts = Timeouts(read_s=0.6, process_s=0.6)
    with serve(slow.app) as url:
        async with bench(
            url, tmp_path, grid(model), speed=1, timeouts=timeouts, options=OVERDUE
        ) as it:
            await it.rows()
            assert stand(it) == {"slow": "in_doubt", "ink": "completed"}
            assert it.journal.spent().in_doubt > 0
        slow.answer()
    assert slow.bought == {"slow": 1, "ink": 1}


@pytest.mark.parametrize(
    ("status", "end"), [(422, "rejected"), (429, "failed"), (401, "failed"), (500, "in_doubt")]
)
async def test_a_late_no_ends_the_doubt_when_it_is_one_and_nothing_is_sent_again(
    tmp_path, status, end
):
    slow = Slow(JSONResponse({"detail": "no"}, status))
    with serve(slow.app) as url:
        async with bench(url, tmp_path, grid("lucy-2.1"), speed=1, options=OVERDUE) as it:
            running = asyncio.create_task(it.runner.run())
            await until(lambda: stand(it) == {"slow": "in_doubt", "ink": "completed"})
            slow.answer()
            await running
            assert stand(it) == {"slow": end, "ink": "completed"}
            assert (it.journal.spent().reserved > 0) == (end == "in_doubt")
    assert slow.bought == {"slow": 1, "ink": 1}


async def test_leaving_the_jobs_does_not_wait_for_an_overdue_answer(tmp_path):
    slow = Slow()
    with serve(slow.app) as url:
        async with bench(url, tmp_path, grid("lucy-2.1"), speed=1, options=OVERDUE) as it:
            running = asyncio.create_task(it.runner.run())
            await until(lambda: stand(it)["slow"] == "in_doubt")
            await it.runner.stop("detach")
            await asyncio.wait_for(running, 9)
            assert stand(it)["slow"] == "in_doubt"
        slow.answer()
