"""Cameras and microphones of the machine where Python runs, which need not be the browser's.

What the system calls them: video4linux and ALSA on Linux, AVFoundation on macOS, DirectShow on
Windows. A camera of the browser is not opened here.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av

from ...errors import InvalidInputError
from .base import Item, Source
from .blocks import in_blocks
from .wanted import Wanted

if TYPE_CHECKING:
    from av.container import InputContainer

_FIELD = "source"
_WAIT_S: Final = 5.0  # a device that gives nothing for so long has failed
_CAMERA = re.compile(r"camera(?::(?P<name>.+))?|(?P<path>/dev/video\d+)")
_MICROPHONE = re.compile(r"microphone(?::(?P<name>.+))?")


@dataclass(frozen=True)
class System:
    """How an operating system names its devices.

    Parameters
    ----------
    camera, microphone : str
        FFmpeg's name for the system's way to them.
    camera_name, microphone_name : str
        What a device of that number or name is called there; ``{}`` stands for it.
    first_camera, first_microphone : str
        The one that is meant when none is named.
    """

    camera: str
    camera_name: str
    first_camera: str
    microphone: str
    microphone_name: str
    first_microphone: str


SYSTEMS: Final = {
    "linux": System("v4l2", "/dev/video{}", "0", "alsa", "{}", "default"),
    "darwin": System("avfoundation", "{}:none", "0", "avfoundation", "none:{}", "0"),
    "win32": System("dshow", "video={}", "0", "dshow", "audio={}", "0"),
}


def is_camera(value: Any) -> bool:
    """Whether a camera is asked for."""
    return isinstance(value, str) and _CAMERA.fullmatch(value) is not None


def cameras() -> list[str]:
    """Return the cameras that the system lists in a folder, as Linux does; elsewhere none.

    Not every one of them need be free, or give pictures: that is known when it is opened.
    """
    return sorted(str(path) for path in Path("/dev").glob("video*") if is_camera(str(path)))


def is_microphone(value: Any) -> bool:
    """Whether a microphone is asked for."""
    return isinstance(value, str) and _MICROPHONE.fullmatch(value) is not None


def open_camera(value: str, wanted: Wanted) -> Source:
    """Return a camera as a source without sound."""
    system = _system("camera")
    asked = _CAMERA.fullmatch(value)
    assert asked is not None  # is_camera said so
    name = asked["path"] or asked["name"] or system.first_camera
    if not name.startswith("/"):
        name = system.camera_name.format(name)
    options = {
        "framerate": f"{wanted.fps:g}",
        "video_size": f"{wanted.size[0]}x{wanted.size[1]}",
    }
    return device("camera", name, system.camera, wanted, options=options)


def open_microphone(value: str, wanted: Wanted) -> Source:
    """Return a microphone as a source without pictures."""
    system = _system("microphone")
    asked = _MICROPHONE.fullmatch(value)
    assert asked is not None  # is_microphone said so
    name = system.microphone_name.format(asked["name"] or system.first_microphone)
    return device("microphone", name, system.microphone, wanted)


def device(
    kind: str,
    name: str,
    way: str,
    wanted: Wanted,
    *,
    options: dict[str, str] | None = None,
) -> Source:
    """Return an input device of FFmpeg as a live source.

    Raises
    ------
    InvalidInputError
        There is no such device, or it cannot be opened.
    """
    pictures = kind == "camera"
    # Opened once to say at once when it is not there.
    _open(kind, name, way, options or {}).close()

    def items(halt: threading.Event) -> Iterator[Item]:
        with _open(kind, name, way, options or {}) as container:
            if pictures:
                yield from _live(container.decode(video=0), halt)
            else:
                yield from _live(in_blocks(container.decode(audio=0)), halt)

    traits = wanted.traits(kind, name, has_video=pictures, has_audio=not pictures)
    return Source(traits, items)


def _live(media: Iterator[Any], halt: threading.Event) -> Iterator[Item]:
    for piece in media:
        if halt.is_set():
            return
        yield Item(None, piece)


def _open(kind: str, name: str, way: str, options: dict[str, str]) -> InputContainer:
    try:
        try:
            return av.open(name, format=way, options=options, timeout=_WAIT_S)
        except (av.FFmpegError, OSError):
            if not options:
                raise
            # Not every device knows every size and rate; its own will be made to fit.
            return av.open(name, format=way, timeout=_WAIT_S)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInputError(
            f"The {kind} {name} cannot be opened on the machine where Python runs: {reason}.",
            field=_FIELD,
            hint=_hint(kind),
        ) from error


def _hint(kind: str) -> str:
    if kind == "camera":
        there = cameras()
        found = f"There are {', '.join(there)}. " if there else ""
        return (
            f'{found}Give another, a file or "synthetic"; a camera of the browser\'s machine is '
            "not reached from here."
        )
    return (
        "Give another, or a file of sound; where PyAV does not find ALSA's settings, "
        "ALSA_CONFIG_PATH=/usr/share/alsa/alsa.conf may help."
    )


def _system(kind: str) -> System:
    system = SYSTEMS.get(sys.platform)
    if system is None:
        raise InvalidInputError(
            f"How to open a {kind} is not known on {sys.platform}.",
            field=_FIELD,
            hint='Give a file, a generator of frames or "synthetic".',
        )
    return system
