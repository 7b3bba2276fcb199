"""The poster of a live session: what remains of it in a saved notebook.

A small picture with its facts, beside the live view in an output of its own. The view hides it for
as long as it lives; without a kernel, in a page made by nbconvert or on a code host, it is what is
seen. It is never larger than :data:`MOST_BYTES`, and holds nothing that is not shown.
"""

from __future__ import annotations

import io
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from .cards import SIMULATED
from .html import Html, card, clean, el, facts, join, missing, money, seconds
from .shown import Shown
from .tiles import data_url

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_BYTES: Final = 40_960
WIDTH: Final = 448
PICTURE_BYTES: Final = 15_000
"""Of the picture as JPEG; base64 adds a third, and our stylesheet and the facts take the rest."""
POINTS: Final = 60
_PROMPT: Final = 400


def poster_picture(pixels: npt.NDArray[Any]) -> bytes:
    """Return a picture as a JPEG of at most :data:`PICTURE_BYTES`.

    Parameters
    ----------
    pixels : array
        RGB, (H, W, 3), uint8.
    """
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((WIDTH, WIDTH))
    while True:
        for quality in (75, 60, 45, 30):
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=quality)
            if file.tell() <= PICTURE_BYTES:
                return file.getvalue()
        picture.thumbnail((picture.width * 3 // 4, picture.height * 3 // 4))


def poster(
    element: str, told: Mapping[str, Any], picture: bytes = b"", delays_ms: Sequence[float] = ()
) -> Shown:
    """Return the poster of a session.

    Parameters
    ----------
    element : str
        By which a live view finds it, to hide it; of :func:`new_id`.
    told : mapping
        ``model``, ``prompt``, ``state``, ``reason``, ``seconds``, ``cost``, ``simulated``, and
        ``watching`` for somebody else's session, of which model, prompt and bill are not known.
    picture : bytes
        JPEG; none before the first frame.
    delays_ms : sequence of float
        Latency second by second; NaN where unknown.
    """
    prompt = told.get("prompt")
    watching = bool(told.get("watching"))
    unchanged = "watched, read-only" if watching else "the input unchanged"
    words = clean(prompt, _PROMPT) if prompt else unchanged
    stands = str(told.get("state", "idle"))
    if stands == "disconnected":
        stands = f"ended: {told['reason']}" if told.get("reason") else "ended"
    known = [value for value in delays_ms if not missing(value)]
    middle = sorted(known)[len(known) // 2] if known else math.nan
    rows: list[tuple[str, object]] = [("state", clean(stands, 120))]
    if not watching:
        bill = ("seconds", seconds(told.get("seconds"))), ("cost", money(told.get("cost")))
        rows = [("model", told.get("model", "")), *rows, *bill]
    said = [f"{name} {value}" for name, value in rows]
    if known:
        rows.append(("latency", join(f"{middle:.0f} ms ", _sparkline(delays_ms))))
    image = el("img", src=data_url("image/jpeg", picture), alt=words) if picture else None
    play = el("span", SIMULATED, class_="dl-badge") if told.get("simulated") else None
    block = card(
        el("figure", image, el("figcaption", words), class_="dl-poster"),
        play,
        facts(rows),
        label="A live session",
        whole=False,
    )
    text = ", ".join([f"Live session: {words}", *said])
    return Shown(el("div", block, data_live=element), f"{text}, {SIMULATED}" if play else text)


def new_id() -> str:
    """Return an id that no other poster has."""
    return secrets.token_hex(6)


def show(shown: Shown, display_id: str, *, update: bool = False) -> None:
    """Display a poster, or put it in the place of the one shown before; without IPython, nothing.

    Not by the display hooks of a cell: it is called from threads of ours as well.
    """
    try:
        from IPython import get_ipython
        from IPython.display import display, update_display
    except ImportError:
        return
    if get_ipython() is None:
        return
    if update:
        update_display(shown, display_id=display_id)  # type: ignore[no-untyped-call]
    else:
        display(shown, display_id=display_id)  # type: ignore[no-untyped-call]


def _sparkline(values: Sequence[float]) -> Html:
    """Return latency over time as a small drawing of characters, which needs no script."""
    step = max(1, math.ceil(len(values) / POINTS))
    groups = [values[at : at + step] for at in range(0, len(values), step)]
    means = [_mean(group) for group in groups]
    top = max((mean for mean in means if not math.isnan(mean)), default=0.0)
    bars = "▁▂▃▄▅▆▇█"
    drawn = [
        " " if math.isnan(mean) or top <= 0 else bars[min(7, int(mean / top * 8))] for mean in means
    ]
    return el("span", "".join(drawn), aria_hidden="true")


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not missing(value)]
    return sum(known) / len(known) if known else math.nan
