"""JPEGs of live frames: straight from the planes, never through RGB.

What belongs here: scaling a frame down and encoding it with FFmpeg's MJPEG encoder. Chroma stays
as it is subsampled; only range and matrix become what JPEG means. Files and pictures are
``image``'s business.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from fractions import Fraction
from typing import Any, Final, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

GOOD, COARSE = 5, 12
"""Quantisers, of MJPEG's 2 to 31: what looks like the picture, and a third of its bytes."""
STEPS: Final = 16
"""Sizes are so many steps, so that a view whose size changes smoothly costs few new encoders."""
_KEPT: Final = 4
_UNNAMED: Final = (0, 2)
_TICK: Final = Fraction(1, 90_000)


def fitted(width: int, height: int, box: tuple[float, float] | None) -> tuple[int, int]:
    """Return the size in which a frame is shown in a box: never enlarged, even, at least 16.

    Parameters
    ----------
    width, height : int
        Of the frame, in pixels.
    box : (float, float), optional
        Pixels there are to show it; without any, or with an empty one, the frame's own size.

    Examples
    --------
    >>> fitted(1280, 720, (640, 640)), fitted(1280, 720, (9000, 9000)), fitted(1280, 720, None)
    ((640, 360), (1280, 720), (1280, 720))
    """
    scale = 1.0
    if box is not None and box[0] > 0 and box[1] > 0:
        scale = min(1.0, box[0] / width, box[1] / height)
        scale = math.ceil(scale * STEPS) / STEPS
    return tuple(max(16, round(side * scale / 2) * 2) for side in (width, height))  # type: ignore[return-value]


class JpegEncoder:
    """Encodes frames as JPEG; one thread at a time."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()
        self._count = 0
        self._contexts: OrderedDict[tuple[int, int, int], VideoCodecContext] = OrderedDict()

    def encode(
        self, frame: av.VideoFrame, size: tuple[int, int] | None = None, *, quantiser: int = GOOD
    ) -> bytes:
        """Encode a frame.

        Parameters
        ----------
        frame : av.VideoFrame
            Any format; planar YUV is cheapest. It is left as it was.
        size : (int, int), optional
            Width and height in pixels, even; the frame's own by default.
        quantiser : int, default GOOD
            From 2, the best, to 31.

        Returns
        -------
        bytes
            A JPEG file, 4:2:0.

        Raises
        ------
        av.FFmpegError
            The frame cannot be scaled or encoded.
        """
        width, height = size or fitted(frame.width, frame.height, None)
        # JPEG means BT.601; frames that do not name their matrix are taken as players take them.
        given = frame.colorspace
        if given in _UNNAMED and not frame.format.is_rgb:
            given = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
        matrices = {"src_colorspace": given, "dst_colorspace": Colorspace.ITU601}
        picture = self._scaler.reformat(
            frame,
            width,
            height,
            "yuvj420p",
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.FAST_BILINEAR,
            **(matrices if given == Colorspace.ITU709 else {}),
        )
        context = self._ready(width, height, quantiser)
        was = picture.pts, picture.time_base
        self._count += 1  # the encoder wants times that grow, and a stream may begin anew
        picture.pts, picture.time_base = self._count, _TICK
        try:
            return b"".join(map(bytes, context.encode(picture)))
        finally:
            # It is the very frame where nothing had to change.
            picture.pts = was[0]
            if was[1] is not None:
                picture.time_base = was[1]

    def _ready(self, width: int, height: int, quantiser: int) -> VideoCodecContext:
        wanted = width, height, quantiser
        context = self._contexts.get(wanted)
        if context is None:
            context = cast(Any, av.CodecContext.create("mjpeg", "w"))
            context.width, context.height, context.pix_fmt = width, height, "yuvj420p"
            context.time_base = _TICK
            context.thread_count = 1
            context.qmin = context.qmax = quantiser
            self._contexts[wanted] = context
        self._contexts.move_to_end(wanted)
        while len(self._contexts) > _KEPT:
            self._contexts.popitem(last=False)
        return context
