"""Rows of a run's DataFrame as the facts that galleries, sheets and reports show.

What belongs here: reading cells with care (a cell is foreign text, and a path in it counts only
when it stays inside the run's folder) and turning media into inline data. No markup, no layout.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import DecartSDKError, StoreError
from .html import clean, missing

if TYPE_CHECKING:
    from pandas import DataFrame
    from PIL import Image

THUMB_SIZE: Final = 320
"""Longest side of the thumbnails a run keeps, in pixels."""

_THUMB_BYTES: Final = 200_000
_NEEDED: Final = ("run_id", "status", "media")
_FIXED_AXES: Final = ("input", "model", "prompt", "seed", "reference", "replicate")


@dataclass(frozen=True, slots=True)
class Tile:
    """One point as it is shown.

    Attributes
    ----------
    point_id, status : str
        Which point, and where it stands.
    kind : {"image", "video", ""}
        What its result is; "" when there is none.
    media, thumb : Path or None
        Files of the run that exist; never outside its folder.
    width, height : int or None
        Pixels of the result.
    duration_s, total_s, cost : float or None
        Length of a clip, time to obtain it, and USD paid.
    simulated : bool or None
        True for what the emulator made; None when not known.
    reason : str
        Why there is no result, in the service's words or ours.
    values : mapping of str to object
        Its cells, for headers and labels.
    """

    point_id: str
    status: str
    kind: str = ""
    media: Path | None = None
    thumb: Path | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    total_s: float | None = None
    cost: float | None = None
    currency: str = "USD"
    simulated: bool | None = None
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_result(self) -> bool:
        """Whether there is a file to show."""
        return self.status == "completed" and self.media is not None


def check_columns(columns: Sequence[object]) -> None:
    """Refuse a DataFrame that is not of a run.

    Raises
    ------
    StoreError
        Columns are missing; the message names them.
    """
    absent = [name for name in _NEEDED if name not in columns]
    if absent:
        raise StoreError(
            f"The DataFrame has no column {', '.join(map(repr, absent))}.",
            hint="Use run.df, or a selection of its rows with these columns kept.",
        )


def axes_of(columns: Sequence[object]) -> list[str]:
    """Return the columns a grid may be laid out by: the axes first, then the fixed ones.

    A run's DataFrame begins with its axes and template variables and goes on with ``model``.
    """
    names = [str(name) for name in columns]
    own = names[: names.index("model")] if "model" in names else []
    return [name for name in own if name != "point_id" and name not in _FIXED_AXES] + [
        name for name in _FIXED_AXES if name in names
    ]


def tiles_of(df: DataFrame, folder_of: Callable[[str], Path]) -> list[Tile]:
    """Return one tile for each row, in the order of the rows.

    Parameters
    ----------
    df : DataFrame
        ``run.df``, or a selection of its rows.
    folder_of : callable
        Returns the folder of a run by its id.

    Raises
    ------
    StoreError
        Not the DataFrame of a run.
    """
    check_columns(list(df.columns))
    ids = [str(value) for value in df.index]
    records: list[dict[str, Any]] = df.to_dict("records")  # type: ignore[assignment]  # str keys
    folders: dict[str, Path | None] = {}
    return [_tile(point, row, folders, folder_of) for point, row in zip(ids, records, strict=True)]


def _tile(
    point_id: str,
    row: dict[str, Any],
    folders: dict[str, Path | None],
    folder_of: Callable[[str], Path],
) -> Tile:
    def cell(name: str) -> Any:
        value = row.get(name)
        return None if missing(value) else value

    run_id = str(cell("run_id") or "")
    if run_id not in folders:
        folders[run_id] = folder_of(run_id).resolve() if run_id else None
    folder = folders[run_id]
    mime, status = str(cell("mime") or ""), str(cell("status") or "planned")
    kind = mime.split("/")[0] if mime.startswith(("image/", "video/")) else str(cell("kind") or "")
    reason = cell("error_message") or cell("error_type") or ""
    return Tile(
        point_id=point_id,
        status=status,
        kind=kind,
        media=_inside(folder, cell("media")),
        thumb=_inside(folder, cell("thumb")),
        width=_whole(cell("width")),
        height=_whole(cell("height")),
        duration_s=_real(cell("duration_s")),
        total_s=_real(cell("total_s")),
        cost=_real(cell("cost")),
        currency=str(cell("currency") or "USD"),
        simulated=None if cell("simulated") is None else bool(cell("simulated")),
        reason=str(reason),
        values={str(name): value for name, value in row.items()},
    )


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and 0 < value < 1e6 else None


def _real(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _inside(folder: Path | None, relative: object) -> Path | None:
    """Return the file a cell names, if it is one, and if it lies inside the run's folder."""
    if folder is None or not isinstance(relative, str) or not relative:
        return None
    try:
        path = (folder / relative).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None
    except (OSError, ValueError):  # too long, not encodable, a NUL: no name a file could have
        return None


def label(name: str, value: object, limit: int = 160) -> str:
    """Return a cell's value as words for a header: file names without folders, a dash for nothing.

    Examples
    --------
    >>> label("input", "photos/cat.png"), label("strength", 0.5), label("seed", None)
    ('cat.png', '0.5', '–')
    """
    if missing(value):
        return "–"
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    if name in ("input", "reference"):
        text = text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or text
    return clean(text, limit)


def usual_shape(tiles: Sequence[Tile]) -> float:
    """Return width over height of the middle one of the results; 16:9 when there is none."""
    shapes = sorted(one.width / one.height for one in tiles if one.width and one.height)
    return min(3.0, max(0.5, shapes[len(shapes) // 2])) if shapes else 16 / 9


def open_picture(tile: Tile, size: int = THUMB_SIZE) -> Image.Image | None:
    """Return a tile's picture, or the poster of its clip; None when it cannot be had."""
    from ..media.image import open_image
    from ..media.video import poster

    stored = tile.thumb if size <= THUMB_SIZE else None
    try:
        if stored is not None:
            return open_image(stored)
        if tile.media is None:
            return None
        return poster(tile.media) if tile.kind == "video" else open_image(tile.media)
    except (DecartSDKError, OSError):
        return None  # shown as a tile that says so


def picture_data(tile: Tile, size: int = THUMB_SIZE) -> bytes | None:
    """Return a tile's picture as a small WebP; None when it cannot be had.

    The run's own thumbnail is used as it is when it is large enough.
    """
    from ..media.image import thumbnail

    if tile.thumb is not None and size <= THUMB_SIZE:
        stored = _read(tile.thumb, _THUMB_BYTES)
        if stored is not None and stored[:4] == b"RIFF" and stored[8:12] == b"WEBP":
            return stored
    picture = open_picture(tile, size)
    return None if picture is None else thumbnail(picture, size)


def clip_data(tile: Tile, limit_bytes: int) -> tuple[str, bytes] | None:
    """Return MIME type and bytes of a clip that browsers play, if it is not over the limit."""
    from ..media.sniff import sniff

    content = _read(tile.media, limit_bytes) if tile.media is not None else None
    found = sniff(content[:4096]) if content else None
    if content is None or found is None or found.mime not in ("video/mp4", "video/webm"):
        return None
    return found.mime, content


def _read(path: Path, limit_bytes: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError:
        return None
    return content if len(content) <= limit_bytes else None


def data_url(mime: str, content: bytes) -> str:
    """Return content as an inline address."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
