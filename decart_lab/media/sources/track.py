"""Tracks as sources: any object with ``async recv()``, as aiortc's are.

The track is awaited on an event loop of the source's own thread, so that neither can stall the
other. One that belongs to another loop, as a track received by a peer does, cannot be used so.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from typing import Any, Final

import av

from ...errors import InvalidInputError
from .base import Item, Source
from .blocks import in_blocks
from .wanted import Wanted

_LOOK_S: Final = 0.1  # how often it is looked whether to stop
_ENDS: Final = ("MediaStreamError", "StopAsyncIteration")
"""How tracks say that they are over; aiortc's own class is not imported here."""


def matches(value: Any) -> bool:
    """Whether it has an ``async recv()``."""
    return inspect.iscoroutinefunction(getattr(value, "recv", None))


def open_track(value: Any, wanted: Wanted) -> Source:
    """Return a track as a live source."""
    kind = getattr(value, "kind", "video")
    if kind not in ("video", "audio"):
        raise InvalidInputError(
            f"A track of kind {kind!r} has neither pictures nor sound.",
            field="source",
            hint='Give one whose kind is "video" or "audio".',
        )
    pictures = kind == "video"

    def items(halt: threading.Event) -> Iterator[Item]:
        received = _received(value, halt)
        media = received if pictures else in_blocks(received)
        for piece in media:
            yield Item(None, piece)

    traits = wanted.traits(
        "track", f"a {type(value).__name__}", has_video=pictures, has_audio=not pictures
    )
    return Source(traits, items)


def _received(track: Any, halt: threading.Event) -> Iterator[Any]:
    with asyncio.Runner() as runner:
        while not halt.is_set():
            try:
                piece = runner.run(_next(track, halt))
            except Exception as error:
                if type(error).__name__ in _ENDS:
                    return
                raise
            if isinstance(piece, (av.VideoFrame, av.AudioFrame)):
                yield piece
            elif piece is not None:
                raise InvalidInputError(
                    f"The track gave {type(piece).__name__}, which is no frame.",
                    field="source",
                    hint="recv() returns av.VideoFrame or av.AudioFrame.",
                )


async def _next(track: Any, halt: threading.Event) -> Any:
    """Return what comes next; None when it is to stop first."""
    task = asyncio.ensure_future(track.recv())
    try:
        while not halt.is_set():
            done, _ = await asyncio.wait({task}, timeout=_LOOK_S)
            if done:
                return task.result()
        return None
    finally:
        task.cancel()
