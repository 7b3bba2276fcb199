"""``queue``: video jobs, from submission to result (wire contract, section 5).

What belongs here: the four calls, waiting, and what a job's answers must look like. A job id is a
ticket for something paid: every error after the submission carries it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from os import PathLike
from typing import Any, Final, Literal, overload

from .._caller import Caller, nonsense, parse_json
from .._wire import Call
from ..contract.models import ModelSpec
from ..contract.responses import Job, JobResult, ResultBytes, check_id
from ..contract.states import JobStatus
from ..errors import (
    DecartSDKError,
    InvalidInputError,
    NotFoundError,
    QueueResultError,
    QueueStatusError,
    QueueSubmitError,
    ResponseError,
)
from ..media.media import Media
from .fetch import Fetcher
from .inputs import form
from .jobs import accepted, check_poll, expired
from .options import Options, checked, merge, queue_kinds, safe_path
from .results import MAX_ON_DISK, WhenSaved, collect, destination

OnStatus = Callable[[Job], object]
SaveTo = str | PathLike[str]

DEFAULT_WAIT_S: Final = 660.0
"""Just over the ten minutes after which the service itself marks a job as failed."""
FIRST_POLL_S: Final = 0.5
SLOWEST_POLL_S: Final = 2.0

_RESULT_HINTS: Final = {
    404: "The service does not know the job, or has forgotten its result.",
    409: "The job has not completed; wait for it with queue.wait(job_id).",
    425: "The job has not completed; wait for it with queue.wait(job_id).",
}


class Queue:
    """Jobs: submit, look, wait, collect. Reached as ``client.queue``."""

    def __init__(self, caller: Caller, fetcher: Callable[[], Fetcher]) -> None:
        self._caller = caller
        self._fetcher = fetcher

    async def submit(
        self,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        model: ModelSpec | str | None = None,
        prompt: str | None = None,
        data: Any = None,
        reference_image: Any = None,
        seed: int | None = None,
        resolution: str | None = None,
        enhance_prompt: bool | None = None,
        image_route: Literal["direct", "queue"] | None = None,
        on_upload_progress: Callable[[int, int], object] | None = None,
        **fields: Any,
    ) -> Job:
        """Submit a job and return at once. This buys.

        Parameters
        ----------
        options : mapping, optional
            The same options as a dict, as in the official SDK; it is not changed.
        model : str or ModelSpec
            A video model.
        prompt : str, optional
            What to make; required by most models.
        data : path, bytes, file, URL, picture, array or Media, optional
            The clip, or the picture to animate; see :func:`decart_lab.media.inputs.prepare`.
        reference_image : same, optional
            A picture to follow.
        seed : int, optional
            0 to 4294967295; left out, the service draws one.
        resolution : str, optional
            "720p", or "480p" where the model takes it.
        enhance_prompt : bool, optional
            Whether the service may rewrite the prompt; its own default is True.
        image_route : {"direct", "queue"}, optional
            "queue" also accepts image models, as jobs that can be collected by their id.
        on_upload_progress : callable, optional
            Called with the bytes sent so far and in all.
        **fields
            Further fields of the model: ``start``, ``end``, ``trajectory``, ``orientation``, ...

        Returns
        -------
        Job
            ``.job_id`` is the ticket; write it down.

        Raises
        ------
        InvalidInputError
            Before any request, naming the field and the fix; nothing was bought.
        QueueSubmitError
            Also of a cause class. With ``.sent == "all"`` on a NetworkError the job may exist.
        """
        keywords = {
            "model": model,
            "prompt": prompt,
            "data": data,
            "reference_image": reference_image,
            "seed": seed,
            "resolution": resolution,
            "enhance_prompt": enhance_prompt,
            "image_route": image_route,
            "on_upload_progress": on_upload_progress,
        }
        merged = merge(
            options, keywords | fields, "queue.submit", "image_route", "on_upload_progress"
        )
        return await self._submit(merged)

    async def _submit(self, options: Options) -> Job:
        request = checked(options, *queue_kinds(options))
        path = safe_path(request.model.queue_path, request.model)
        what = f"Submitting to {request.model.name}"
        timeouts = self._caller.http.timeouts
        async with self._fetcher() as fetch:
            body = await form(request, fetch)
            call = Call(
                "POST",
                path,
                "/v1/jobs/{model}",
                timeouts.upload_s,
                body=body,
                once=True,
                read_s=timeouts.process_s,  # too little patience here would lose the ticket
                on_progress=options.controls.get("on_upload_progress"),
            )
            answer = await self._caller.call(QueueSubmitError, what, call)
        return accepted(answer, what)

    async def status(self, job_id: str) -> Job:
        """Ask once how a job is doing.

        Raises
        ------
        QueueStatusError
            Also of a cause class, such as NotFoundError for a job the service does not know.
        """
        return await self._status(check_id(job_id), self._caller.http.timeouts.call_s)

    async def _status(self, job_id: str, total_s: float, *, repeatable: bool = True) -> Job:
        what = f"Asking for the status of job {job_id}"
        call = Call("GET", f"/v1/jobs/{job_id}", "/v1/jobs/{job_id}", total_s)
        answer = await self._caller.call(
            QueueStatusError, what, call, job_id=job_id, repeatable=repeatable
        )

        def refuse(why: str) -> DecartSDKError:
            return nonsense(QueueStatusError, what, answer.head, why, job_id=job_id)

        job = parse_json(answer, Job, refuse)
        if job.job_id != job_id:
            raise refuse("the answer is about another job")
        return job

    async def wait(
        self,
        job: Job | str,
        *,
        timeout_s: float = DEFAULT_WAIT_S,
        on_status_change: OnStatus | None = None,
    ) -> Job:
        """Wait until a job has completed or failed; a poll that fails is made again.

        Parameters
        ----------
        job : Job or str
            What ``submit`` returned, or a job id.
        timeout_s : float, default 660
            Just over the service's own limit of ten minutes.
        on_status_change : callable, optional
            Called, or awaited, with the Job on each change of its status. An exception in it is
            logged and changes nothing.

        Returns
        -------
        Job
            ``.status`` is "completed" or "failed"; a failed job is no exception here.

        Raises
        ------
        QueueStatusError
            With DeadlineError when the time is up, with JobLostError when the service no longer
            knows the job, with AuthError and the like when it refuses to tell. ``.job_id`` says
            which job; it goes on, and can be waited for again.
        """
        if isinstance(job, Job):
            known: Job | None = job
            job_id = check_id(job.job_id)
        else:
            known, job_id = None, check_id(job)
        if not timeout_s > 0:
            raise InvalidInputError(
                f"timeout_s must be greater than 0, not {timeout_s!r}.", field="timeout_s"
            )
        clock = self._caller.clock
        deadline = clock.now() + timeout_s
        pause = FIRST_POLL_S
        strange = 0
        while not (known is not None and known.final):
            left = deadline - clock.now()
            if left <= 0:
                raise expired(job_id, known, timeout_s)
            await clock.sleep(min(pause, left))
            left = max(deadline - clock.now(), 1.0)
            pause = min(SLOWEST_POLL_S, pause * 1.25)
            try:
                seen = await self._status(
                    job_id, min(left, self._caller.http.timeouts.call_s), repeatable=False
                )
            except QueueStatusError as error:
                odd = isinstance(error, (NotFoundError, ResponseError))
                strange = strange + 1 if odd else 0
                pause = max(SLOWEST_POLL_S, check_poll(error, job_id, strange))
                self._caller.logger.info(f"{error.message} Asking again in {pause:.1f} s.")
                continue
            strange = 0
            if known is None or seen.status != known.status:
                await self._tell(on_status_change, seen)
            known = seen
        return known

    @overload
    async def result(self, job_id: str, *, save_to: None = None) -> ResultBytes: ...
    @overload
    async def result(
        self, job_id: str, *, save_to: SaveTo, when_saved: WhenSaved | None = None
    ) -> Media: ...
    async def result(
        self, job_id: str, *, save_to: SaveTo | None = None, when_saved: WhenSaved | None = None
    ) -> ResultBytes | Media:
        """Fetch what a completed job made; it can be fetched again.

        Parameters
        ----------
        job_id : str
            The ticket.
        save_to : path, optional
            Stream to this file and return a Media; otherwise the bytes are returned. An existing
            file is replaced, and only by a whole result.
        when_saved : callable, optional
            Called with the path and the SHA-256 of a saved file, in the thread that wrote it; it
            may move the file. What it raises is raised.

        Raises
        ------
        QueueResultError
            Also of a cause class; the job id still leads to the result.
        """
        path = destination(save_to)
        job_id = check_id(job_id)
        call = Call(
            "GET",
            f"/v1/jobs/{job_id}/content",
            "/v1/jobs/{job_id}/content",
            self._caller.http.timeouts.download_s,
            accept="video/*, image/*, application/json",
            max_bytes=MAX_ON_DISK,
            slow_ok=False,
        )
        return await collect(
            self._caller,
            QueueResultError,
            f"Fetching the result of job {job_id}",
            call,
            kinds=("video", "image"),
            save_to=path,
            job_id=job_id,
            hints=_RESULT_HINTS,
            when_saved=when_saved,
        )

    async def submit_and_poll(
        self,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        model: ModelSpec | str | None = None,
        prompt: str | None = None,
        data: Any = None,
        reference_image: Any = None,
        seed: int | None = None,
        resolution: str | None = None,
        enhance_prompt: bool | None = None,
        image_route: Literal["direct", "queue"] | None = None,
        save_to: SaveTo | None = None,
        timeout_s: float = DEFAULT_WAIT_S,
        on_status_change: OnStatus | None = None,
        on_upload_progress: Callable[[int, int], object] | None = None,
        **fields: Any,
    ) -> JobResult:
        """Submit, wait and collect; a failed job is a result, as in the official SDK. This buys.

        Parameters
        ----------
        options, model, prompt, data, reference_image, seed, resolution, enhance_prompt, \
image_route, on_upload_progress, **fields
            As for :meth:`submit`.
        save_to : path, optional
            As for :meth:`result`; checked before anything is bought.
        timeout_s : float, default 660
            As for :meth:`wait`.
        on_status_change : callable, optional
            Called, or awaited, with the Job after the submission and on each change.

        Returns
        -------
        JobResult
            ``.status`` is "completed" with ``.data``, or "failed" with ``.error``: the service's
            reason when it gives one, else "Job failed".

        Raises
        ------
        InvalidInputError, QueueSubmitError, QueueStatusError, QueueResultError
            As the single calls; after the submission each carries ``.job_id``.
        """
        keywords = {
            "model": model,
            "prompt": prompt,
            "data": data,
            "reference_image": reference_image,
            "seed": seed,
            "resolution": resolution,
            "enhance_prompt": enhance_prompt,
            "image_route": image_route,
            "save_to": save_to,
            "on_status_change": on_status_change,
            "on_upload_progress": on_upload_progress,
        }
        merged = merge(
            options,
            keywords | fields,
            "queue.submit_and_poll",
            "image_route",
            "save_to",
            "on_status_change",
            "on_upload_progress",
        )
        path = destination(merged.controls.get("save_to"))
        notify = merged.controls.get("on_status_change")
        job = await self._submit(merged)
        await self._tell(notify, job)
        job = await self.wait(job, timeout_s=timeout_s, on_status_change=notify)
        if job.status == JobStatus.FAILED:
            return JobResult("failed", job.job_id, error=job.error or "Job failed")
        content: ResultBytes | Media
        if path is None:
            content = await self.result(job.job_id)
        else:
            content = await self.result(job.job_id, save_to=path)
        return JobResult("completed", job.job_id, data=content)

    async def _tell(self, notify: OnStatus | None, job: Job) -> None:
        if notify is None:
            return
        try:
            outcome = notify(job)
            if inspect.isawaitable(outcome):
                await _finish(outcome)
        except Exception as error:  # noqa: BLE001 - the callback is the user's
            self._caller.logger.error(
                f"on_status_change raised {type(error).__name__} for job {job.job_id}: {error}"
            )

    def __repr__(self) -> str:
        return "<queue: submit, status, wait, result, submit_and_poll>"


async def _finish(outcome: Awaitable[object]) -> None:
    await outcome
