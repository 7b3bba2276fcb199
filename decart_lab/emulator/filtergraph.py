"""Run a libavfilter graph, written in ffmpeg's own notation, on frames in memory.

What belongs here: the notation (parsing and placeholders) and the pump that moves frames through.
Which graphs there are is the business of :mod:`.looks` and :mod:`.grade`.

PyAV links filters one by one and has no parser for graph strings; keeping the strings means that a
look can be tried with ``ffmpeg -vf`` and pasted here. Placeholders make a string fit any frame:

``{2.5u}``
    2.5 units as a decimal number; one unit is 1/704 of the frame's height.
``{16px}``
    16 units as a whole number, at least 1.
``{0.9~1.1}``
    A number that the seed picks from a range.
``{seed}``
    A whole number from the seed, for the noise generators.
``{w}``, ``{h}``, ``{fps}``
    The frame's size and rate, for filters that generate pictures.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import av.filter
from av.filter.context import FilterContext

UNIT_HEIGHT: Final = 704  # the height at which one unit is one pixel
SOURCES: Final = frozenset({"color"})  # filters that read nothing
SINKS: Final = frozenset({"nullsink"})
TIME_BASE: Final = Fraction(1, 90_000)

_PLACEHOLDER: Final = re.compile(
    r"\{(?:(?P<u>[\d.]+)u|(?P<px>[\d.]+)px|(?P<lo>-?[\d.]+)~(?P<hi>-?[\d.]+)|(?P<name>[a-z]+))\}"
)
_LABEL: Final = re.compile(r"\[(\w+)\]")


def fill(graph: str, width: int, height: int, fps: Fraction, seed: int) -> str:
    """Replace the placeholders of a graph string.

    Examples
    --------
    >>> fill("gblur={2u},pixelize=w={16px},scale={w}:{h}", 640, 352, Fraction(25), seed=0)
    'gblur=1,pixelize=w=8,scale=640:352'
    """
    dice = random.Random(seed)  # noqa: S311 - texture, not secrets
    unit = height / UNIT_HEIGHT
    facts = {"w": str(width), "h": str(height), "fps": f"{fps.numerator}/{fps.denominator}"}

    def value(match: re.Match[str]) -> str:
        if match["u"]:
            return f"{float(match['u']) * unit:.4g}"
        if match["px"]:
            return str(max(1, round(float(match["px"]) * unit)))
        if match["name"]:
            return facts[match["name"]] if match["name"] in facts else str(dice.randrange(1, 10**6))
        return f"{dice.uniform(float(match['lo']), float(match['hi'])):.4f}"

    return _PLACEHOLDER.sub(value, graph)


@dataclass(frozen=True, slots=True)
class Step:
    """One filter of a graph: its name, options, and the labels it reads and writes."""

    name: str
    options: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def parse(graph: str) -> list[Step]:
    """Split a graph string into its filters, giving every unnamed link a label.

    The input is the label ``in`` and the output ``out``, as in ffmpeg.

    Examples
    --------
    >>> for step in parse("split[a][b];[a]negate[c];[c][b]blend"):
    ...     print(step.name, step.reads, step.writes)
    split ('in',) ('a', 'b')
    negate ('a',) ('c',)
    blend ('c', 'b') ('out',)
    """
    steps: list[Step] = []
    for chain in _split(graph, ";"):
        link = "in"
        parts = _split(chain, ",")
        for position, part in enumerate(parts):
            text = part.strip()
            reads: list[str] = []
            while match := _LABEL.match(text):
                reads.append(match[1])
                text = text[match.end() :]
            writes: list[str] = []
            while match := re.search(r"\[(\w+)\]$", text):
                writes.insert(0, match[1])
                text = text[: match.start()]
            name, _, options = text.partition("=")
            last = position == len(parts) - 1
            output = "out" if last else f"_{len(steps)}"
            if not reads and name not in SOURCES:
                reads = [link]
            if not writes and name not in SINKS:
                writes = [output]
            steps.append(Step(name, options, tuple(reads), tuple(writes)))
            if not writes:
                break
            link = steps[-1].writes[0]
    return steps


def compose(*parts: tuple[str, float]) -> list[Step]:
    """Put graphs behind each other, each mixed over its own input at an opacity.

    Parameters
    ----------
    *parts : (str, float)
        Graph strings, filled; and how much of their result is seen, 0 to 1.

    Examples
    --------
    >>> [step.name for step in compose(("negate", 1.0), ("hue=h=40", 0.5))]
    ['negate', 'split', 'hue', 'blend', 'null']
    """
    steps: list[Step] = []
    link = "in"
    for number, (graph, opacity) in enumerate(parts):
        names = {"in": link, "out": f"{number}", "side": "side"}
        mixed = opacity < 1
        if mixed:
            steps.append(Step("split", "", (link,), (f"{number}under", f"{number}before")))
            names |= {"in": f"{number}under", "out": f"{number}over"}
        for step in parse(graph):
            reads, writes = (
                tuple(names.get(label, f"{number}{label}") for label in labels)
                for labels in (step.reads, step.writes)
            )
            steps.append(Step(step.name, step.options, reads, writes))
        if mixed:
            both = (f"{number}over", f"{number}before")
            steps.append(Step("blend", f"all_opacity={opacity:.3f}", both, (f"{number}",)))
        link = f"{number}"
    return [*steps, Step("null", "", (link,), ("out",))]


def _split(text: str, separator: str) -> list[str]:
    """Split outside single quotes: expressions hold commas."""
    parts, current, quoted = [], "", False
    for character in text:
        if character == "'":
            quoted = not quoted
        if character == separator and not quoted:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def _hurried(step: Step) -> str:
    """Return a filter's options, made quick to configure.

    FFmpeg computes tables of 65,536 values for every ``lutyuv``, whatever the format; ours are of
    8 bits, and the rest of the table is never looked at.
    """
    if step.name != "lutyuv":
        return step.options
    rules = []
    for option in _split(step.options, ":"):
        plane, _, rule = option.partition("=")
        if "(" in rule:  # a constant costs less than the question
            rule = f"'if(gt(val,255),0,{rule.strip(chr(39))})'"
        rules.append(f"{plane}={rule}")
    return ":".join(rules)


class Pump:
    """A configured graph that frames are pushed into and pulled out of, in order.

    Parameters
    ----------
    steps : list of Step
        What :func:`parse` or :func:`compose` returned; it reads ``in`` and writes ``out``.
    width, height : int
        Size of the frames that go in.
    fps : Fraction
        Their rate; the presentation times that time-dependent filters see follow from it.
    format : str
        Their pixel format. What comes out is always yuv420p.
    side : av.VideoFrame, optional
        A still that the graph reads as ``side``, such as a colour table.
    """

    def __init__(
        self,
        steps: list[Step],
        width: int,
        height: int,
        fps: Fraction,
        *,
        format: str = "yuv420p",  # noqa: A002 - FFmpeg's and PyAV's word for it
        side: av.VideoFrame | None = None,
    ) -> None:
        self._tick = round(1 / fps / TIME_BASE)
        self._pushed = 0
        self._graph = av.filter.Graph()
        # One thread per graph: jobs run beside each other, and each gets the same bytes anywhere.
        self._graph.threads = 1
        self._source = self._graph.add_buffer(
            width=width, height=height, format=av.VideoFormat(format), time_base=TIME_BASE
        )
        ends: dict[str, tuple[FilterContext, int]] = {"in": (self._source, 0)}
        still: FilterContext | None = None
        if side is not None:
            still = self._graph.add_buffer(
                width=side.width, height=side.height, format=side.format, time_base=TIME_BASE
            )
            ends["side"] = (still, 0)
        # A label may be read before the chain that writes it: make all first, then link.
        made = [(step, self._graph.add(step.name, _hurried(step) or None)) for step in steps]
        for step, context in made:
            ends |= {label: (context, index) for index, label in enumerate(step.writes)}
        for step, context in made:
            for index, label in enumerate(step.reads):
                source, output = ends[label]
                source.link_to(context, output, index)
        shape = self._graph.add("format", "yuv420p")
        self._sink = self._graph.add("buffersink")
        source, output = ends["out"]
        source.link_to(shape, output, 0)
        shape.link_to(self._sink)
        self._graph.configure(auto_buffer=False)
        if still is not None and side is not None:
            side.pts, side.time_base = 0, TIME_BASE
            still.push(side)
            still.push(None)

    def run(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Push every frame; yield what comes out, as soon as it does."""
        for frame in frames:
            yield from self.feed(frame)
        self._source.push(None)
        yield from self._ready()

    def feed(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Push one frame, stamping it anew, and yield what comes out for it."""
        frame.pts, frame.time_base = self._pushed * self._tick, TIME_BASE
        self._pushed += 1
        self._source.push(frame)
        yield from self._ready()

    def _ready(self) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = self._sink.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            yield frame
