"""What a recording holds: its pictures counted and its times read, packet by packet.

What belongs here: files that were written as they came, whose headers say neither how long they are
nor how many pictures there are. Nothing is decoded. What is refused about an input is
:mod:`.probe`'s; a recording may be longer than an input.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .demux import demuxed_file, main_sound, main_video


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted.

    Parameters
    ----------
    seconds : float
        From the first picture to the end of the last.
    frames : int
        Pictures.
    codec : str
        Of the pictures, such as "h264"; "" when there are none.
    size : (int, int)
        Width and height in pixels.
    has_audio : bool
        Whether there is a sound track.
    """

    seconds: float = 0.0
    frames: int = 0
    codec: str = ""
    size: tuple[int, int] = (0, 0)
    has_audio: bool = False


def tally(path: Path) -> Tally:
    """Count what is in a clip, to its end or as far as it was written.

    Raises
    ------
    MediaError
        It is no clip that can be read here.
    OSError
        There is no such file, or it cannot be read.
    """
    with demuxed_file(path, name=path.name, field="path") as container:
        stream = main_video(container)
        has_audio = main_sound(container) is not None
        if stream is None or stream.time_base is None:
            return Tally(has_audio=has_audio)
        tick_s = float(stream.time_base)
        frames, times, longest = 0, [0.0, 0.0], 0.0
        for packet in container.demux(stream):
            if packet.pts is None or not packet.size:
                continue
            at, lasts = packet.pts * tick_s, (packet.duration or 0) * tick_s
            times = [at, at] if not frames else [min(times[0], at), max(times[1], at)]
            if at == times[1]:
                longest = lasts
            frames += 1
        codec = stream.codec_context.name
        return Tally(
            seconds=times[1] - times[0] + longest if frames else 0.0,
            frames=frames,
            codec={"libvpx": "vp8", "libvpx-vp9": "vp9"}.get(codec, codec),
            size=(stream.width, stream.height),
            has_audio=has_audio,
        )
