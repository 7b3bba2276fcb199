"""A run as it lies in its folder: its tables, its pictures, its zip.

What belongs here: everything that only reads the journal. Buying, waiting and stopping are
:mod:`decart_lab.lab.run`'s.
"""

from __future__ import annotations

from collections.abc import Collection
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..display import cards
from ..sweep.journal import Journal
from ..sweep.pack import pack, used_files
from ..sweep.table import attempts_frame, events_frame, run_frame
from .accessor import Accessor, register
from .exports import export

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from ..display.shown import Shown

_HASHES: Final = ("input_sha256", "reference_sha256")


class Record:
    """What is known of a run.

    Parameters
    ----------
    journal : Journal
        Opened for reading.
    """

    def __init__(self, journal: Journal) -> None:
        self.folder: Path = journal.folder
        self.run_id: str = journal.run_id
        self._journal = journal

    # -- looking -------------------------------------------------------------------------------

    @property
    def df(self) -> pd.DataFrame:
        """One row per point as it stands now: axes, then the columns of ``decart_lab``'s schema.

        Points that the plan excludes (a clip for an image model, and the like) have no row here;
        ``sweep.plan()`` lists them with the reason.
        """
        register()
        return run_frame(self._journal)

    @property
    def events(self) -> pd.DataFrame:
        """Everything that happened, in order: seq, at, point_id, kind, status, detail."""
        return events_frame(self._journal.events())

    @property
    def attempts(self) -> pd.DataFrame:
        """One row per try at buying a point, with how it ended."""
        return attempts_frame(self._journal.attempts())

    @property
    def holder(self) -> str:
        """Who buys or collects: "" for nobody, else a process and its machine."""
        owner = self._journal.holder()
        return "" if owner is None else f"process {owner.pid} on {owner.host}"

    @property
    def budget(self) -> float | None:
        """The cap in USD; None when there is none."""
        return self._journal.budget

    @property
    def simulated(self) -> bool | None:
        """Whether the emulator made the results; None while that is not known."""
        known = set(self._journal.columns_of(["simulated"])["simulated"]) - {None}
        return any(known) if known else None

    # -- taking elsewhere ----------------------------------------------------------------------

    def export(self, path: str | Path) -> Path:
        """Write the table as ``.csv``, ``.tsv`` or ``.parquet``.

        Texts that a spreadsheet would run as formulas are defused in CSV and TSV. Parquet needs the
        ``parquet`` extra.

        Raises
        ------
        InvalidInputError
            Another ending, or pyarrow is not installed.
        StoreError
            The file cannot be written.
        """
        return export(self.df, path)

    def pack(self, path: str | Path | None = None) -> Path:
        """Write the run into one zip, with its journal and only the media and inputs it uses.

        It unpacks to a run folder, which :func:`decart_lab.open_run` opens on any machine.

        Parameters
        ----------
        path : str or Path, optional
            The file; the run's name with ``.zip`` by default.

        Raises
        ------
        StoreError
            A file cannot be read or written.
        """
        target = Path(path or f"{self.run_id}.zip").expanduser()
        return pack(self.folder, target, self._used(), self._journal.backup)

    def _used(self) -> set[str]:
        rows = self._journal.rows()
        inputs = {row[name] for row in rows for name in _HASHES if row.get(name)}
        return used_files(rows, inputs)

    # -- showing -------------------------------------------------------------------------------

    def gallery(self, rows: str | None = None, cols: str | None = None, **options: Any) -> Shown:
        """Show the results as a grid of pictures; see ``df.decart.gallery``.

        Parameters
        ----------
        rows, cols : str, optional
            Axes to lay out down and across.
        """
        return self._decart().gallery(rows=rows, cols=cols, **options)

    def sheet(self, **options: Any) -> Image.Image:
        """Return the results as one picture; see ``df.decart.sheet``."""
        return self._decart().sheet(**options)

    def report(self, path: str | Path, **options: Any) -> Path:
        """Write the results as one self-contained HTML file; see ``df.decart.report``."""
        return self._decart().report(path, **options)

    def _decart(self) -> Accessor:
        return Accessor(self.df)

    def _summary(self) -> dict[str, Any]:
        now = self._journal.tally()
        all_unpriced = now.unpriced > 0 and now.cost == 0
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "counts": dict(now.by_status),
            "cost": nan if all_unpriced else now.cost,
            "unknown_cost": now.unpriced,
            "simulated": self.simulated,
            "state": now.state(held=bool(self.holder)),
        }

    def __repr__(self) -> str:
        return cards.run_text(self._summary())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        summary = self._summary()
        return {"text/plain": cards.run_text(summary), "text/html": cards.run_card(summary)}

    # -- inside --------------------------------------------------------------------------------

    def _ids(self, wanted: Collection[str]) -> list[str]:
        """Return the ids of the points of some status, in the order of the plan."""
        found = self._journal.columns_of(["point_id", "status"])
        pairs = zip(found["point_id"], found["status"], strict=True)
        return [point_id for point_id, status in pairs if status in wanted]
