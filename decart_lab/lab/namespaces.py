"""The client's namespaces, blocking: the same words, run on the engine.

What belongs here: handing each call over, keeping results on disk, and moving callbacks off the
engine's loop. What the calls do is told and done in :mod:`decart_lab.api`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, overload

from .._engine import engine
from ..api.queue import DEFAULT_WAIT_S
from ..contract.models import ModelSpec
from ..contract.responses import ClientToken, FileReference, Job, JobResult, RealtimeQuota
from ..errors import InvalidInputError
from ..media.media import Media
from .shelf import Shelf

if TYPE_CHECKING:
    from ..api.client import DecartClient
    from ..api.results import WhenSaved
    from ..contract.realtime import Dialect
    from ..realtime.policy import Reconnect
    from .session import LiveSession

OnStatus = Callable[[Job], object]
OnProgress = Callable[[int, int], object]
SaveTo = str | PathLike[str]


def relayed(function: Callable[..., object] | None, field: str) -> Callable[..., None] | None:
    """Return a callback that runs the user's on the callback thread, never on the engine's loop.

    Raises
    ------
    InvalidInputError
        It cannot be called, or is a coroutine function, for which there is no loop there.
    """
    if function is None:
        return None
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise InvalidInputError(
            f"{field} must be a plain function.",
            field=field,
            hint="Coroutine functions are for the async client, decart_lab.DecartClient.",
        )
    return lambda *args: engine().callback(function, *args)


class LabQueue:
    """Jobs: submit, look, wait, collect. Reached as ``lab.queue``; see ``DecartClient.queue``."""

    def __init__(self, client: DecartClient, shelf: Shelf) -> None:
        self._queue = client.queue
        self._shelf = shelf

    def submit(
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
        on_upload_progress: OnProgress | None = None,
        **fields: Any,
    ) -> Job:
        """Submit a job and return at once. This buys. As ``DecartClient.queue.submit``."""
        return engine().run(
            self._queue.submit,
            options,
            model=model,
            prompt=prompt,
            data=data,
            reference_image=reference_image,
            seed=seed,
            resolution=resolution,
            enhance_prompt=enhance_prompt,
            image_route=image_route,
            on_upload_progress=relayed(on_upload_progress, "on_upload_progress"),
            **fields,
        )

    def status(self, job_id: str) -> Job:
        """Ask how a job stands."""
        return engine().run(self._queue.status, job_id)

    def wait(
        self,
        job: Job | str,
        *,
        timeout_s: float = DEFAULT_WAIT_S,
        on_status_change: OnStatus | None = None,
    ) -> Job:
        """Wait until a job has completed or failed. As ``DecartClient.queue.wait``."""
        relay = relayed(on_status_change, "on_status_change")
        return engine().run(self._queue.wait, job, timeout_s=timeout_s, on_status_change=relay)

    def result(
        self, job_id: str, *, save_to: SaveTo | None = None, when_saved: WhenSaved | None = None
    ) -> Media:
        """Fetch the result of a completed job.

        Parameters
        ----------
        job_id : str
            The ticket.
        save_to : path, optional
            The file to write; by default it is kept beside the runs, named after its content.
        when_saved : callable, optional
            As for ``DecartClient.queue.result``; only with ``save_to``.
        """
        if save_to is not None:
            return engine().run(self._queue.result, job_id, save_to=save_to, when_saved=when_saved)
        if when_saved is not None:
            raise InvalidInputError(
                "when_saved needs save_to: what has no place of yours is placed by us.",
                field="when_saved",
            )
        target = self._shelf.incoming()
        return self._shelf.keep(engine().run(self._queue.result, job_id, save_to=target))

    def submit_and_poll(
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
        on_upload_progress: OnProgress | None = None,
        **fields: Any,
    ) -> JobResult:
        """Submit, wait and fetch; a failed job is a result, not an exception. This buys.

        As ``DecartClient.queue.submit_and_poll``, but ``data`` of the result is always Media.
        """
        given = dict(options or {}) if isinstance(options, (Mapping, type(None))) else options
        if isinstance(given, dict):
            save_to = given.pop("save_to", save_to)
            on_status_change = given.pop("on_status_change", on_status_change)
            on_upload_progress = given.pop("on_upload_progress", on_upload_progress)
        result = engine().run(
            self._queue.submit_and_poll,
            given,
            model=model,
            prompt=prompt,
            data=data,
            reference_image=reference_image,
            seed=seed,
            resolution=resolution,
            enhance_prompt=enhance_prompt,
            image_route=image_route,
            save_to=self._shelf.incoming() if save_to is None else save_to,
            timeout_s=timeout_s,
            on_status_change=relayed(on_status_change, "on_status_change"),
            on_upload_progress=relayed(on_upload_progress, "on_upload_progress"),
            **fields,
        )
        if save_to is None and result.data is not None:
            return replace(result, data=self._shelf.keep(result.data))
        return result

    def __repr__(self) -> str:
        return repr(self._queue)


class LabTokens:
    """Mints client tokens. Reached as ``lab.tokens``; see ``DecartClient.tokens``."""

    def __init__(self, client: DecartClient) -> None:
        self._tokens = client.tokens

    def create(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        expires_in: int | None = None,
        allowed_models: Sequence[ModelSpec | str] | None = None,
        allowed_origins: Sequence[str] | None = None,
        constraints: Mapping[str, Any] | None = None,
    ) -> ClientToken:
        """Mint a token that is safe to hand to a browser. As ``DecartClient.tokens.create``."""
        return engine().run(
            self._tokens.create,
            metadata=metadata,
            expires_in=expires_in,
            allowed_models=allowed_models,
            allowed_origins=allowed_origins,
            constraints=constraints,
        )

    def __repr__(self) -> str:
        return repr(self._tokens)


class LabFiles:
    """Uploaded files. Reached as ``lab.files``; see ``DecartClient.files``."""

    def __init__(self, client: DecartClient) -> None:
        self._files = client.files

    def upload(
        self,
        file: Any,
        *,
        ttl_seconds: int | Literal["persistent"] | None = None,
        on_upload_progress: OnProgress | None = None,
    ) -> FileReference:
        """Upload a picture or clip. As ``DecartClient.files.upload``."""
        relay = relayed(on_upload_progress, "on_upload_progress")
        return engine().run(
            self._files.upload, file, ttl_seconds=ttl_seconds, on_upload_progress=relay
        )

    def get(self, file_id: str) -> FileReference:
        """Describe an uploaded file."""
        return engine().run(self._files.get, file_id)

    def delete(self, file_id: str) -> None:
        """Delete an uploaded file."""
        engine().run(self._files.delete, file_id)

    def __repr__(self) -> str:
        return repr(self._files)


class LabModels:
    """What the service says about model names. Reached as ``lab.models``."""

    def __init__(self, client: DecartClient) -> None:
        self._models = client.models

    @overload
    def resolve(self, model: ModelSpec | str) -> str: ...  # type: ignore[overload-overlap]  # a str is also a Sequence of str
    @overload
    def resolve(self, model: Sequence[ModelSpec | str]) -> dict[str, str]: ...
    def resolve(self, model: ModelSpec | str | Sequence[ModelSpec | str]) -> str | dict[str, str]:
        """Ask which canonical id a name stands for now, or several names in one request."""
        answer: str | dict[str, str] = engine().run(self._models.resolve, model)  # type: ignore[arg-type]  # the overloads take either, not both
        return answer

    def __repr__(self) -> str:
        return repr(self._models)


class LabRealtime:
    """Realtime in the client's words. Reached as ``lab.realtime``; see ``lab.session``."""

    def __init__(self, client: DecartClient) -> None:
        self._realtime = client.realtime

    def quota(self) -> RealtimeQuota:
        """Ask how many realtime sessions the organisation may hold, and holds."""
        return engine().run(self._realtime.quota)

    def connect(
        self,
        source: Any = None,
        *,
        model: ModelSpec | str,
        initial_state: Mapping[str, Any] | None = None,
        prompt: str | None = None,
        image: Any = None,
        enhance: bool = True,
        dialect: Dialect = "http",
        resolution: str | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        speed: str | None = None,
        preferred_video_codec: Literal["h264", "vp8"] | None = None,
        bitrate: int | None = None,
        mirror: bool = False,
        loop: bool = True,
        on_remote_stream: Callable[[Any], object] | None = None,
        max_seconds: float | None = None,
        max_cost: float | None = None,
        idle_timeout: float | None = None,
        reconnect: bool | Reconnect = True,
        measure: bool = False,
    ) -> LiveSession:
        """Open a live session. This is paid for by the second.

        As ``DecartClient.realtime.connect``: nothing but its end, or a limit that is given, ends
        it; ``lab.session`` has limits of its own.
        """
        from .session import begin

        options = {
            "model": model,
            "initial_state": initial_state,
            "prompt": prompt,
            "image": image,
            "enhance": enhance,
            "dialect": dialect,
            "resolution": resolution,
            "size": size,
            "fps": fps,
            "speed": speed,
            "preferred_video_codec": preferred_video_codec,
            "bitrate": bitrate,
            "mirror": mirror,
            "loop": loop,
            "on_remote_stream": on_remote_stream,
            "max_seconds": max_seconds,
            "max_cost": max_cost,
            "idle_timeout": idle_timeout,
            "reconnect": reconnect,
            "measure": measure,
        }
        return begin(self._realtime, source, options)

    def subscribe(
        self, token: str, *, on_remote_stream: Callable[[Any], object] | None = None
    ) -> LiveSession:
        """Watch a session that somebody else runs. As ``DecartClient.realtime.subscribe``."""
        from .session import watch

        return watch(self._realtime, token, on_remote_stream=on_remote_stream)

    def __repr__(self) -> str:
        return repr(self._realtime)
