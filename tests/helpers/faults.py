"""The emulator's faults as the tests strike them: on which route, with what, how patiently."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from decart_lab._wire import Timeouts
from decart_lab.emulator.fault_rows import FAULTS
from decart_lab.media import samples
from tests.helpers.big import big_picture
from tests.helpers.clips import moving, write_clip

STRUCK: Final = [
    (fault, route)
    for fault in FAULTS.values()
    if fault.hook != "session"
    for route in fault.outcomes
]
"""Every fault of a request with every route that it strikes."""

PATIENCE: Final = {
    "silence": Timeouts(read_s=0.4, process_s=0.4, call_s=3.0),
    "stalled_body": Timeouts(write_s=0.4),
}
"""Real seconds; every other fault is told apart without waiting for one of ours to run out."""


def names(struck: list[tuple]) -> list[str]:
    """What the tests of these pairs are called."""
    return [f"{fault.name}-{route}" for fault, route in struck]


def make_inputs(folder: Path) -> dict[str, Path]:
    """A picture that sockets hold as a whole, one that they do not, and a clip."""
    big = folder / "big.png"
    big.write_bytes(big_picture())
    clip = write_clip(folder / "clip.mp4", moving(10, 128, 96), fps=20)
    return {"small": samples.path("cat.jpg"), "big": big, "clip": clip}
