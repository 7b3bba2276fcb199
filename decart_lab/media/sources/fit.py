"""Making a picture of any size fit: letterboxed, yuv420p, limited range, mirrored when asked.

The colour matrix of what comes out is the one that players take when a stream does not say, as a
live one does not: BT.709 from 720 lines up, BT.601 below.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
from av.filter import Graph

_NAMES: Final = {
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    9: "bt2020",
}  # 5 and 6 are one matrix
_FULL: Final = 2


class Fit:
    """Fits pictures one after the other; the filter graph is kept while they stay alike.

    Parameters
    ----------
    size : (int, int)
        Width and height to give, both even.
    mirror : bool
        Flip left to right.

    Examples
    --------
    >>> wide = Fit((640, 352))(av.VideoFrame(200, 200, "rgb24"))
    >>> wide.width, wide.height, wide.format.name
    (640, 352, 'yuv420p')
    """

    def __init__(self, size: tuple[int, int], *, mirror: bool = False) -> None:
        self.size = size
        self.mirror = mirror
        self._graph: Graph | None = None
        self._for: tuple[object, ...] = ()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame of its own, also when nothing had to be done."""
        alike = (
            frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range
        )  # fmt: skip
        if self._graph is None or alike != self._for:
            self._graph, self._for = self._build(frame), alike
        self._graph.vpush(frame)
        return self._graph.vpull()

    def _build(self, frame: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1, 90_000),
        )
        nodes = [graph.add(name, options) for name, options in self._steps(frame)]
        graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
        return graph

    def _steps(self, frame: av.VideoFrame) -> list[tuple[str, str]]:
        width, height = self.size
        steps = []
        inner_width, inner_height = inside((frame.width, frame.height), self.size)
        wanted = _usual(height)
        # Frames that do not name their matrix, and RGB ones, are as large as they look.
        given = _NAMES.get(frame.colorspace, _usual(frame.height))
        same = (frame.width, frame.height) == self.size and frame.format.name == "yuv420p"
        if not same or given != wanted or frame.color_range == _FULL:
            scale = f"{inner_width}:{inner_height}:flags=bilinear:out_color_matrix={wanted}"
            if not frame.format.is_rgb:
                scale += f":in_color_matrix={given}"
                if frame.color_range == _FULL or frame.format.name.startswith("yuvj"):
                    scale += ":in_range=pc"
            steps += [("scale", scale + ":out_range=tv"), ("format", "yuv420p")]
        if self.mirror:
            steps.append(("hflip", ""))
        if (inner_width, inner_height) != self.size:
            left, top = (width - inner_width) // 4 * 2, (height - inner_height) // 4 * 2
            steps.append(("pad", f"{width}:{height}:{left}:{top}:black"))
        return steps or [("null", "")]


def inside(given: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """Return the largest even size of the given shape that has room; bars of 2 % are stretched.

    Examples
    --------
    >>> inside((200, 200), (640, 352)), inside((1280, 720), (640, 352))
    ((352, 352), (640, 352))
    """
    scale = min(room[0] / given[0], room[1] / given[1])
    if room[0] - given[0] * scale <= 0.025 * room[0] and (
        room[1] - given[1] * scale <= 0.025 * room[1]
    ):
        return room
    width, height = (max(2, round(side * scale / 2) * 2) for side in given)
    return min(width, room[0]), min(height, room[1])


def _usual(height: int) -> str:
    return "bt709" if height >= 720 else "bt601"
