"""``%%decart sweep``: run the grid that the cell describes in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import UsageError

from ..errors import DecartSDKError
from ..sweep.template import template
from ._call import Call
from ._line import Parser, count_of, name_of
from ._yaml import Reference, read_body, resolve

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..lab.sweep import Sweep

_HELP: Final = """Run the grid that the cell describes in YAML, and return its DataFrame.

A value is constant and a list is an axis; every combination is one point. @name stands for a
variable of the kernel, also inside a list. A prompt may be a template with its variables:

    %%decart sweep -o df
    model: lucy-image-2
    prompt:
      template: a {style} look, {light} light
      style: [ink, clay]
      light: [noon, dusk]
    data: [cat.png, @photo]
    seed: [1, 2]
    where: not (style == 'ink' and light == 'noon')

Words that shape the grid: where (a condition, or a list of them), link (names of axes that move
together, or a list of such lists), sample (a number of points, or n and seed), repeat (how often
each point is bought). Whatever is bought is kept when the cell is interrupted."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call that shapes a sweep: a method with its arguments."""

    method: str
    values: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def parser() -> Parser:
    """Return the word's options."""
    made = Parser("sweep", _HELP, cell=True)
    made.add_argument("-o", "--output", type=name_of, metavar="NAME", help="store the DataFrame")
    made.add_argument(
        "--concurrency", type=count_of, metavar="N", help="points under way at once (default 8)"
    )
    return made


def run(call: Call) -> DataFrame:
    """Run the sweep and return its DataFrame; the Run itself is ``lab.last_run``."""
    from ..lab.connect import connect, last_lab

    keywords, shape = read_grid(call.body, call.namespace)
    sweep: Sweep = (last_lab() or connect()).sweep(**keywords)
    for step in shape:
        sweep = getattr(sweep, step.method)(*step.values, **step.options)
    options = {} if call.options.concurrency is None else {"concurrency": call.options.concurrency}
    frame: DataFrame = sweep.run(**options).df
    return frame


def read_grid(body: str, namespace: dict[str, Any]) -> tuple[dict[str, Any], list[Step]]:
    """Return the keywords of ``lab.sweep`` that a body means, and the steps that shape its grid.

    Raises
    ------
    UsageError
        Not such a body.
    """
    raw = read_body(body)
    for name, value in raw.items():
        if value is None:
            raise UsageError(f"{name[:60]!r} has no value; leave it out, or give it one.")
    values = {name: resolve(value, namespace) for name, value in raw.items()}
    steps = [
        step for word, make in _SHAPES.items() if word in values for step in make(values.pop(word))
    ]
    if "prompt" in values and isinstance(values["prompt"], dict):
        values["prompt"] = _template(values["prompt"])
    for name, value in values.items():
        if isinstance(value, dict) and not isinstance(raw.get(name), Reference):
            raise UsageError(f"{name[:60]!r} holds names with values; only prompt may.")
    if "model" not in values:
        values["model"] = default_model(values.get("data"))
    return values, steps


def default_model(data: Any) -> str:
    """Return the model for a body that names none: by what the first input is.

    An input that cannot be read is left to the sweep, which says why.
    """
    from ..lab.lab import IMAGE_MODEL, VIDEO_MODEL
    from ..media.inputs import prepare

    first = data[0] if isinstance(data, list | tuple) and data else data
    if first is None:
        return IMAGE_MODEL
    try:
        kind = prepare(first).probe.kind
    except DecartSDKError:
        return IMAGE_MODEL
    return VIDEO_MODEL if kind == "video" else IMAGE_MODEL


def _template(parts: dict[str, Any]) -> Any:
    text = parts.get("template")
    if not isinstance(text, str):
        raise UsageError("A prompt with variables needs its text as template: ...")
    return template(text, **{name: value for name, value in parts.items() if name != "template"})


def _where(value: Any) -> list[Step]:
    return [Step("where", (one,)) for one in (value if isinstance(value, list) else [value])]


def _link(value: Any) -> list[Step]:
    if not isinstance(value, list) or not value:
        raise UsageError("link takes the names of axes that move together: [style, light].")
    groups = value if all(isinstance(group, list) for group in value) else [value]
    return [Step("linked", tuple(group)) for group in groups]


def _sample(value: Any) -> list[Step]:
    if not isinstance(value, dict):
        return [Step("sample", (value,))]
    if not {"n"} <= value.keys() <= {"n", "seed"}:
        raise UsageError("sample takes a number of points, or n and seed.")
    return [Step("sample", options=value)]


def _repeat(value: Any) -> list[Step]:
    return [Step("repeat", (value,))]


# In the order in which they apply: a sample is drawn from what the conditions leave.
_SHAPES: Final = {"link": _link, "repeat": _repeat, "where": _where, "sample": _sample}
