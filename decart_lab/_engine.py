"""The engine: one background event loop in one daemon thread, for all network and media work.

What belongs here: handing coroutines to that loop, waiting for them so that Ctrl-C works, running
users' callbacks off the loop, and going away cleanly. Nothing here knows what the coroutines do.

The kernel's own loop is never used by the sync face: a cell that blocks would stall polling,
recorders and media, and a loop patched to be re-entrant loses widget events.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

from .errors import DecartSDKError

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("decart_lab")

INTERRUPT_S: Final = 0.1
"""How late an interrupt may be noticed at worst, in seconds."""
FLUSH_S: Final = 2.0
"""How long a blocking call waits for its callbacks after its result is there, in seconds."""


class Engine:
    """A loop in a thread. Use :func:`engine`; a process has one.

    Examples
    --------
    >>> async def double(n):
    ...     return 2 * n
    >>> engine().run(double, 21)
    42
    """

    def __init__(self) -> None:
        from anyio.from_thread import start_blocking_portal

        self._context: AbstractContextManager[BlockingPortal] = start_blocking_portal(
            "asyncio", name="decart-lab-engine"
        )
        self._portal = self._context.__enter__()
        self._thread: int = self._portal.call(threading.get_ident)
        self._loop: asyncio.AbstractEventLoop = self._portal.call(asyncio.get_running_loop)
        self._tasks: set[asyncio.Task[Any]] = set()  # the loop itself refers to tasks only weakly
        self._callbacks = _Callbacks()
        self._closed = False

    def start(
        self, async_fn: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Start a coroutine function on the engine's loop and return at once.

        Returns
        -------
        concurrent.futures.Future
            Its ``cancel()`` cancels the coroutine.

        Raises
        ------
        DecartSDKError
            Called from the engine's own loop, where waiting for the answer would never end.
        """
        stop = _Stop()
        future: Future[T] = Future()
        future.add_done_callback(lambda done: stop.now() if done.cancelled() else None)
        self._begin(partial(async_fn, *args, **kwargs), stop, partial(_settle, future))
        return future

    def _begin(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        stop: _Stop,
        done: Callable[[asyncio.Task[T]], object],
    ) -> None:
        """Have the loop run a coroutine as asyncio's own task, and call ``done`` there.

        Not through the portal's call: its cancel scope would cancel every further ``await``, and
        with it the clean-up of libraries written for asyncio, and an interrupt within its futures
        can leave one of their locks held and the loop waiting for it.
        """
        if threading.get_ident() == self._thread:
            raise DecartSDKError(
                "A blocking call was made from the engine's own loop, where it would never end.",
                hint="Inside coroutines await the async client instead.",
            )
        if self._closed:
            raise DecartSDKError(
                "The engine is closed.", hint="The interpreter is ending; start nothing new."
            )

        def begin() -> None:
            task = self._loop.create_task(make())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(done)
            stop.watch(task)

        self._loop.call_soon_threadsafe(begin)

    def run(
        self, async_fn: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a coroutine function on the engine's loop and wait for its result.

        Callbacks that it asked for have been run when this returns, so that what they print does
        not turn up below the next cell; one that takes its time is waited for briefly.

        On KeyboardInterrupt the coroutine is cancelled and the interrupt goes on at once: the
        prompt does not wait for the coroutine's own clean-up, which finishes in the background.

        Raises
        ------
        DecartSDKError
            Called from the engine's own loop.
        """
        # An interrupt may come at any moment between these lines; none of them holds a lock then.
        stop = _Stop()
        outcome: _Outcome[T] = _Outcome()
        try:
            self._begin(partial(async_fn, *args, **kwargs), stop, outcome.put)
            outcome.wait()
        except KeyboardInterrupt:
            stop.now()
            raise
        self._callbacks.flush(FLUSH_S)
        return outcome.result()

    def callback(self, fn: Callable[..., object], *args: object) -> None:
        """Run a user's callback on one worker thread, in the order given, never on the loop.

        An exception in it is logged under ``decart_lab`` and stops nothing.
        """
        self._callbacks.put(fn, args)

    def close(self, timeout_s: float = 2.0) -> None:
        """Cancel what still runs and end the loop; waits for it at most ``timeout_s`` seconds."""
        if self._closed:
            return
        self._closed = True
        ending = threading.Thread(target=self._end, name="decart-lab-closing", daemon=True)
        ending.start()
        ending.join(timeout_s)
        self._callbacks.close()

    def _end(self) -> None:
        try:
            self._portal.call(partial(self._portal.stop, cancel_remaining=True))
            self._context.__exit__(None, None, None)
        except (RuntimeError, OSError) as error:
            _log.debug("closing the engine: %s", error)

    def __repr__(self) -> str:
        return f"<Engine {'closed' if self._closed else 'running'}>"


class _Stop:
    """The wish that one task be cancelled, whether it has begun or not; from any thread."""

    def __init__(self) -> None:
        self._wanted = False
        self._task: asyncio.Task[Any] | None = None

    def now(self) -> None:
        self._wanted = True
        if (task := self._task) is not None:
            task.get_loop().call_soon_threadsafe(self._cancel, task)

    def watch(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        if self._wanted:
            self._cancel(task)

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        # On the loop, and once: a second cancellation would break into the clean-up.
        if not task.cancelling():
            task.cancel()


class _Outcome(Generic[T]):
    """A finished task, waited for on a bare lock: an interrupt leaves such a wait untouched."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None
        self._arrived = threading.Lock()
        self._arrived.acquire()

    def put(self, task: asyncio.Task[T]) -> None:
        self._task = task
        self._arrived.release()

    def wait(self) -> None:
        # Looking up now and then: a signal that lands just before the system call that waits does
        # not end it, and the interrupt would be noticed only when the work is done.
        while not self._arrived.acquire(timeout=INTERRUPT_S):
            pass

    def result(self) -> T:
        assert self._task is not None
        if self._task.cancelled():
            raise CancelledError
        return self._task.result()


def _settle(future: Future[T], task: asyncio.Task[T]) -> None:
    """Hand a finished task's outcome to a future that may have been cancelled meanwhile."""
    if task.cancelled():
        future.cancel()
    problem = None if task.cancelled() else task.exception()
    if not future.set_running_or_notify_cancel():
        return
    if problem is not None:
        future.set_exception(problem)
    else:
        future.set_result(task.result())


class _Callbacks:
    """One worker thread, started with the first callback, that runs them in order."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Callable[..., object], tuple[object, ...]] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, fn: Callable[..., object], args: tuple[object, ...]) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="decart-lab-callbacks", daemon=True
                )
                self._thread.start()
        self._queue.put((fn, args))

    def flush(self, timeout_s: float) -> None:
        """Wait until what was put so far has been run, unless it is a callback that asks."""
        if self._thread is None or self._thread is threading.current_thread():
            return
        reached = threading.Event()
        self._queue.put((reached.set, ()))
        reached.wait(timeout_s)

    def close(self) -> None:
        self._queue.put(None)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            fn, args = item
            try:
                fn(*args)
            except Exception:  # noqa: BLE001 - a user's code may raise anything at all
                _log.exception("A callback raised; the work it watches goes on.")


_engine: Engine | None = None
_abandoned: list[Engine] = []
_lock = threading.Lock()


def engine() -> Engine:
    """Return the process's engine, starting it when there is none yet."""
    global _engine
    with _lock:
        if _engine is None or _engine._closed:
            _engine = Engine()
        return _engine


def _close_at_exit() -> None:
    if _engine is not None:
        _engine.close()


def _drop_after_fork() -> None:
    # The thread does not exist in the child, and the lock may have been held by another. The old
    # engine is kept from being collected, because its portal would wait for that thread to end.
    global _engine, _lock
    if _engine is not None:
        _abandoned.append(_engine)
    _engine = None
    _lock = threading.Lock()


atexit.register(_close_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_drop_after_fork)
