"""A run as one file to keep or send: opens offline, runs nothing, asks nobody.

What belongs here: the page around the gallery, the full table, and the facts to reproduce the run.
The page's own policy allows inline pictures, clips and style and nothing else.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..contract.prices import PRICE_VERSION
from ..errors import StoreError
from .embedding import Embedding
from .gallery import grid, notes, summary_line
from .html import (
    DASH,
    Html,
    clean,
    css,
    el,
    escape,
    facts,
    missing,
    money,
    number,
    plural,
    seconds,
    size_bytes,
)
from .tiles import Tile, axes_of, label, tiles_of

if TYPE_CHECKING:
    from pandas import DataFrame

CLIP_BYTES: Final = 3_000_000
"""Largest clip a report embeds by default."""

TOTAL_BYTES: Final = 40_000_000
"""Most media a report embeds by default, before the third that base64 adds."""

PICTURE_SIZE: Final = 640
"""Longest side of a report's pictures, in pixels."""

POLICY: Final = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"

_CELL: Final = 300
_SENTENCES: Final = ("prompt", "input", "reference")
_FIGURES: Final[dict[str, Callable[[Any], str]]] = {
    "cost": money,
    "cost_estimate": money,
    "media_bytes": size_bytes,
    "duration_s": seconds,
    "fps": lambda value: number(value, 1),
}


def write_report(
    df: DataFrame,
    folder_of: Callable[[str], Path],
    path: str | Path,
    *,
    title: str = "Sweep report",
    rows: str | None = None,
    cols: str | None = None,
    clip_bytes: int = CLIP_BYTES,
    total_bytes: int = TOTAL_BYTES,
) -> Path:
    """Write a run's results as one self-contained HTML file.

    Parameters
    ----------
    df : DataFrame
        ``run.df``, or a selection of its rows.
    folder_of : callable
        Returns the folder of a run by its id.
    path : str or Path
        Where to write; its folder must exist, a file of that name is replaced as a whole.
    title : str
        Heading of the page.
    rows, cols : str, optional
        Columns to lay the grid out by; the two most telling axes by default.
    clip_bytes, total_bytes : int
        Largest clip that is embedded, and most media in total; what is over is shown as a poster
        with its file name.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        Not the DataFrame of a run, or the file cannot be written.
    InvalidInputError
        ``rows`` or ``cols`` is no column.
    """
    path = Path(path).expanduser()
    tiles = tiles_of(df, folder_of)
    embedding = Embedding(
        base=path.absolute().parent,
        left_bytes=total_bytes,
        clip_bytes=clip_bytes,
        size=PICTURE_SIZE,
        links=False,
    )
    gallery = grid(tiles, axes_of(list(df.columns)), embedding, rows=rows, cols=cols)
    content = el(
        "main",
        el("h1", clean(title, 300)),
        summary_line(tiles),
        _overview(tiles),
        el("h2", "Results"),
        gallery,
        notes(embedding),
        el("h2", "How to reproduce"),
        _reproduce(df, tiles),
        el("details", el("summary", "All points, as a table"), _table(df), class_="dl-all"),
        class_="decart-lab",
    )
    _write(path, _page(title, content))
    return path


def _page(title: str, content: Html) -> str:
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", clean(title, 300)),
        el("style", Html(css())),
    )
    page = el("html", head, el("body", content, class_="dl-page"), lang="en")
    return f"<!doctype html>\n{page}\n"


def _write(path: Path, text: str) -> None:
    """Put the whole file in place at once, so that nobody sees half a report."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".report-", suffix=".part")
    except OSError as error:
        raise _unwritable(path, error) from error
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        part.chmod(0o644)  # mkstemp's own mode would keep the report from being shared
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The report cannot be written to {path}: {error.strerror or type(error).__name__}.",
        hint="Give a file name in a folder that exists and that you may write to.",
    )


def _distinct(tiles: Sequence[Tile], name: str) -> list[str]:
    seen = dict.fromkeys(
        label(name, tile.values[name]) for tile in tiles if not missing(tile.values.get(name))
    )
    return list(seen)


def _listed(words: Sequence[str], most: int = 8, sep: str = ", ") -> str | None:
    if not words:
        return None
    more = [f"and {len(words) - most:,} more"] if len(words) > most else []
    return sep.join([*words[:most], *more])


def _overview(tiles: Sequence[Tile]) -> Html:
    done = [tile for tile in tiles if tile.status == "completed"]
    times = sorted(tile.total_s for tile in done if tile.total_s is not None)
    clips = [tile.duration_s for tile in done if tile.kind == "video" and tile.duration_s]
    kinds = [
        (plural(sum(tile.kind == kind for tile in done), noun))
        for kind, noun in (("image", "picture"), ("video", "clip"))
        if any(tile.kind == kind for tile in done)
    ]
    return facts(
        [
            ("results", ", ".join(kinds) or "none"),
            ("models", _listed(_distinct(tiles, "model"))),
            ("generated video", seconds(sum(clips)) if clips else None),
            ("median time per point", seconds(times[len(times) // 2]) if times else None),
        ]
    )


def _reproduce(df: DataFrame, tiles: Sequence[Tile]) -> Html:
    """Return what a second run needs: every axis with its values, constants, versions."""
    axes = axes_of(list(df.columns))
    pairs: list[tuple[str, object]] = [
        (name, _listed(_distinct(tiles, name), 24, "\n" if name in _SENTENCES else ", "))
        for name in axes
        if name != "replicate" or len(_distinct(tiles, name)) > 1
    ]
    pairs += [
        ("template", _listed(_distinct(tiles, "template"), 6, "\n")),
        ("parameters", _listed(_distinct(tiles, "params"), 6, "\n")),
        ("run", _listed(_distinct(tiles, "run_id"), 6)),
        ("resolved models", _listed(_distinct(tiles, "model_resolved"))),
        ("prices as of", _listed(_distinct(tiles, "price_version")) or PRICE_VERSION),
        ("written", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
    ]
    return el("div", facts(pairs), class_="dl-reproduce")


def _table(df: DataFrame) -> Html:
    """Every point and every column that holds anything, escaped and bounded."""
    columns = [str(name) for name in df.columns if not df[name].isna().all()]
    head = el("tr", *(el("th", name, scope="col") for name in ("point_id", *columns)))
    body = [
        el("tr", el("th", str(point), scope="row"), *(_cell(name, row[name]) for name in columns))
        for point, row in zip(df.index, df.to_dict("records"), strict=True)
    ]
    table = el("table", el("thead", head), el("tbody", *body), class_="dl-table")
    return el("div", table, class_="dl-scroll")


def _cell(name: str, value: Any) -> Html:
    if missing(value):
        return el("td", DASH)
    if name in _FIGURES:
        return el("td", _FIGURES[name](value), class_="dl-number")
    if isinstance(value, bool):
        return el("td", "yes" if value else "no")
    if isinstance(value, float) and name.endswith("_s"):
        return el("td", f"{value:.3f} s", class_="dl-number")
    if isinstance(value, int | float):
        return el(
            "td", f"{value:g}" if isinstance(value, float) else str(value), class_="dl-number"
        )
    return el("td", escape(value, _CELL))
