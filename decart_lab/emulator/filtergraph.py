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
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import av.filter
from av.filter.context import FilterContext

UNIT_HEIGHT: Final = 704  # the height at which one unit is one pixel
TIME_BASE: Final = Fraction(1, 90_000)

_PLACEHOLDER: Final = re.compile(
    r"\{(?:(?P<u>[\d.]+)u|(?P<px>[\d.]+)px|(?P<lo>-?[\d.]+)~(?P<hi>-?[\d.]+)|(?P<seed>seed))\}"
)
_LABEL: Final = re.compile(r"\[(\w+)\]")


def fill(graph: str, *, height: int, seed: int) -> str:
    """Replace the placeholders of a graph string.

    Examples
    --------
    >>> fill("gblur={2u},pixelize=w={16px}", height=352, seed=0)
    'gblur=1,pixelize=w=8'
    """
    dice = random.Random(seed)  # noqa: S311 - texture, not secrets
    unit = height / UNIT_HEIGHT

    def value(match: re.Match[str]) -> str:
        if match["u"]:
            return f"{float(match['u']) * unit:.4g}"
        if match["px"]:
            return str(max(1, round(float(match["px"]) * unit)))
        if match["seed"]:
            return str(dice.randrange(1, 1_000_000))
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
    >>> [(step.name, step.reads, step.writes) for step in parse("split[a][b];[a]negate[c];[c][b]blend")]
    [('split', ('in',), ('a', 'b')), ('negate', ('a',), ('c',)), ('blend', ('c', 'b'), ('out',))]
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
            steps.append(
                Step(name, options, tuple(reads) or (link,), tuple(writes) or (output,))
            )
            link = steps[-1].writes[0]
    return steps


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


class Pump:
    """A configured graph that frames are pushed into and pulled out of, in order.

    Parameters
    ----------
    graph : str
        Without placeholders.
    width, height : int
        Size of the frames, which are yuv420p.
    fps : Fraction
        Their rate; the presentation times that time-dependent filters see follow from it.
    side : av.VideoFrame, optional
        A still that the graph reads as ``[side]``, such as a colour table.
    threads : int
        Threads per filter. The result does not depend on it.
    """

    def __init__(
        self,
        graph: str,
        width: int,
        height: int,
        fps: Fraction,
        *,
        side: av.VideoFrame | None = None,
        threads: int = 1,
    ) -> None:
        self._tick = int(1 / fps / TIME_BASE)
        self._pushed = 0
        self._graph = av.filter.Graph()
        self._graph.threads = threads
        yuv = av.VideoFormat("yuv420p", width, height)
        self._source = self._graph.add_buffer(
            width=width, height=height, format=yuv, time_base=TIME_BASE
        )
        self._side: FilterContext | None = None
        ends: dict[str, tuple[FilterContext, int]] = {"in": (self._source, 0)}
        if side is not None:
            self._side = self._graph.add_buffer(
                width=side.width, height=side.height, format=side.format, time_base=TIME_BASE
            )
            ends["side"] = (self._side, 0)
        # A label may be read before the chain that writes it: create first, link afterwards.
        made = []
        for step in parse(graph):
            context = self._graph.add(step.name, step.options or None)
            made.append((step, context))
            ends |= {label: (context, index) for index, label in enumerate(step.writes)}
        for step, context in made:
            for index, label in enumerate(step.reads):
                source, output = ends[label]
                source.link_to(context, output, index)
        self._sink = self._graph.add("buffersink")
        shape = self._graph.add("format", "yuv420p")
        source, output = ends["out"]
        source.link_to(shape, output, 0)
        shape.link_to(self._sink)
        self._graph.configure(auto_buffer=False)
        if self._side is not None and side is not None:
            side.pts, side.time_base = 0, TIME_BASE
            self._side.push(side)
            self._side.push(None)

    def push(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Give one frame; yield those that are ready."""
        frame.pts, frame.time_base = self._pushed * self._tick, TIME_BASE
        self._pushed += 1
        self._source.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[av.VideoFrame]:
        """Say that there are no more; yield the rest."""
        self._source.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = self._sink.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            yield frame
