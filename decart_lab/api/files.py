"""``files``: uploads that can be referred to by id (wire contract, section 5.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Literal

from .._caller import Caller, nonsense, parse_json
from .._wire import Answer, Call
from ..contract.responses import FileReference, check_id, valid_id
from ..errors import (
    DecartSDKError,
    FilesDeleteError,
    FilesGetError,
    FilesUploadError,
    InvalidInputError,
)
from ..media.inputs import prepare
from .fetch import Fetcher
from .inputs import is_url, prepare_url
from .multipart import MultipartBody

MIN_TTL_S: Final = 60
MAX_TTL_S: Final = 2_592_000


class Files:
    """Uploads with a life of their own. Reached as ``client.files``."""

    def __init__(self, caller: Caller, fetcher: Callable[[], Fetcher]) -> None:
        self._caller = caller
        self._fetcher = fetcher

    async def upload(
        self,
        file: Any,
        *,
        ttl_seconds: int | Literal["persistent"] | None = None,
        on_upload_progress: Callable[[int, int], object] | None = None,
    ) -> FileReference:
        """Upload a picture or clip.

        Parameters
        ----------
        file : path, bytes, file, URL, picture, array or Media
            Any input that ``process`` takes.
        ttl_seconds : int or "persistent", optional
            60 to 2592000; the service keeps a file for 24 hours by default.
        on_upload_progress : callable, optional
            Called with the bytes sent so far and in all.

        Raises
        ------
        InvalidInputError
            Before any request, naming the field and the fix.
        FilesUploadError
            Also of a cause class.
        """
        fields = {} if ttl_seconds is None else {"ttl_seconds": _ttl(ttl_seconds)}
        what = "Uploading a file"
        async with self._fetcher() as fetch:
            if is_url(file):
                prepared = await prepare_url(file, "file", "any", fetch)
            else:
                prepared = await asyncio.to_thread(prepare, file, field="file", kind="any")
            call = Call(
                "POST",
                "/v1/files",
                "/v1/files",
                self._caller.http.timeouts.upload_s,
                body=MultipartBody(fields, {"file": prepared}),
                once=True,
                on_progress=on_upload_progress,
            )
            answer = await self._caller.call(FilesUploadError, what, call)
        return _reference(answer, FilesUploadError, what)

    async def get(self, file_id: str) -> FileReference:
        """Describe an uploaded file.

        Raises
        ------
        FilesGetError
            With NotFoundError when it was deleted or has expired.
        """
        what = f"Asking for file {check_id(file_id, 'file_id')}"
        path, route = f"/v1/files/{file_id}", "/v1/files/{file_id}"
        call = Call("GET", path, route, self._caller.http.timeouts.call_s)
        return _reference(await self._caller.call(FilesGetError, what, call), FilesGetError, what)

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file.

        Raises
        ------
        FilesDeleteError
            With NotFoundError when there is no such file.
        """
        what = f"Deleting file {check_id(file_id, 'file_id')}"
        path, route = f"/v1/files/{file_id}", "/v1/files/{file_id}"
        call = Call("DELETE", path, route, self._caller.http.timeouts.call_s)
        await self._caller.call(FilesDeleteError, what, call)

    def __repr__(self) -> str:
        return "<files: upload, get, delete>"


def _ttl(value: object) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value == "persistent" or (whole and MIN_TTL_S <= value <= MAX_TTL_S):  # type: ignore[operator]  # whole: it is an int
        return str(value)
    raise InvalidInputError(
        "ttl_seconds is not valid.",
        field="ttl_seconds",
        hint=f'It must be {MIN_TTL_S} to {MAX_TTL_S} seconds, or "persistent".',
    )


def _reference(answer: Answer, operation: type[DecartSDKError], what: str) -> FileReference:
    def refuse(why: str) -> DecartSDKError:
        return nonsense(operation, what, answer.head, why)

    reference = parse_json(answer, FileReference, refuse)
    if not valid_id(reference.id):
        raise refuse(f"its file id cannot be used: {reference.id[:60]!r}")
    return reference
