"""Runs on the disk: finding them, listing them, and adding up what they cost.

Everything here reads journals of runs, without holding them; opening one to go on with it is
:mod:`decart_lab.lab.opening`'s. A folder that is no run, or is damaged, is passed over in lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..contract.states import PointStatus
from ..display.html import money, plural
from ..errors import StoreError
from ..sweep.identity import SWEEP_DIGITS
from ..sweep.journal import JOURNAL_NAME, Journal
from ..sweep.table import Dtype, dtype_of, series_of
from . import folders

if TYPE_CHECKING:
    import pandas as pd

_COUNTED: Final = (PointStatus.COMPLETED, PointStatus.IN_DOUBT)

COLUMNS: Final[dict[str, Dtype]] = {
    "created_at": "datetime",
    "state": "category",
    "points": "Int64",
    "completed": "Int64",
    "in_doubt": "Int64",
    "without_result": "Int64",
    "to_buy": "Int64",
    "cost": "Float64",
    "budget": "Float64",
    "service": "category",
    "folder": "string",
}
"""Columns of ``lab.runs()``: when it began; finished, running or unfinished; how many points there
are, have a result, are in doubt, ended without a result, and may still be bought; USD spent; the
cap; who was asked; and where it lies."""


def locate(run: str | Path, root: Path) -> Path:
    """Return the folder of a run, given its folder, its journal, or its id.

    Raises
    ------
    StoreError
        There is no such run.
    """
    path = Path(run).expanduser()
    candidates = [path, path.parent if path.name == JOURNAL_NAME else path]
    if isinstance(run, str) and "/" not in run and "\\" not in run:
        candidates += [root / folders.check_run_id(run), folders.folder_of(run)]
    for candidate in candidates:
        if (candidate / JOURNAL_NAME).is_file():
            return candidate.absolute()
    raise StoreError(
        f"There is no run at {str(run)[:200]!r}.",
        hint=f"lab.runs() lists those under {root}.",
    )


def run_folders(root: Path) -> list[Path]:
    """Return the folders of the runs under a root, the oldest first."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if (path / JOURNAL_NAME).is_file())


def runs_of(root: Path, sweep: str) -> Iterator[Path]:
    """Return the folders of the runs of an equal sweep, the newest first."""
    wanted = f"-{sweep[:SWEEP_DIGITS]}-"
    for folder in reversed(run_folders(root)):
        if wanted in folder.name:
            try:
                with Journal.open(folder, readonly=True) as journal:
                    same = journal.meta.get("sweep_id") == sweep
            except StoreError:
                continue
            if same:
                yield folder


def facts_of(folder: Path) -> dict[str, Any]:
    """Return a run's line of the list.

    Raises
    ------
    StoreError
        Its journal cannot be read.
    """
    with Journal.open(folder, readonly=True) as journal:
        meta, now, spent = journal.meta, journal.tally(), journal.spent()
        held, budget = journal.holder() is not None, journal.budget
    counts = now.by_status
    return {
        "run_id": journal.run_id,
        "created_at": meta.get("created_at"),
        "state": now.state(held=held),
        "points": now.total,
        "completed": counts.get("completed", 0),
        "in_doubt": counts.get("in_doubt", 0),
        "without_result": now.failed - counts.get("in_doubt", 0),
        "to_buy": counts.get("planned", 0),
        "cost": nan if now.unpriced and not spent.spent else spent.spent,
        "budget": budget,
        "service": meta.get("service"),
        "folder": str(folder),
    }


def runs_frame(root: Path) -> pd.DataFrame:
    """Return the runs under a root as a table, the newest first; index ``run_id``."""
    import pandas as pd

    lines = []
    for folder in reversed(run_folders(root)):
        try:
            lines.append(facts_of(folder))
        except StoreError:
            continue
    index = pd.Index([line["run_id"] for line in lines], dtype=dtype_of("string"), name="run_id")
    frame = pd.DataFrame(index=index)
    for name, kind in COLUMNS.items():
        values: Any = [line[name] for line in lines]
        if kind == "datetime":
            values = pd.to_datetime(values, utc=True)
        frame[name] = series_of(values, kind, index)
    return frame


@dataclass(frozen=True)
class Spending:
    """What the runs under a root have cost; made by ``lab.spent()``.

    Attributes
    ----------
    total : float
        USD known to be spent, by the price table.
    reserved : float
        USD set aside for what is being bought.
    in_doubt : float
        USD that may have been spent: points of which nobody knows whether they were bought.
    unpriced : int
        Results whose price is not known.
    simulated : float
        The part of ``total`` that an emulator would have charged: not real money.
    by_model : pandas.DataFrame
        Index model; ``points``, ``spent``, ``reserved``, ``in_doubt``, ``unpriced``.
    """

    total: float
    reserved: float
    in_doubt: float
    unpriced: int
    simulated: float
    by_model: pd.DataFrame

    def __repr__(self) -> str:
        text = f"Spent {money(self.total)}"
        if self.simulated:
            text += f", of which {money(self.simulated)} simulated"
        if self.reserved:
            text += f"; {money(self.reserved)} reserved"
        if self.in_doubt:
            text += f"; {money(self.in_doubt)} in doubt"
        if self.unpriced:
            text += f"; {plural(self.unpriced, 'point')} of unknown price"
        return f"{text}."

    def _repr_html_(self) -> str:
        from ..display.html import Html, card

        return str(card(repr(self), Html(self.by_model.to_html()), label="Spending"))


def spending(root: Path) -> Spending:
    """Add up what the runs under a root have cost."""
    import pandas as pd

    sums: dict[str, dict[str, float]] = {}
    simulated = 0.0
    for folder in run_folders(root):
        try:
            with Journal.open(folder, readonly=True) as journal:
                rows = journal.rows()
        except StoreError:
            continue
        for row in rows:
            line = sums.setdefault(str(row["model"]), dict.fromkeys(("points", *_SUMS), 0.0))
            status, cost = row["status"], row.get("cost")
            estimate = row.get("cost_estimate") or 0.0
            if status == PointStatus.COMPLETED and not row.get("cached"):
                line["points"] += 1
                line["spent"] += cost or 0.0
                line["unpriced"] += cost is None
                simulated += cost if cost and row.get("simulated") else 0.0
            elif status == PointStatus.IN_DOUBT:
                line["in_doubt"] += estimate
            elif status in _BUYING:
                line["reserved"] += estimate
    frame = pd.DataFrame.from_dict(sums, orient="index", columns=["points", *_SUMS])
    frame.index.name = "model"
    frame = frame.sort_index().astype({"points": "int64", "unpriced": "int64"})
    total = {name: round(float(frame[name].sum()), 6) for name in _MONEY}
    return Spending(
        total["spent"],
        total["reserved"],
        total["in_doubt"],
        int(frame["unpriced"].sum()),
        round(simulated, 6),
        frame,
    )


_MONEY: Final = ("spent", "reserved", "in_doubt")
_SUMS: Final = (*_MONEY, "unpriced")
_BUYING: Final = (PointStatus.SUBMITTING, PointStatus.PENDING, PointStatus.PROCESSING)
