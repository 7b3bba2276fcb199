"""Reading a few items ahead, so that a slow moment of the reader is not seen.

Opening a clip anew at the end of a loop, or a key frame that takes long, costs more than a frame's
time; the items before it are ready by then. Bounded: nothing is read that nobody takes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final

from .base import Item

_DEPTH: Final = 6
_LOOK_S: Final = 0.1


def ahead(
    make: Callable[[threading.Event], Iterator[Item]], halt: threading.Event
) -> Iterator[Item]:
    """Yield what ``make(halt)`` yields, read by a thread that ends with the reader or the event."""
    ready: queue.Queue[Item | Exception | None] = queue.Queue(_DEPTH)
    over = threading.Event()

    def read() -> None:
        last: Exception | None = None
        try:
            for item in make(halt):
                if not give(item):
                    return
        except Exception as error:  # noqa: BLE001 - raised again where the items are taken
            last = error
        give(last)

    def give(item: Item | Exception | None) -> bool:
        while not halt.is_set() and not over.is_set():
            try:
                ready.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    thread = threading.Thread(target=read, name="decart-source-ahead", daemon=True)
    thread.start()
    try:
        while not halt.is_set():
            try:
                item = ready.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        over.set()
        thread.join(1.0)
