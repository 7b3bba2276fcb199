"""``%decart fault``: what is to go wrong at the emulator that this kernel is connected to.

It speaks to the emulator over HTTP, so that it works with the embedded one, which is a process of
its own, and with one that runs elsewhere on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from IPython.core.error import UsageError

from ..display.html import card, el
from ..display.shown import Shown
from ..emulator.fault_rows import FAULTS
from ..errors import EmulatorError
from ._call import Call
from ._line import Parser, count_of

PATH: Final = "/_emulator/faults"
WAIT_S: Final = 10.0
_MOST_BYTES: Final = 1_000_000


def parser() -> Parser:
    """Return the word's options."""
    made = Parser("fault", "Let the emulator fail: list, arm and clear faults.")
    made.add_argument(
        "spec",
        nargs="*",
        metavar="NAME[:KEY=VALUE,...]",
        help="arm this, for example rate_limited:route=jobs,times=3; the keys are route, model, "
        "after, times, chance and the fault's own",
    )
    made.add_argument("--all", action="store_true", help="list every fault there is")
    made.add_argument("--clear", action="store_true", help="disarm every fault")
    made.add_argument(
        "--remove", type=count_of, metavar="N", help="disarm the fault of that number"
    )
    return made


def run(call: Call) -> Shown:
    """Do what the line says, and show what is armed then."""
    options = call.options
    if options.all:
        known = [(f.name, f.says, _parameters(f.parameters)) for f in FAULTS.values()]
        return _table("Faults", ("fault", "what the service does", "parameters"), known)
    url = _emulator()
    if options.clear:
        _ask(url, "DELETE", PATH)
    if options.remove is not None:
        _ask(url, "DELETE", f"{PATH}/{options.remove}")
    for spec in options.spec:
        _ask(url, "POST", PATH, {"fault": spec})
    armed = _ask(url, "GET", PATH)["armed"]
    if not armed:
        text = "No fault is armed. %decart fault --all lists what there is."
        return Shown(card(el("div", text, class_="dl-notes"), label="Faults"), text)
    rows = [
        (
            str(row["id"]),
            str(row["fault"]),
            str(row["route"] or "every route"),
            "always" if row["times"] is None else str(row["times"]),
            str(row["struck"]),
            _parameters(_given(row)),
        )
        for row in armed
    ]
    return _table("Faults", ("no.", "fault", "route", "times", "struck", "parameters"), rows)


def values() -> Sequence[str]:
    """Return the names of faults for completion."""
    return tuple(FAULTS)


def _given(row: dict[str, Any]) -> dict[str, Any]:
    chosen = {"model": row["model"], "after": row["after"] or None}
    chosen["chance"] = None if row["chance"] == 1 else row["chance"]
    return {k: v for k, v in chosen.items() if v is not None} | dict(row["values"])


def _parameters(given: Any) -> str:
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in given.items()
    )


def _emulator() -> str:
    """Return the address of the emulator in use.

    Raises
    ------
    UsageError
        Nothing is connected, or not to an emulator.
    """
    from ..lab.connect import last_lab

    lab = last_lab()
    if lab is None:
        raise UsageError("Nothing is connected yet: call dl.connect() first.")
    if lab.service != "emulator":
        raise UsageError(f"Faults belong to the emulator, and {lab.url} is not one.")
    return lab.url


def _ask(url: str, method: str, path: str, body: object = None) -> Any:
    """Make one request of the control, without any proxy and without a key.

    Raises
    ------
    UsageError
        The emulator refuses, with its reason.
    EmulatorError
        It does not answer.
    """
    content = None if body is None else json.dumps(body).encode()
    request = Request(  # noqa: S310 (http or https, checked when it was connected)
        url + path, content, {"Content-Type": "application/json"}, method=method
    )
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=WAIT_S) as answer:
            said = answer.read(_MOST_BYTES)
        return json.loads(said) if said else None
    except HTTPError as error:
        raise UsageError(_reason(error)) from error
    except (URLError, OSError, ValueError) as error:
        raise EmulatorError(
            f"The emulator at {url} did not answer: {getattr(error, 'reason', error)}.",
            hint="It may be refusing connections because a fault says so; that ends by itself.",
        ) from error


def _reason(error: HTTPError) -> str:
    try:
        detail = json.loads(error.read(_MOST_BYTES))["detail"]
        return str(detail if isinstance(detail, str) else detail[0]["msg"])[:2000]
    except (ValueError, LookupError, TypeError, OSError):
        return f"The emulator refuses with status {error.code}."


def _table(label: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Shown:
    numbers = {"no.", "struck"}
    head = el("tr", *(el("th", name, scope="col", class_=_class(name, numbers)) for name in heads))
    body = [
        el(
            "tr",
            *(
                el("td", cell, class_=_class(name, numbers))
                for name, cell in zip(heads, row, strict=True)
            ),
        )
        for row in rows
    ]
    table = el("table", el("thead", head), el("tbody", *body), class_="dl-table")
    markup = card(el("div", table, class_="dl-scroll"), label=label)
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    ]
    return Shown(markup, "\n".join(lines))


def _class(name: str, numbers: set[str]) -> str | None:
    return "dl-number" if name in numbers else None
