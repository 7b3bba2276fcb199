"""How one Media looks in an output cell: a picture, or a clip with its poster, and a caption.

No scripts, no frames, nothing fetched. The whole look of galleries and reports is in display;
this is the little that a single picture needs, so that media needs nothing above it.
"""

from __future__ import annotations

import base64
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ..errors import DecartSDKError
from .image import thumbnail
from .inputs import prepare
from .probe import clip

if TYPE_CHECKING:
    from .media import Media

SHOWN_PIXELS: Final = 640
EMBED_BYTES: Final = 1_500_000
EDIT_S: Final = 30.0  # a longer clip is not encoded merely to be looked at
_PLAYED: Final = {"h264", "vp8", "vp9", "av1"}  # what browsers decode
_MUTED: Final = "color:var(--jp-ui-font-color2,#616161)"


def bundle(media: Media) -> dict[str, str]:
    """Return the cell's MIME bundle: text/plain always, text/html when the file can be read."""
    try:
        facts = " \N{MIDDLE DOT} ".join([_name(media.path), *_facts(media)])
        body = _picture(media) if media.kind == "image" else _clip(media)
    except DecartSDKError as error:
        return {"text/plain": f"{media!r}\n{error}"}
    caption = f"{escape(clip(media.caption, 300))}<br>" if media.caption else ""
    html = (
        # A price and a prompt with dollar signs are not a formula to be typeset.
        '<figure class="mathjax_ignore tex2jax_ignore" style="margin:4px 0;max-width:100%">'
        f"{body}"
        '<figcaption style="margin-top:4px;font-size:var(--jp-ui-font-size1,13px);'
        f'font-variant-numeric:tabular-nums">{caption}'
        f'<span style="{_MUTED}">{escape(facts)}</span></figcaption></figure>'
    )
    return {"text/plain": f"{media!r}\n{facts}", "text/html": html}


def _picture(media: Media) -> str:
    return _image(thumbnail(media.to_pil(), SHOWN_PIXELS), media)


def _clip(media: Media) -> str:
    still = thumbnail(media.to_pil(), SHOWN_PIXELS)
    if media.edits and (media.duration_s or 0) > EDIT_S:
        note = "It is long: save() makes the edited clip."
        return f'{_image(still, media)}<div style="{_MUTED}">{note}</div>'
    source = prepare(media)
    played = source.probe.codec in _PLAYED
    if played and source.size_bytes <= EMBED_BYTES:
        return _player(media, still, _data(source.mime, media.read()))
    where = _relative(source.path or media.path)
    address = escape(quote(where), quote=True)
    # A notebook's server serves what lies in the notebook's folder, and nothing above it.
    served = played and not where.startswith(("..", "/"))
    return (
        f"{_player(media, still, address) if served else _image(still, media)}"
        '<div style="font-size:var(--jp-ui-font-size1,13px)">'
        f'<a href="{address}" target="_blank" rel="noopener">{escape(clip(where, 300))}</a></div>'
    )


def _player(media: Media, still: bytes, source: str) -> str:
    """Return a player that loads nothing until it is asked to play."""
    width, height = _fit(media)
    return (
        f'<video controls loop playsinline preload="none" width="{width}" height="{height}" '
        f'style="max-width:100%;height:auto" poster="{_data("image/webp", still)}" '
        f'src="{source}"></video>'
    )


def _image(webp: bytes, media: Media) -> str:
    width, height = _fit(media)
    name = escape(clip(media.caption or media.path.name, 300), quote=True)
    return (
        f'<img src="{_data("image/webp", webp)}" alt="{name}" width="{width}" height="{height}" '
        'style="max-width:100%;height:auto">'
    )


def _name(path: Path) -> str:
    """Return a file's name for a caption; of a name made from content, the first digits say enough.

    Examples
    --------
    >>> _name(Path("media/c7/" + "c77c3054" * 8 + ".mp4"))
    'c77c3054.mp4'
    """
    named_by_content = len(path.stem) == 64 and set(path.stem) <= set("0123456789abcdef")
    return path.stem[:8] + path.suffix if named_by_content else clip(path.name, 80)


def _facts(media: Media) -> list[str]:
    """Return what is known about a file as short phrases with units, for a caption."""
    found = media.probe
    facts = [f"{found.width} x {found.height}"]
    if found.fps is not None:
        facts.append(f"{found.fps:.4g} fps")
    if found.duration_s is not None:
        facts.append(f"{found.duration_s:.1f} s")
    facts += [str(edit) for edit in media.edits]
    if media.cost is not None:
        facts.append(f"${media.cost:.2f}")
    if media.simulated:
        facts.append("simulated")
    return facts


def _fit(media: Media) -> tuple[int, int]:
    scale = min(1.0, SHOWN_PIXELS / max(media.width, media.height))
    return max(1, round(media.width * scale)), max(1, round(media.height * scale))


def _data(mime: str, content: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _relative(path: Path) -> str:
    """Return a path as seen from the notebook's folder, with slashes."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()
