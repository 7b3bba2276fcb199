"""The live table of a run: every point in a row, as it stands, while the run goes on.

What belongs here: reading the journal a few times a second, sending what changed, and answering a
click with a point's details and picture. Which columns there are is :mod:`.columns`'; how rows are
drawn, sorted and filtered is ``static/runtable.js``'s.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from ..display import cards
from ..display.embedding import CLIP_BYTES
from ..display.html import clean, missing, money, seconds
from ..display.tiles import clip_data, picture_data, tiles_of
from ..errors import DecartSDKError
from ..sweep.table import to_frame
from .base import LabWidget, marks, module, style
from .columns import TICKED, Shown, changes, live, shown_columns, summary, wanted, whole

_log = logging.getLogger(__name__)

TICK_S: Final = 0.25
"""Changes are sent at most this often."""

SHARE: Final = 5
"""At most one part in so many of the time is spent on reading the journal."""

PATIENCE_S: Final = 2.0
"""How soon everything is sent again while no front end has said that it listens."""

_DETAILS: Final = (
    *("prompt", "model", "model_resolved", "input", "reference", "seed", "replicate", "params"),
    *("job_id", "attempt", "polls", "submitted_at", "completed_at", "queue_s", "run_s", "total_s"),
    *("cost", "cost_estimate", "width", "height", "fps", "duration_s", "media"),
    *("error_phase", "error_type", "error_message", "http_status"),
)
_DETAIL_LIMIT: Final = 2000


class Journal(Protocol):
    """What a table reads; from any thread."""

    def columns_of(self, names: Iterable[str]) -> dict[str, list[Any]]:
        """Return columns, and ``point_id``, of every point in the order the points joined."""

    def row(self, point_id: str) -> Mapping[str, Any]:
        """Return one point as it stands."""


class RunTable(LabWidget):
    """A run's points as a table that fills while they are bought; ``run.watch()`` makes one.

    Rows can be sorted, filtered by status, and opened. Closing the output ends nothing.

    Parameters
    ----------
    journal : Journal
        Where the points are read.
    folder : Path
        The run's folder, which holds its media.
    axes : mapping of str to dtype
        The axis columns of the run.
    finished : callable
        Whether the run has ended, so that nothing more will change.
    """

    _esm: ClassVar[str] = module("dom", "figures", "rows", "runtable")
    _css: ClassVar[str] = style()
    _heard: ClassVar[Sequence[str]] = ("open",)

    def __init__(
        self,
        journal: Journal,
        folder: Path,
        axes: Mapping[str, Any],
        finished: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._journal, self._folder, self._axes = journal, folder, dict(axes)
        self._finished = finished
        self._reading = threading.Lock()
        self._columns: list[Shown] = []
        self._sent: list[tuple[Any, ...]] = []
        self._seq = 0
        self._closed = threading.Event()
        self._ended = False
        self.refresh(everything=True)
        if not self._ended:
            threading.Thread(target=self._follow, name="decart-lab-watch", daemon=True).start()

    def refresh(self, *, everything: bool = False) -> int:
        """Send what changed since the last time, or everything; return how many rows that is."""
        with self._reading:
            # asked first: what a finished run's journal says after that is final
            self._ended = self._finished()
            held = self._read(wanted(self._axes) if everything else TICKED)
            if len(held["point_id"]) != len(self._sent) and not everything:
                everything, held = True, self._read(wanted(self._axes))
            now = live(held)
            facts = {**summary(held), "finished": self._ended, "run_id": self._folder.name}
            if everything:
                self._columns = shown_columns(held, self._axes)
                content, count = {**whole(held, self._columns), "marks": marks()}, len(now)
                kind = "whole"
            else:
                pairs = zip(self._sent, now, strict=True)
                at = [i for i, (old, new) in enumerate(pairs) if old != new]
                content, count = changes(held, at, self._columns), len(at)
                kind = "changes"
                if not at and not self._ended:
                    return 0
            self._sent = now
            self._seq += 1
            self.tell(kind, {**content, "facts": facts, "seq": self._seq})
            return count

    def _follow(self) -> None:
        try:
            self._follow_to_the_end()
        except DecartSDKError as error:  # the journal was closed or moved; the run is not ours
            _log.warning("The table of %s follows no more: %s", self._folder.name, error)

    def _follow_to_the_end(self) -> None:
        wait, unseen_s = TICK_S, PATIENCE_S
        told = time.monotonic()
        while not self._ended and not self._closed.wait(wait):
            began = time.monotonic()
            if self.seen.is_set():
                self.refresh()
            elif self._finished() or began - told > unseen_s:
                # The front end may listen by now, and be unable to say so while a cell runs.
                self.refresh(everything=True)
                told, unseen_s = began, 2 * unseen_s
            wait = max(TICK_S, SHARE * (time.monotonic() - began))

    def close(self) -> None:
        """Stop following the run and take the table out of its cells; the run goes on."""
        self._closed.set()
        super().close()

    def _on_ready(self, content: Mapping[str, Any]) -> None:
        del content
        self.refresh(everything=True)

    def _on_open(self, content: Mapping[str, Any]) -> None:
        place, ids = content.get("row"), self._read(())["point_id"]
        if type(place) is not int or not 0 <= place < len(ids):
            return
        facts, buffers = details(self._journal.row(ids[place]), self._folder, self._axes)
        self.tell("details", {"row": place, **facts}, buffers)

    def _read(self, names: Iterable[str]) -> dict[str, list[Any]]:
        return self._journal.columns_of(names)

    def _text(self) -> str:
        facts = summary(self._read(TICKED))
        state = "finished" if self._finished() else "running"
        counts = ", ".join(f"{n:,} {s.replace('_', ' ')}" for s, n in facts["counts"].items())
        cost = cards.cost_words(facts["cost"], facts["unpriced"])
        said = f"; {cards.SIMULATED}" if facts["simulated"] else ""
        return f"Run {self._folder.name}, {state}: {counts or 'no points'}; {cost}{said}."


def details(
    row: Mapping[str, Any], folder: Path, axes: Mapping[str, Any]
) -> tuple[dict[str, Any], list[bytes]]:
    """Return what is known of a point, and its picture and clip as far as they are small.

    Returns
    -------
    dict
        ``facts``: pairs of name and text; ``media``: the MIME type of each buffer.
    list of bytes
        A WebP, and a clip that browsers play; or less.
    """
    names = dict.fromkeys(["point_id", *axes, *_DETAILS])
    facts = [
        [name, _written(name, row[name])]
        for name in names
        if not missing(row.get(name)) and row[name] != ""
    ]
    [tile] = tiles_of(to_frame([row]), lambda _: folder)
    media: list[str] = []
    buffers: list[bytes] = []
    if tile.has_result:
        picture = picture_data(tile)
        if picture is not None:
            media.append("image/webp")
            buffers.append(picture)
        clip = clip_data(tile, CLIP_BYTES) if tile.kind == "video" else None
        if clip is not None:
            media.append(clip[0])
            buffers.append(clip[1])
    label = {"facts": facts, "media": media, "status": str(row["status"])}
    return label, buffers


def _written(name: str, value: Any) -> str:
    if name.startswith("cost") and isinstance(value, float):
        return money(value)
    if name.endswith("_s") and isinstance(value, float):
        return seconds(value)
    return clean(value, _DETAIL_LIMIT)
