"""Small summaries: a run, a Lab, the models, an error; each as markup and as plain text.

What belongs here: the words and shapes by which state, money and "simulated" are always told the
same way. The facts come in as plain mappings; nothing here looks anything up but the model rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any, Final

from ..contract.models import ROWS, Kind, ModelSpec, Status
from ..contract.prices import PRICE_VERSION, price_of
from ..errors import DecartSDKError
from .html import DASH, Html, card, clean, el, facts, join, missing, money, plural, seconds
from .tiles import Tile

MARKS: Final[dict[str, tuple[str, str]]] = {
    "completed": ("●", "good"),
    "failed": ("✕", "bad"),
    "rejected": ("⊘", "bad"),
    "lost": ("✕", "bad"),
    "in_doubt": ("?", "warn"),
    "cancelled": ("–", "quiet"),
    "skipped_budget": ("–", "quiet"),
    "invalid": ("⊘", "warn"),
    "processing": ("◑", "open"),
    "pending": ("◔", "open"),
    "submitting": ("◔", "open"),
    "planned": ("○", "open"),
}
"""Point status: its shape and its tone, results first and what is still to come last.

State is told by shape and word as well as by colour.
"""

SIMULATED: Final = "simulated by the emulator"


def status_mark(status: str) -> Html:
    """Return the shape of a status; the word stands beside it."""
    shape, tone = MARKS.get(status, ("·", "quiet"))
    return el("span", shape, class_=f"dl-mark dl-{tone}", aria_hidden="true")


def status_counts(counts: Mapping[str, int]) -> list[Html]:
    """Return counts by status, each with its shape and word."""
    order = [*MARKS, *(status for status in counts if status not in MARKS)]
    return [
        el("span", status_mark(status), f" {counts[status]:,} {status.replace('_', ' ')}")
        for status in order
        if counts.get(status)
    ]


def cost_words(cost: float, unknown: int = 0, currency: str = "USD") -> str:
    """Return an amount, and for how many points no price is known.

    Examples
    --------
    >>> cost_words(0.24), cost_words(0.2, unknown=2), cost_words(float("nan"))
    ('$0.24', '$0.20 and 2 points of unknown price', 'cost unknown')
    """
    if missing(cost):
        return "cost unknown"
    words = money(cost, currency)
    return f"{words} and {plural(unknown, 'point')} of unknown price" if unknown else words


def cost_of(tiles: Sequence[Tile]) -> str:
    """Return what some points cost together, in words."""
    known = [tile.cost for tile in tiles if tile.cost is not None]
    total = sum(known) if known else nan
    return cost_words(total, len(tiles) - len(known), tiles[0].currency)


def totals(tiles: Sequence[Tile]) -> list[Html]:
    """Return the summary of some points: count, states, cost, simulated or not."""
    counts = Counter(tile.status for tile in tiles)
    done = [tile for tile in tiles if tile.status == "completed"]
    line = [el("span", plural(len(tiles), "point")), *status_counts(counts)]
    if done:
        line.append(el("span", cost_of(done)))
    return [*line, *_simulated(tile.simulated for tile in done)]


def total_words(tiles: Sequence[Tile]) -> str:
    """Return the summary of some points as plain words."""
    done = [tile for tile in tiles if tile.status == "completed"]
    words = [plural(len(tiles), "point"), *_count_words(Counter(tile.status for tile in tiles))]
    if done:
        words.append(cost_of(done))
    if any(tile.simulated for tile in done):
        words.append(SIMULATED)
    return ", ".join(words)


def _count_words(counts: Mapping[str, int]) -> list[str]:
    return [f"{counts[name]:,} {name.replace('_', ' ')}" for name in MARKS if counts.get(name)]


def _simulated(flags: Iterable[bool | None]) -> list[Html]:
    seen = set(flags)
    if True not in seen:
        return []
    word = SIMULATED if seen == {True} else f"partly {SIMULATED}"
    return [el("span", word, class_="dl-badge")]


# --- a run -----------------------------------------------------------------------------------


def run_card(summary: Mapping[str, Any]) -> str:
    """Return a run's summary as markup.

    Parameters
    ----------
    summary : mapping
        ``run_id``, ``folder``, ``counts`` (status to number), ``cost`` (USD, NaN when unknown),
        ``unknown_cost`` (points without a price), ``simulated`` (bool or None), ``elapsed_s``,
        ``state`` (a word). What is absent is not shown.
    """
    counts = summary.get("counts") or {}
    line = [el("span", plural(sum(counts.values()), "point")), *status_counts(counts)]
    line.extend(_simulated([summary.get("simulated")]))
    return card(
        el(
            "div",
            "Run ",
            el("span", summary.get("run_id", ""), class_="dl-code"),
            class_="dl-title",
        ),
        el("div", *line, class_="dl-summary"),
        facts(
            [
                ("state", summary.get("state")),
                ("cost", _cost(summary)),
                ("time", _time(summary)),
                ("folder", _code(summary.get("folder"))),
            ]
        ),
        label="Run",
        class_="dl-card",
    )


def run_text(summary: Mapping[str, Any]) -> str:
    """Return a run's summary as one or two plain lines; the same keys as :func:`run_card`.

    Examples
    --------
    >>> print(run_text({"run_id": "r1", "counts": {"completed": 3, "failed": 1}, "cost": 0.06}))
    Run r1: 4 points, 3 completed, 1 failed, $0.06
    """
    counts = summary.get("counts") or {}
    words = [plural(sum(counts.values()), "point")]
    words += _count_words(counts)
    words += [word for word in (summary.get("state"), _cost(summary), _time(summary)) if word]
    if summary.get("simulated"):
        words.append(SIMULATED)
    text = f"Run {clean(summary.get('run_id', ''), 128)}: {', '.join(words)}"
    folder = summary.get("folder")
    return text if folder is None else f"{text}\n{clean(folder)}"


def _cost(summary: Mapping[str, Any]) -> str | None:
    if "cost" not in summary:
        return None
    return cost_words(summary["cost"], int(summary.get("unknown_cost") or 0))


def _time(summary: Mapping[str, Any]) -> str | None:
    return None if summary.get("elapsed_s") is None else seconds(summary["elapsed_s"])


def _code(value: object) -> Html | None:
    return None if value is None else el("span", str(value), class_="dl-code")


# --- a Lab -----------------------------------------------------------------------------------


_CODE: Final = ("connected to", "runs")


def lab_facts(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what there is to know about a connection, in the order it is shown.

    Parameters
    ----------
    status : mapping
        ``url``, or ``next`` (what a connection would be made to); ``key`` (bool: whether there is
        one; never the key), ``simulated`` (bool or None), ``image_model`` and ``video_model`` (the
        defaults), ``runs`` (folder). What is absent is not shown.
    """
    lines: list[tuple[str, str]] = []
    if status.get("url"):
        lines.append(("connected to", clean(status["url"], 300)))
    elif status.get("next"):
        lines.append(("connected", f"not yet; connect() uses {clean(status['next'], 300)}"))
    if "simulated" in status:
        words = {True: "yes, by the emulator", False: "no", None: "not known yet"}
        lines.append(("simulated", words[status["simulated"]]))
    if "key" in status:
        lines.append(("API key", "present" if status["key"] else "none"))
    uses = (("image_model", "for pictures"), ("video_model", "for clips"))
    models = [f"{clean(status[key], 100)} {use}" for key, use in uses if status.get(key)]
    if models:
        lines.append(("default model", ", ".join(models)))
    if status.get("runs"):
        lines.append(("runs", clean(status["runs"], 300)))
    return lines


def lab_card(status: Mapping[str, Any]) -> str:
    """Return where a Lab is connected as markup; the same keys as :func:`lab_facts`."""
    return card(
        el("div", "Decart lab", class_="dl-title"),
        facts([(name, _code(text) if name in _CODE else text) for name, text in lab_facts(status)]),
        label="Connection",
        class_="dl-card",
    )


def lab_text(status: Mapping[str, Any]) -> str:
    """Return where a Lab is connected as plain lines; the same keys as :func:`lab_facts`."""
    lines = lab_facts(status)
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(["Decart lab", *(f"  {name:<{width}}  {value}" for name, value in lines)])


# --- models ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One line of the models table: name, kind, size in pixels, frame rate, price, status."""

    name: str
    kind: str
    size: str
    fps: str
    price: str
    status: str


def model_lines(status: Status | None = "current", kind: Kind | None = None) -> list[ModelLine]:
    """Return the rows of the models table, in registry order."""
    return [
        ModelLine(
            row.name,
            row.kind,
            f"{row.width} × {row.height}",
            DASH if row.kind == "image" else str(row.fps),
            price_words(row),
            row.status if not row.successor else f"{row.status}, use {row.successor}",
        )
        for row in ROWS
        if status in (None, row.status) and kind in (None, row.kind)
    ]


def price_words(row: ModelSpec) -> str:
    """Return a model's price with its unit; a dash when it is not known."""
    price = price_of(row.canonical)
    if row.kind == "image":
        return ", ".join(f"{money(usd)} at {size}" for size, usd in price.per_image) or DASH
    per_s = price.per_s if row.kind == "video" else price.realtime_per_s
    return DASH if isnan(per_s) else f"{money(per_s)} a second"


_MODEL_HEADS: Final = ("model", "kind", "size", "fps", "price", "status")


def models_table(lines: Sequence[ModelLine]) -> str:
    """Return the models as markup."""
    body = [
        el(
            "tr",
            el("th", el("span", line.name, class_="dl-code"), scope="row"),
            el("td", line.kind),
            *(el("td", text, class_="dl-number") for text in (line.size, line.fps)),
            el("td", line.price),
            el("td", line.status),
        )
        for line in lines
    ]
    head = el(
        "tr",
        *(
            el("th", name, scope="col", class_="dl-number" if name in ("size", "fps") else None)
            for name in _MODEL_HEADS
        ),
    )
    return card(
        el(
            "div",
            el("table", el("thead", head), el("tbody", *body), class_="dl-table"),
            class_="dl-scroll",
        ),
        el("div", models_note(), class_="dl-notes"),
        label="Models",
    )


def models_text(lines: Sequence[ModelLine]) -> str:
    """Return the models as aligned plain text."""
    rows = [
        _MODEL_HEADS,
        *((line.name, line.kind, line.size, line.fps, line.price, line.status) for line in lines),
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_MODEL_HEADS))]
    table = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*table, models_note()])


def models_note() -> str:
    """Return where the prices come from."""
    return f"Prices in USD as published on {PRICE_VERSION}; a dash is a price that is not known."


# --- errors ----------------------------------------------------------------------------------


def error_text(error: DecartSDKError) -> str:
    """Return an error as short plain lines: what happened, what to do, and ids to quote.

    Examples
    --------
    >>> print(error_text(DecartSDKError("The job failed.", hint="Run it again.", job_id="j1")))
    DecartSDKError: The job failed.
    Run it again.
    Job j1
    """
    lines = [f"{type(error).__name__}: {clean(error.message, 1000)}"]
    if error.hint:
        lines.append(clean(error.hint, 500))
    ids = {"Job": error.job_id, "Request": error.request_id}
    lines += [f"{name} {clean(value, 200)}" for name, value in ids.items() if value]
    return "\n".join(lines)


def error_card(error: DecartSDKError) -> str:
    """Return an error as markup; the same facts as :func:`error_text`."""
    first, *rest = error_text(error).split("\n")
    return card(
        el("div", status_mark("failed"), " ", first, class_="dl-title"),
        join(*(el("div", line, class_="dl-quiet") for line in rest)),
        label="Error",
        class_="dl-card",
    )
