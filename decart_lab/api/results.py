"""Generated media on its way in: into memory, or through a part file to where it was asked for.

What belongs here: receiving, checking that what came is the media it should be, and naming it.
Routes and waiting are ``process``'s and ``queue``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Any, Final

from .._caller import Caller, nonsense
from .._wire import Call, Head
from ..contract.responses import ResultBytes
from ..errors import DecartSDKError, InvalidInputError, MediaError, StoreError
from ..media.media import Media
from ..media.probe import Probe, probe
from ..media.sniff import sniff

MAX_IN_MEMORY: Final = 512_000_000
MAX_ON_DISK: Final = 2_000_000_000
_BLOCK: Final = 1 << 20

WhenSaved = Callable[[Path, str], object]


def destination(save_to: object) -> Path | None:
    """Return where to save, checked before anything is bought; None for memory.

    Raises
    ------
    InvalidInputError
        Not a path, a folder, or in a folder that is missing or cannot be written to.
    """
    if save_to is None:
        return None
    if not isinstance(save_to, (str, os.PathLike)) or not os.fspath(save_to):
        raise InvalidInputError(
            f"save_to must be a path, not {type(save_to).__name__}.", field="save_to"
        )
    path = Path(os.fspath(save_to)).expanduser().absolute()
    if path.is_dir():
        raise InvalidInputError(
            f"save_to is a folder: {path}.",
            field="save_to",
            hint="Name the file to write, such as out.png or out.mp4.",
        )
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InvalidInputError(
            f"save_to lies in a folder that is missing or cannot be written to: {path.parent}.",
            field="save_to",
            hint="Make the folder first.",
        )
    return path


async def collect(
    caller: Caller,
    operation: type[DecartSDKError],
    what: str,
    call: Call,
    *,
    kinds: tuple[str, ...],
    save_to: Path | None,
    job_id: str | None = None,
    hints: dict[int, str] | None = None,
    when_saved: WhenSaved | None = None,
) -> ResultBytes | Media:
    """Make a call whose answer is media, and return it.

    Parameters
    ----------
    kinds : tuple of str
        "image", "video" or both: what may come.
    save_to : Path or None
        From :func:`destination`.
    when_saved : callable, optional
        Called with the path and the SHA-256 in the thread that saved the file; what it raises is
        raised.

    Raises
    ------
    DecartSDKError
        Of ``operation``; a ResponseError as well when what came is not whole media of the kind.
    """
    if save_to is None:
        call.max_bytes = MAX_IN_MEMORY
        answer = await caller.call(operation, what, call, job_id=job_id, hints=hints)
        content = answer.body
        found = await asyncio.to_thread(_look, answer.head, content, kinds)
        if isinstance(found, str):
            raise nonsense(
                operation,
                what,
                answer.head,
                found,
                hint="What came is kept in error.data['content'].",
                data={"content": content},
                job_id=job_id,
            )
        return ResultBytes(content)
    part = save_to.with_name(f"{save_to.name}.{secrets.token_hex(4)}.part")
    call.receive = _Receiver(part, kinds, save_to, when_saved)
    settled = False
    try:
        answer = await caller.call(operation, what, call, job_id=job_id, hints=hints)
        settled = True
        sha256, found = answer.received
        if isinstance(found, str):
            raise nonsense(
                operation,
                what,
                answer.head,
                found,
                hint=f"What came is kept in {part}.",
                job_id=job_id,
            )
    finally:
        if not settled:
            part.unlink(missing_ok=True)
    return Media.received(
        save_to, found, simulated=answer.head.simulated, job_id=job_id, sha256=sha256
    )


class _Receiver:
    """Streams a body to a part file, makes it durable, and names it when it is what it should be.

    It returns the SHA-256 of what came with what was found in it; see :func:`_look`. It starts over
    when the call is repeated. A small body is one visit to a thread.
    """

    def __init__(
        self,
        part: Path,
        kinds: tuple[str, ...],
        save_to: Path,
        when_saved: WhenSaved | None,
    ) -> None:
        self._part = part
        self._kinds = kinds
        self._save_to = save_to
        self._when_saved = when_saved

    async def __call__(self, head: Head, chunks: AsyncIterator[bytes]) -> tuple[str, Probe | str]:
        size, digest = 0, hashlib.sha256()
        with contextlib.ExitStack() as files:
            block: list[bytes] = []
            file: IO[bytes] | None = None
            waiting = 0
            async for chunk in chunks:
                block.append(chunk)
                waiting += len(chunk)
                if waiting >= _BLOCK:
                    size += waiting
                    if size > MAX_ON_DISK:
                        raise StoreError(f"The result is larger than {MAX_ON_DISK:,} bytes.")
                    file = await _in_thread(self._write, files, file, block, digest)
                    block, waiting = [], 0
            received: tuple[str, Probe | str]
            received = await _in_thread(self._finish, head, files, file, block, digest)
            return received

    def _write(
        self,
        files: contextlib.ExitStack,
        file: IO[bytes] | None,
        block: list[bytes],
        digest: hashlib._Hash,
    ) -> IO[bytes]:
        file = file or files.enter_context(self._part.open("wb"))
        for chunk in block:
            file.write(chunk)
            digest.update(chunk)
        return file

    def _finish(
        self,
        head: Head,
        files: contextlib.ExitStack,
        file: IO[bytes] | None,
        rest: list[bytes],
        digest: hashlib._Hash,
    ) -> tuple[str, Probe | str]:
        # What came in one block is looked at where it is: a file is read in some seventy steps,
        # each of which would let go of the interpreter and take it again.
        whole = b"".join(rest) if file is None else None
        file = self._write(files, file, rest if whole is None else [whole], digest)
        file.flush()
        os.fsync(file.fileno())
        file.close()
        found = _look(head, self._part if whole is None else whole, self._kinds)
        if not isinstance(found, str):
            self._part.replace(self._save_to)
            if self._when_saved is not None:
                self._when_saved(self._save_to, digest.hexdigest())
        return digest.hexdigest(), found


async def _in_thread(function: Any, *args: Any) -> Any:
    try:
        return await asyncio.to_thread(function, *args)
    except OSError as error:
        raise StoreError(
            f"The result could not be written: {error.strerror or error}.",
            hint="Make room or choose another folder; a job's result can be fetched again.",
        ) from error


def _look(head: Head, source: Path | bytes, kinds: tuple[str, ...]) -> Probe | str:
    """Return what received media is, by its headers, or what is wrong with it, as a clause."""
    if isinstance(source, bytes):
        start = source[:64]
    else:
        with source.open("rb") as file:
            start = file.read(64)
    stated = head.content_type[:60] or "of no stated type"
    if not start:
        return "the answer is empty"
    found = sniff(start)
    if found is None:
        return f"the answer ({stated}) is not a picture or clip"
    if found.kind not in kinds:
        return f"the answer is a {found.kind} ({found.name}), not {' or '.join(kinds)}"
    try:
        return probe(source, field="result")
    except MediaError as error:
        return f"the media that came is damaged: {error.message.rstrip('.')}"
