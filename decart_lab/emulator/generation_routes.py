"""Buying media: ``/v1/generate/{model}``, which answers with it, and ``/v1/jobs``, which queues."""

from __future__ import annotations

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ..contract.states import JobStatus
from .answers import Refusal
from .intake import buy
from .records import JobRecord
from .services import services

DEPRECATED = {"Deprecation": "true", "Link": '</v1/jobs>; rel="successor-version"'}
"""Sent with clips that were generated synchronously (seeds: the queue migration guide)."""


async def generate(request: Request) -> Response:
    """Buy a picture, or by the deprecated route a clip, and answer with it."""
    parts = services(request)
    job = await buy(request, request.path_params["model"], queued=False)
    await parts.runner.start(job, kept=False)
    if job.status != JobStatus.COMPLETED:
        raise Refusal(422 if job.refused else 500, job.error or "Generation failed.")
    path = parts.runner.result_path(job)
    return FileResponse(
        path,
        media_type=job.mime,
        headers=DEPRECATED if job.kind == "video" else None,
        background=BackgroundTask(path.unlink, missing_ok=True),
    )


async def submit_job(request: Request) -> Response:
    """Queue a job and answer with its ticket."""
    job = await buy(request, request.path_params["name"], queued=True)
    services(request).runner.start(job)
    return JSONResponse({"job_id": job.id, "status": JobStatus.PENDING})


async def job_status(request: Request) -> Response:
    """Say where a job stands, and why it failed."""
    job = _job(request)
    answer = {"job_id": job.id, "status": job.status}
    if job.error is not None:
        answer["error"] = job.error
    return JSONResponse(answer)


async def job_content(request: Request) -> Response:
    """Answer with a completed job's media."""
    job = _job(request)
    if job.status == JobStatus.FAILED:
        raise Refusal(409, f"Job {job.id} has failed and has no content: {job.error}")
    if job.status != JobStatus.COMPLETED:
        raise Refusal(409, f"Job {job.id} is {job.status}; its content is not ready.")
    path = services(request).runner.result_path(job)
    if not path.is_file():
        raise Refusal(404, f"The content of job {job.id} is no longer kept.")
    return FileResponse(path, media_type=job.mime)


def _job(request: Request) -> JobRecord:
    parts = services(request)
    parts.gatekeeper.admit(request.headers)
    job = parts.world.jobs.get(request.path_params["name"])
    if job is None:
        raise Refusal(404, "Job not found.")
    return job


routes = [
    Route("/v1/generate/{model}", generate, methods=["POST"]),
    Route("/v1/jobs/{name}", job_status, methods=["GET"]),
    Route("/v1/jobs/{name}", submit_job, methods=["POST"]),
    Route("/v1/jobs/{name}/content", job_content, methods=["GET"]),
]
