"""A run's results as a grid of pictures in one output cell: static, escaped, bounded.

What belongs here: markup for tiles, boxes and the grid. It is a real table, so that it reads
without the stylesheet too, and it runs no script: pictures are inline thumbnails, clips are posters
that the browser's own player plays on a click. Where the notebook would grow too large, clips are
linked instead of embedded, and what is left out is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import InvalidInputError
from .cards import status_mark, total_words, totals
from .embedding import Embedding
from .html import Html, card, clean, el, escape, join, money, plural, seconds
from .layout import Layout, arrange, telling, telling_label
from .tiles import (
    Tile,
    axes_of,
    label,
    tiles_of,
    usual_shape,
)

if TYPE_CHECKING:
    from pandas import DataFrame

LIMIT: Final = 200
"""Most points one gallery shows."""


def gallery_html(
    df: DataFrame,
    folder_of: Callable[[str], Path],
    *,
    rows: str | None = None,
    cols: str | None = None,
    caption: str | None = None,
    limit: int = LIMIT,
) -> str:
    """Return a run's results as markup for an output cell.

    Parameters
    ----------
    df : DataFrame
        ``run.df``, or a selection of its rows; their order is kept.
    folder_of : callable
        Returns the folder of a run by its id.
    rows, cols : str, optional
        Columns to lay the grid out by; the two most telling axes by default.
    caption : str, optional
        A line above the grid.
    limit : int, default 200
        Most points shown; the rest is counted in a note.

    Returns
    -------
    str
        One block of at most about 8 MB: no script, no outside address, everything escaped.

    Raises
    ------
    StoreError
        Not the DataFrame of a run.
    InvalidInputError
        ``rows`` or ``cols`` is no column, or ``limit`` is less than 1.
    """
    if limit < 1:
        raise InvalidInputError("limit must be at least 1.", field="limit")
    tiles = tiles_of(df, folder_of)
    embedding = Embedding(base=Path.cwd())
    body = grid(tiles[:limit], axes_of(list(df.columns)), embedding, rows=rows, cols=cols)
    heading = el("div", caption, class_="dl-title") if caption else None
    return card(
        el("div", heading, summary_line(tiles), class_="dl-head"),
        body,
        notes(embedding, left_out=len(tiles) - limit),
        label=clean(caption or "Gallery", 200),
        class_="dl-gallery",
    )


def gallery_text(df: DataFrame, folder_of: Callable[[str], Path], *, most: int = 20) -> str:
    """Return a run's results as plain lines: a summary, then a point and its file on each.

    Parameters
    ----------
    df : DataFrame
        ``run.df``, or a selection of its rows.
    folder_of : callable
        Returns the folder of a run by its id.
    most : int, default 20
        Most points listed.
    """
    tiles = tiles_of(df, folder_of)
    axes = telling(tiles, axes_of(list(df.columns)))
    lines = [total_words(tiles)]
    for tile in tiles[:most]:
        named = ", ".join(label(name, tile.values.get(name), 80) for name in axes)
        said = str(tile.media) if tile.has_result else clean(f"{tile.status} {tile.reason}", 200)
        lines.append(f"  {named or tile.point_id}: {said.strip()}")
    if len(tiles) > most:
        lines.append(f"  and {plural(len(tiles) - most, 'further point')}")
    return "\n".join(lines)


def grid(
    tiles: Sequence[Tile],
    axes: Sequence[str],
    embedding: Embedding,
    *,
    rows: str | None = None,
    cols: str | None = None,
) -> Html:
    """Return the grid itself, without heading and notes; reports use it too."""
    if not tiles:
        return el("p", "There are no points to show.", class_="dl-quiet")
    layout = arrange(tiles, axes, rows, cols)
    mixed = len({tile.simulated for tile in tiles if tile.has_result}) > 1
    # Thumbnails go before clips: every point is seen before any of them moves.
    posters = {id(tile): embedding.picture(tile) for tile in tiles if tile.has_result}

    def box(place: tuple[int, int]) -> list[Html]:
        return [
            _figure(tile, layout, embedding, posters.get(id(tile)), mixed)
            for tile in layout.boxes.get(place, [])
        ]

    shape = f"--dl-shape: {usual_shape(tiles):.4g}"
    if layout.flows:
        style = f"--dl-count: {len(tiles)}; {shape}"
        return el("div", *box((0, 0)), class_="dl-flow", style=style)
    columns = range(len(layout.col_labels))
    head = el(
        "tr",
        el("td", class_="dl-corner") if layout.rows else None,
        *_headers(layout.cols, layout.col_labels, "col"),
    )
    row_heads = _headers(layout.rows, layout.row_labels, "row")
    body = [
        el(
            "tr",
            row_heads[at] if layout.rows else None,
            *(
                el(
                    "td",
                    el("div", *box((at, column)), class_="dl-box"),
                    data_col=telling_label(layout.cols or "", layout.col_labels[column]),
                )
                for column in columns
            ),
        )
        for at in range(len(layout.row_labels))
    ]
    table = el(
        "table",
        el("thead", head) if layout.cols else None,
        el("tbody", *body),
        class_="dl-grid",
        style=f"--dl-cols: {len(columns)}; {shape}",
    )
    return el("div", table, class_="dl-scroll")


def _headers(name: str | None, labels: Sequence[str], scope: str) -> list[Html]:
    """Return the headers of one axis; its name stands once, above the first value."""
    word = el("span", name, class_="dl-axis") if name else None
    return [
        el(
            "th",
            word if at == 0 else None,
            el("span", text, class_="dl-value"),
            scope=scope,
            title=text,
        )
        for at, text in enumerate(labels)
    ]


def _figure(
    tile: Tile, layout: Layout, embedding: Embedding, poster: str | None, mixed: bool
) -> Html:
    inner = layout.inner_label(tile)
    name = el("span", inner, class_="dl-label", title=inner) if inner else None
    if not tile.has_result:
        shown: Html = _void(tile)
    elif poster is None:
        shown = _void(tile, "The file cannot be read.")
    elif not poster:
        shown = _void(tile, f"Not shown here: {tile.media.name if tile.media else ''}")
    elif tile.kind == "video":
        shown = _video(tile, poster, embedding)
    else:
        shown = _image(tile, poster, embedding)
    return el(
        "figure",
        shown,
        el("figcaption", name, el("span", _meta(tile, mixed), class_="dl-meta")),
        class_="dl-tile",
        data_status=tile.status,
    )


def _meta(tile: Tile, mixed: bool) -> str:
    words = []
    if tile.has_result and tile.kind == "video":
        words.append(f"▶\ufe0e {seconds(tile.duration_s)} clip")
    if tile.total_s is not None:
        words.append(seconds(tile.total_s))
    if tile.cost is not None:
        words.append(money(tile.cost, tile.currency))
    elif tile.has_result:
        words.append("cost unknown")
    if mixed and tile.simulated:
        words.append("simulated")
    return " · ".join(words)


def _alt(tile: Tile) -> str:
    prompt = label("prompt", tile.values.get("prompt"))
    return f"{'Clip' if tile.kind == 'video' else 'Picture'}: {prompt}"


def _shape(tile: Tile, size: int) -> dict[str, int]:
    """Return the box to reserve, so that nothing moves when a picture arrives."""
    if not tile.width or not tile.height:
        return {}
    scale = min(1.0, size / max(tile.width, tile.height))
    return {
        "width": max(1, round(tile.width * scale)),
        "height": max(1, round(tile.height * scale)),
    }


def _image(tile: Tile, poster: str, embedding: Embedding) -> Html:
    picture = el(
        "img", src=poster, alt=_alt(tile), title=_tooltip(tile), **_shape(tile, embedding.size)
    )
    href = embedding.href(tile.media)
    return el("a", picture, href=href) if href else picture


def _video(tile: Tile, poster: str, embedding: Embedding) -> Html:
    source = embedding.clip(tile) or embedding.href(tile.media)
    shape = _shape(tile, embedding.size)
    if source is None:
        name = tile.media.name if tile.media else ""
        picture = el("img", src=poster, alt=_alt(tile), title=_tooltip(tile), **shape)
        return join(picture, el("span", f"Not embedded: {name}", class_="dl-meta"))
    return el(
        "video",
        f"{_alt(tile)}. This page cannot play it.",
        src=source,
        poster=poster,
        controls=True,
        playsinline=True,
        preload="none",
        title=_tooltip(tile),
        aria_label=_alt(tile),
        **shape,
    )


def _tooltip(tile: Tile) -> str:
    return clean(tile.values.get("prompt") or tile.point_id, 300)


def _void(tile: Tile, why: str = "") -> Html:
    reason = why or tile.reason
    return el(
        "div",
        el("span", status_mark(tile.status), " ", el("strong", tile.status.replace("_", " "))),
        el("span", escape(reason, 240), class_="dl-reason", title=clean(reason, 1000))
        if reason
        else None,
        class_="dl-void",
    )


def summary_line(tiles: Sequence[Tile]) -> Html:
    """Return one quiet line: how many points stand where, what they cost, and simulated or not."""
    return el("div", *totals(tiles), class_="dl-summary")


def notes(embedding: Embedding, *, left_out: int = 0) -> Html | None:
    """Return what the reader should know about what is not shown; None when nothing is missing."""
    said = []
    if left_out > 0:
        said.append(f"{plural(left_out, 'further point')} not shown; select rows, or raise limit=.")
    if embedding.linked:
        clips = plural(embedding.linked, "clip")
        where = (
            "linked: they play while the run's folder is in its place."
            if embedding.links
            else ("shown as a still with its file name, which is in the run's folder.")
        )
        said.append(f"{clips} too large to embed and {where}")
    if embedding.omitted:
        left = plural(embedding.omitted, "picture")
        said.append(f"{left} not shown inline, to keep this small; select fewer rows.")
    if embedding.unreadable:
        said.append(f"{plural(embedding.unreadable, 'result')} could not be read from the run.")
    return el("div", " ".join(said), class_="dl-notes") if said else None
