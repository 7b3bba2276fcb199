"""``df.decart``: looking at a run's DataFrame, and taking it elsewhere.

What belongs here: the pandas accessor and its registration. It keeps no state (pandas makes a new
one for each access), works on any selection of a run's rows, and finds the files through the
``run_id`` column. How things look is ``display``'s.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..display.shown import Shown
from ..display.tiles import check_columns, tiles_of
from ..errors import InvalidInputError, StoreError
from .folders import folder_of

if TYPE_CHECKING:
    from pandas import DataFrame
    from PIL import Image

    from ..media.media import Media

NAME: Final = "decart"

# A cell that begins so is a formula to a spreadsheet; the last four are full-width forms.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def register() -> None:
    """Make ``df.decart`` known to pandas; called where a DataFrame of ours is made."""
    import pandas as pd

    if getattr(pd.DataFrame, NAME, None) is not Accessor:
        pd.api.extensions.register_dataframe_accessor(NAME)(Accessor)


class Accessor:
    """What a run's DataFrame can do: ``run.df.decart.gallery(rows="style", cols="light")``.

    Every method works on the rows that are there, in their order, so select and sort first.

    Raises
    ------
    AttributeError
        The DataFrame lacks columns of a run, as pandas asks of accessors.
    """

    def __init__(self, df: DataFrame) -> None:
        try:
            check_columns(list(df.columns))
        except StoreError as error:
            raise AttributeError(str(error)) from error
        self._df = df

    def gallery(
        self,
        rows: str | None = None,
        cols: str | None = None,
        *,
        caption: str | None = None,
        limit: int = 200,
    ) -> Shown:
        """Show the results as a grid of pictures and clips.

        Parameters
        ----------
        rows, cols : str, optional
            Columns to lay the grid out by; the two most telling axes by default. What else
            differs stands side by side.
        caption : str, optional
            A line above the grid.
        limit : int, default 200
            Most points shown.

        Returns
        -------
        Shown
            Shows itself in a cell; ``.html`` is its markup. Clips play on a click. It stays
            readable in a saved notebook.

        Raises
        ------
        InvalidInputError
            ``rows`` or ``cols`` is no column.
        """
        from ..display.gallery import gallery_html, gallery_text

        markup = gallery_html(
            self._df, folder_of, rows=rows, cols=cols, caption=caption, limit=limit
        )
        return Shown(markup, gallery_text(self._df, folder_of))

    def sheet(
        self,
        path: str | Path | None = None,
        *,
        rows: str | None = None,
        cols: str | None = None,
        title: str | None = None,
        tile: int = 240,
    ) -> Image.Image:
        """Draw the results as one picture with captions.

        Parameters
        ----------
        path : str or Path, optional
            Where to save it as PNG.
        rows, cols, title, tile
            As for :func:`decart_lab.display.sheet.contact_sheet`.

        Returns
        -------
        PIL.Image.Image
            The sheet.

        Raises
        ------
        InvalidInputError
            There are no points, or the sheet would be too large.
        StoreError
            The file cannot be written.
        """
        from ..display.sheet import contact_sheet

        sheet = contact_sheet(self._df, folder_of, rows=rows, cols=cols, title=title, tile=tile)
        if path is not None:
            try:
                sheet.save(Path(path).expanduser(), "PNG")
            except OSError as error:
                raise _unwritable(Path(path), error) from error
        return sheet

    def report(self, path: str | Path = "report.html", **options: Any) -> Path:
        """Write the results as one self-contained HTML file.

        Parameters
        ----------
        path : str or Path
            The file.
        **options
            ``title``, ``rows``, ``cols``, ``clip_bytes``, ``total_bytes``: as for
            :func:`decart_lab.display.report.write_report`.

        Returns
        -------
        Path
            The file.
        """
        from ..display.report import write_report

        return write_report(self._df, folder_of, path, **options)

    def export(self, path: str | Path) -> Path:
        """Write the table as CSV or TSV that is safe to open in a spreadsheet.

        Prompts and messages are foreign text: a cell or heading that a spreadsheet would run as a
        formula gets an apostrophe before it. Numbers are written as they are.

        Parameters
        ----------
        path : str or Path
            The file; its ending, ``.csv`` or ``.tsv``, chooses the format.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InvalidInputError
            Another ending.
        StoreError
            The file cannot be written.
        """
        path = Path(path).expanduser()
        separators = {".csv": ",", ".tsv": "\t"}
        if path.suffix.lower() not in separators:
            raise InvalidInputError(
                f"The table cannot be exported as {path.suffix or path.name!r}.",
                field="path",
                hint="Give a name that ends in .csv or .tsv.",
            )
        table = self._df.reset_index()
        for name in table.columns:
            if table[name].dtype.kind not in "biufM":
                table[name] = table[name].astype(object).map(_tame)
        table.columns = [_tame(str(name)) for name in table.columns]
        try:
            table.to_csv(
                path,
                sep=separators[path.suffix.lower()],
                index=False,
                encoding="utf-8",
                # All texts are quoted: a bare carriage return would begin a new cell.
                quoting=csv.QUOTE_NONNUMERIC,
            )
        except OSError as error:
            raise _unwritable(path, error) from error
        return path

    def media(self, point_id: str) -> Media:
        """Return the result of one point.

        Parameters
        ----------
        point_id : str
            A value of the index.

        Returns
        -------
        Media
            The picture or clip.

        Raises
        ------
        InvalidInputError
            No such point.
        StoreError
            The point has no result, or its file is not there.
        """
        from ..media.media import Media

        tiles = tiles_of(self._df[[str(at) == str(point_id) for at in self._df.index]], folder_of)
        if not tiles:
            raise InvalidInputError(
                f"There is no point {str(point_id)[:80]!r} in this DataFrame.",
                field="point_id",
                hint="Give a value of df.index.",
            )
        tile = tiles[0]
        if tile.media is None:
            raise StoreError(
                f"Point {tile.point_id} is {tile.status} and has no file to show.",
                hint=tile.reason or "Wait for the run, or look at error_message.",
            )
        job_id = tile.values.get("job_id")
        return Media(
            tile.media,
            simulated=bool(tile.simulated),
            job_id=job_id if isinstance(job_id, str) else None,
            cost=tile.cost,
            caption=str(tile.values.get("prompt") or ""),
        )


def _tame(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be written: {error.strerror or type(error).__name__}.",
        hint="Give a file name in a folder that exists and that you may write to.",
    )
