"""``%decart live``: a live session with its view, from one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ..contract.models import names
from ._call import Call
from ._line import Parser

if TYPE_CHECKING:
    from ..lab.live import Live


def parser() -> Parser:
    """Return the word's options."""
    made = Parser("live", "Open a live session with its view; running the cell again keeps it.")
    made.add_argument("model", nargs="?", help="a realtime model; lucy-2.1 when none is named")
    made.add_argument("prompt", nargs="*", help="what to show; nothing leaves the input unchanged")
    made.add_argument("--source", default="synthetic", help="a clip, a picture, or camera")
    made.add_argument("--size", help="width and height of what is sent, such as 640x352")
    made.add_argument("--seconds", type=float, help="end it after so many billed seconds")
    made.add_argument("--cost", type=float, help="end it after so many USD")
    return made


def run(call: Call) -> Live:
    """Open the session and return it, which shows it."""
    from ..lab.connect import connect, last_lab

    options = call.options
    caps = {"max_seconds": options.seconds, "max_cost": options.cost}
    given = {name: value for name, value in caps.items() if value is not None}
    if options.size is not None:
        given["size"] = _size(options.size)
    prompt = " ".join(options.prompt) or None
    return (last_lab() or connect()).live(options.model, prompt, source=options.source, **given)


def values() -> Sequence[str]:
    """Return model names for completion."""
    return names("realtime")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"A size is written like 640x352, not {text[:40]!r}.")
    return int(width), int(height)
