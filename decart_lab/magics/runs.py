"""``%decart runs`` and ``%decart cost``: what was run here, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..config import runs_root
from ._call import Call
from ._line import Parser, count_of, name_of

if TYPE_CHECKING:
    from ..lab.runs import Spending


def parser() -> Parser:
    """Return the options of ``%decart runs``."""
    made = Parser("runs", "The runs, the newest first; or open one of them by its id.")
    made.add_argument("run", nargs="?", help="open the run of this id or folder")
    made.add_argument("-n", type=count_of, default=20, metavar="N", help="how many (default 20)")
    made.add_argument("-o", "--output", type=name_of, metavar="NAME", help="store what is returned")
    return made


def run(call: Call) -> Any:
    """Return the table of runs, or one Run; nothing is bought."""
    from ..lab.opening import open_run
    from ..lab.runs import runs_frame

    if call.options.run:
        return open_run(call.options.run)
    return runs_frame(_root()).head(call.options.n)


def values() -> list[str]:
    """Return ids of runs for completion."""
    from ..lab.runs import run_folders

    return [folder.name for folder in run_folders(_root())][-50:]


def cost_parser() -> Parser:
    """Return the options of ``%decart cost``."""
    return Parser("cost", "What the runs have cost: spent, reserved and in doubt, by model.")


def cost(_call: Call) -> Spending:
    """Return the sums; nothing is asked of the network."""
    from ..lab.runs import spending

    return spending(_root())


def _root() -> Any:
    from ..lab.connect import last_lab

    lab = last_lab()
    return lab.runs_root if lab is not None else runs_root().absolute()
