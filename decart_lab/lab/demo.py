"""The demonstration behind ``decart-lab demo``: a first sweep, written as a user would write it.

Everything it does is public; what it shows can be done by hand in notebook 03.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import StoreError
from ..media import samples
from ..sweep.template import template
from .connect import connect

MODELS: Final = ("lucy-image-2", "lucy-2.1")
LOOKS: Final = ("ink drawing", "watercolour", "neon night", "heavy snow")
COLUMNS: Final = ("model", "input", "look", "status", "total_s", "cost", "simulated", "media")
SPEED: Final = 20.0
"""Emulator seconds per second: the pictures are really made, only the waiting is shortened."""


def main(argv: Sequence[str] = ()) -> int:
    """Run the demonstration and say where its files are.

    Returns
    -------
    int
        0 when every point was completed, else 1.

    Raises
    ------
    StoreError
        The folder for the report cannot be made.
    EmulatorError
        The emulator did not start.
    """
    parser = argparse.ArgumentParser(
        prog="decart-lab demo",
        description="Sweep the bundled photographs and clip over four looks, with an image and a "
        "video model, on the embedded emulator: no key, no network, no cost.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where report.html and contact_sheet.png go (default: the run's own folder)",
    )
    out = parser.parse_args(list(argv)).out
    if out is not None:
        _make_folder(out)  # before the work, not after it

    with connect("emulator", speed=SPEED) as lab:
        sweep = lab.sweep(
            model=list(MODELS),
            prompt=template("{look}", look=list(LOOKS)),
            data=[samples.path(name) for name in samples.names()],
            seed=7,
        )
        print("A grid of two models, four prompts, three photographs and a clip.")
        print("Pictures and clips each go to the model that takes them.\n")
        run = sweep.run()
        df = run.df
        print(f"\n{df[list(COLUMNS)].reset_index(drop=True).to_string(max_colwidth=28)}\n")
        folder = out or run.folder
        report = run.report(folder / "report.html")
        sheet = folder / "contact_sheet.png"
        df.decart.sheet(sheet, rows="input", cols="look")

    print(f"Report:        {report.resolve()}")
    print(f"Contact sheet: {sheet.resolve()}")
    print(f"Media:         {(run.folder / 'media').resolve()}")
    print("Open the report in a browser; notebooks/03_prompt_sweep.ipynb does this by hand.")
    return 0 if (df["status"] == "completed").all() else 1


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder {str(folder)!r} cannot be made: {error.strerror}.",
            hint="Name another with --out.",
        ) from error
