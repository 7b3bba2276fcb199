"""The test pattern: colours that move, with the time and the frame's number, and a tone.

FFmpeg draws it. For whoever has no clip at hand, and for measuring.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from av.filter import Graph

from .base import SOUND_BLOCK, SOUND_RATE, Item, Source
from .wanted import Wanted


def matches(value: Any) -> bool:
    """Whether the pattern is asked for."""
    return isinstance(value, str) and value == "synthetic"


def open_pattern(_: Any, wanted: Wanted) -> Source:
    """Return the pattern as a source without end."""
    rate = Fraction(wanted.fps).limit_denominator(1001)
    width, height = wanted.size

    def items(_: threading.Event) -> Iterator[Item]:
        pictures = _graph("testsrc2", f"size={width}x{height}:rate={rate}", "format", "yuv420p")
        tone = _graph(
            "sine",
            f"frequency=440:beep_factor=2:sample_rate={SOUND_RATE}:samples_per_frame={SOUND_BLOCK}",
            "aformat",
            "sample_fmts=s16:channel_layouts=stereo",
        )
        number = block = 0
        while True:
            yield Item(float(number / rate), pictures.vpull())
            number += 1
            while wanted.audio and block * SOUND_BLOCK * rate < number * SOUND_RATE:
                yield Item(block * SOUND_BLOCK / SOUND_RATE, tone.pull())
                block += 1

    return Source(wanted.traits("synthetic", "a test pattern", has_audio=wanted.audio), items)


def _graph(*steps: str) -> Graph:
    """Make a chain of filters of name, options, name, options."""
    graph = Graph()
    nodes = [
        graph.add(name, options) for name, options in zip(steps[::2], steps[1::2], strict=True)
    ]
    last = "abuffersink" if steps[0] == "sine" else "buffersink"
    graph.link_nodes(*nodes, graph.add(last)).configure()
    return graph
