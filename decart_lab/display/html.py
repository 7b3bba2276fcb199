"""The one way from text to markup: escaping, elements, the stylesheet, and figures with units.

What belongs here: pure string helpers that every other module of ``display`` builds with. A plain
``str`` is always foreign text and is escaped; only :class:`Html` passes as markup, and only the
functions of this file make it. Elements and attributes come from closed lists, so that no handler,
script or outside address can be written by accident. No layout, no files but the stylesheet.
"""

from __future__ import annotations

import html
import re
from functools import cache
from importlib import resources
from math import isinf
from typing import Any, Final
from urllib.parse import quote

DASH: Final = "–"
"""How an unknown figure is shown."""

_PAGE: Final = "html head meta title style body main h1 h2 p"
_BLOCKS: Final = "div dl dt dd table thead tbody tr th td figure figcaption details summary"
_INLINE: Final = "a img video span strong"
_ELEMENTS: Final = frozenset(f"{_PAGE} {_BLOCKS} {_INLINE}".split())
_VOID: Final = frozenset({"img", "meta"})
_GENERAL: Final = "class style title lang name content charset http-equiv scope open"
_MEDIA: Final = "src href poster alt width height controls playsinline preload"
_ATTRIBUTES: Final = frozenset(f"{_GENERAL} {_MEDIA}".split())
_URLS: Final = frozenset({"href", "poster", "src"})
_DATA_URL: Final = re.compile(
    r"data:(image/(png|jpeg|webp)|video/(mp4|webm));base64,[A-Za-z0-9+/=]+\Z"
)
_LINK: Final = re.compile(r"(?:[A-Za-z0-9._~%@+,=-]+/)*[A-Za-z0-9._~%@+,=-]+\Z")

# Control characters have no look; the bidirectional ones can make a text read as another.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


class Html(str):
    """Text that is markup already; anything else is escaped on its way in."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return itself, as template libraries expect."""
        return self


def clean(text: object, limit: int | None = None) -> str:
    """Return the text without invisible characters, cut to a length.

    Examples
    --------
    >>> clean("a red kite over the sea", limit=10)
    'a red kit…'
    """
    value = str(text)
    if limit is not None and len(value) > limit:
        value = value[: max(0, limit - 1)].rstrip() + "…"
    return _INVISIBLE.sub("\ufffd", value)


def escape(text: object, limit: int | None = None) -> Html:
    """Return markup that shows the text as it is, fit for content and for quoted attributes.

    Parameters
    ----------
    text : object
        Foreign text; an :class:`Html` passes unchanged.
    limit : int, optional
        Longest text in characters; a longer one ends in an ellipsis.

    Examples
    --------
    >>> escape('<b onclick="x">')
    '&lt;b onclick=&quot;x&quot;&gt;'
    """
    if isinstance(text, Html):
        return text
    return Html(html.escape(clean(text, limit), quote=True))


def join(*parts: object, sep: str = "") -> Html:
    """Return the parts as one piece of markup; None is left out."""
    return Html(escape(sep).join(escape(part) for part in parts if part is not None))


def el(name: str, /, *children: object, **attributes: object) -> Html:
    """Return one element; children and values that are plain text are escaped.

    Parameters
    ----------
    name : str
        Element name, of a closed list.
    *children : str, Html or None
        Contents; None is left out.
    **attributes
        ``class_`` stands for class, underscores for hyphens. True writes a bare attribute; False
        and None leave it out. ``src``, ``href`` and ``poster`` take only inline pictures and
        clips, and relative links.

    Raises
    ------
    ValueError
        An element, attribute or address outside the closed lists: a bug of ours.

    Examples
    --------
    >>> el("p", "1 < 2", class_="note", title=None)
    '<p class="note">1 &lt; 2</p>'
    """
    if name not in _ELEMENTS:
        raise ValueError(f"element {name!r} is not one we write")
    written = [name]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if attribute not in _ATTRIBUTES and not attribute.startswith(("aria-", "data-")):
            raise ValueError(f"attribute {attribute!r} is not one we write")
        if value is None or value is False:
            continue
        if attribute in _URLS and not _usable(str(value)):
            raise ValueError(f"{attribute} takes inline media and relative links only")
        written.append(attribute if value is True else f'{attribute}="{escape(value)}"')
    opening = f"<{' '.join(written)}>"
    if name in _VOID:
        return Html(opening)
    return Html(f"{opening}{join(*children)}</{name}>")


def _usable(url: str) -> bool:
    # The data pattern is bounded by its own alphabet; a link must not begin with a scheme.
    return bool(_DATA_URL.match(url) or _LINK.match(url))


def link(path: str) -> str:
    """Return a relative path as an address; every unusual character is percent-encoded.

    Examples
    --------
    >>> link("decart_runs/my run/a#1.png")
    'decart_runs/my%20run/a%231.png'
    """
    return quote(path, safe="/._~-")


@cache
def css(*, whole: bool = True) -> str:
    """Return the stylesheet, read once, without its comments; else only what every output needs."""
    return compact(
        resources.files(__package__).joinpath("static/lab.css").read_text("utf-8"), whole
    )


def compact(text: str, whole: bool = True) -> str:
    """Return a stylesheet without comments and needless spaces, or its part that all need.

    Examples
    --------
    >>> compact("a, b { color: red; }  /* -- so far, all -- */  c { color: blue; }", whole=False)
    'a,b{color:red}'
    """
    if not whole:
        text = text.partition("/* -- so far, ")[0]
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" ?([{};,]) ?|(:) ", r"\1\2", text).replace(";}", "}").strip()


def card(*children: object, label: str, class_: str = "", whole: bool = True) -> Html:
    """Return a whole output of ours: the stylesheet and one labelled block that it applies to.

    ``whole`` is False where one picture and its facts are all there is.

    Notebooks typeset what stands between two dollar signs; prices and prompts are not formulas.
    """
    classes = f"decart-lab mathjax_ignore tex2jax_ignore {class_}".strip()
    block = el("div", *children, class_=classes, aria_label=label)
    return join(el("style", Html(css(whole=whole))), block)


def facts(pairs: list[tuple[str, object]]) -> Html:
    """Return a definition list; pairs whose value is None are left out."""
    rows = [
        el("div", el("dt", name), el("dd", value)) for name, value in pairs if value is not None
    ]
    return el("dl", *rows, class_="dl-facts")


def missing(value: object) -> bool:
    """Whether a table cell holds nothing: None, NaN, NA or NaT.

    Examples
    --------
    >>> missing(float("nan")), missing(0), missing("")
    (True, False, False)
    """
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # what pandas.NA raises when asked for its truth
        return True


def number(value: Any, digits: int = 0, unit: str = "") -> str:
    """Return a figure with thousands separated and its unit; a dash when it is unknown.

    Examples
    --------
    >>> number(24.93, 1, "fps"), number(1234), number(None)
    ('24.9 fps', '1,234', '–')
    """
    if missing(value) or isinf(value):
        return DASH
    return f"{value:,.{digits}f}" + (f" {unit}" if unit else "")


def seconds(value: Any) -> str:
    """Return a duration to a sensible digit.

    Examples
    --------
    >>> seconds(0.0421), seconds(12.38), seconds(754), seconds(float("nan"))
    ('0.04 s', '12.4 s', '12 min 34 s', '–')
    """
    if missing(value) or isinf(value):
        return DASH
    if value < 0.995:
        return f"{value:.2f} s"
    if value < 99.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def money(value: Any, currency: str = "USD") -> str:
    """Return an amount; fractions of a cent keep the digits that matter.

    Examples
    --------
    >>> money(0.32), money(0.0042), money(1234.5), money(None)
    ('$0.32', '$0.0042', '$1,234.50', '–')
    """
    if missing(value) or isinf(value):
        return DASH
    digits = 2 if abs(value) >= 0.1 or abs(value * 100 - round(value * 100)) < 1e-9 else 4
    sign, amount = ("-" if value < 0 else ""), f"{abs(value):,.{digits}f}"
    return f"{sign}${amount}" if currency == "USD" else f"{sign}{amount} {currency}"


def size_bytes(value: Any) -> str:
    """Return a size in decimal units.

    Examples
    --------
    >>> size_bytes(812), size_bytes(1_430_000), size_bytes(None)
    ('812 B', '1.4 MB', '–')
    """
    if missing(value):
        return DASH
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f} B"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> plural(1, "point"), plural(1200, "point")
    ('1 point', '1,200 points')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
