"""Progress of a run, drawn with tqdm by the thread that waits for it.

What belongs here: the only use of tqdm. The engine never draws; it is asked for a snapshot at most
ten times a second. ``TQDM_DISABLE`` hides the bar, a stream that is no terminal gets none, and one
plain line at the end tells a saved notebook or a log what happened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from typing import Any, Final

from .._clock import Clock, RealClock
from .html import missing, money, plural, seconds

REDRAW_S: Final = 0.1
"""Shortest time between two drawings, in seconds."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far a run is.

    Attributes
    ----------
    total : int
        Points of the run.
    done : int
        Points that will not change any more, whatever became of them.
    failed : int
        Those of them that have no result.
    running : int
        Points under way.
    cost : float
        USD spent so far; NaN when a price is unknown.
    in_doubt : int
        Those without a result of which nobody knows whether they were bought.
    paused : str
        Why nothing is being bought at the moment; "" when it is.
    """

    total: int
    done: int = 0
    failed: int = 0
    running: int = 0
    cost: float = nan
    in_doubt: int = 0
    paused: str = ""


def watch(
    snapshot: Callable[[], Snapshot],
    wait: Callable[[float], bool],
    *,
    desc: str = "Sweep",
    clock: Clock | None = None,
) -> Snapshot:
    """Draw progress until the run is finished, then print one line about it.

    Parameters
    ----------
    snapshot : callable
        Returns the present :class:`Snapshot`; cheap, thread-safe.
    wait : callable
        Waits up to the given seconds and returns whether the run is finished.
    desc : str
        What is going on, in a word or two.
    clock : Clock, optional
        Tells how long it took; the machine's own by default.

    Returns
    -------
    Snapshot
        The last one. On an error or an interrupt the bar is closed, the line still printed, and
        the exception goes on.
    """
    clock = clock or RealClock()
    started = clock.now()
    now = snapshot()
    bar = Bar(now.total, desc)
    ended = "interrupted"
    try:
        finished = False
        while not finished:
            bar.draw(now)
            finished = wait(REDRAW_S)
            now = snapshot()
        bar.draw(now)
        ended = ""
    finally:
        bar.close()
        print(summary(now, desc, clock.now() - started, ended))
    return now


def summary(
    now: Snapshot, desc: str = "Sweep", elapsed_s: float | None = None, end: str = ""
) -> str:
    """Return one plain sentence on where a run stands.

    Examples
    --------
    >>> summary(Snapshot(12, done=12, failed=1, cost=0.22), elapsed_s=3.4)
    'Sweep: 12 points, 11 completed, 1 without a result, $0.22, 3.4 s.'
    """
    parts = [plural(now.total, "point"), f"{now.done - now.failed:,} completed"]
    if now.failed > now.in_doubt:
        parts.append(f"{now.failed - now.in_doubt:,} without a result")
    if now.in_doubt:
        parts.append(f"{now.in_doubt:,} in doubt")
    if now.total > now.done:
        parts.append(f"{now.total - now.done:,} not finished")
    parts.append("cost unknown" if missing(now.cost) else money(now.cost))
    if elapsed_s is not None:
        parts.append(seconds(elapsed_s))
    if end:
        parts.append(end)
    return f"{desc}: {', '.join(parts)}."


class Bar:
    """The drawing, which may fail without anybody's run being the worse for it.

    Parameters
    ----------
    total : int
        Points in all.
    desc : str
        What is going on.
    """

    def __init__(self, total: int, desc: str) -> None:
        self._bar: Any = None
        with self._borne():
            self._bar = _bar(total, desc)

    def draw(self, now: Snapshot) -> None:
        """Draw where a run stands."""
        with self._borne():
            if self._bar is not None:
                _draw(self._bar, now)

    def close(self) -> None:
        """Leave the drawing as it is."""
        with self._borne():
            if self._bar is not None:
                self._bar.close()

    @contextmanager
    def _borne(self) -> Iterator[None]:
        """Say once what is wrong with the drawing, and draw no more."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (a front end's or a terminal's, of any kind)
            bar, self._bar = self._bar, None
            if bar is not None:
                bar.disable = True  # tqdm closes a bar once more when it is collected
            print(f"Progress cannot be drawn ({type(error).__name__}: {error}); the run goes on.")


def _bar(total: int, desc: str) -> Any:
    # Imported here: tqdm.auto looks for a notebook when it is imported.
    from tqdm.auto import tqdm

    options: dict[str, Any] = {}
    in_notebook = any(base.__name__ == "tqdm_notebook" for base in tqdm.__mro__)
    if not in_notebook and "TQDM_DISABLE" not in os.environ:
        options["disable"] = None  # tqdm's word for: only on a terminal
    return tqdm(
        total=total,
        desc=desc,
        unit="point",
        leave=in_notebook,
        dynamic_ncols=True,
        mininterval=REDRAW_S,
        **options,
    )


def _draw(bar: Any, now: Snapshot) -> None:
    if bar.disable:
        return
    facts = {
        "running": now.running,
        "without a result": now.failed - now.in_doubt,
        "in doubt": now.in_doubt,
    }
    shown = [f"{count} {word}" for word, count in facts.items() if count]
    if not missing(now.cost):
        shown.append(money(now.cost))
    if now.paused:
        shown.insert(0, "paused")
    bar.total, bar.n = now.total, now.done
    bar.set_postfix_str(", ".join(shown), refresh=False)
    bar.refresh()
