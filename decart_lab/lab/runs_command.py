"""``decart-lab runs``: list, show, resume, pack and clear runs from a shell.

What belongs here: arguments and printed lines. What is done is done by the modules of the notebook.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .. import config
from ..display.cards import cost_words
from ..display.html import clean, plural
from ..errors import StoreError


def parser() -> argparse.ArgumentParser:
    """Return the parser of what follows ``decart-lab runs``."""
    made = argparse.ArgumentParser(
        prog="decart-lab runs",
        description="List, show, resume, pack and clear runs. Nothing is bought but by resume.",
    )
    made.add_argument(
        "--root", type=Path, help="folder of the runs; DECART_LAB_RUNS, else ./decart_runs"
    )
    words = made.add_subparsers(dest="what", metavar="WHAT")
    words.add_parser("list", help="the runs, the newest first; what is done without a word")
    one = words.add_parser("show", help="one run: where its points stand and what it cost")
    _run_argument(one)
    one = words.add_parser(
        "resume", help="go on with a run: collect what is paid, and buy what was left"
    )
    _run_argument(one)
    one.add_argument("--url", help="address of an emulator or proxy; the hosted API with a key")
    one.add_argument("--collect-only", action="store_true", help="buy nothing")
    one = words.add_parser("pack", help="write a run into one zip, with only the media it uses")
    _run_argument(one)
    one.add_argument("zip", type=Path, nargs="?", help="the file; RUN.zip by default")
    one = words.add_parser("gc", help="remove files that no point uses, from one run or all")
    one.add_argument("run", nargs="?", help="id or folder of one run")
    one.add_argument("--dry-run", action="store_true", help="only say how much it would be")
    return made


def main(arguments: list[str]) -> int:
    """Do what the arguments say and return the exit status."""
    options = parser().parse_args(arguments)
    root = (options.root or config.runs_root()).absolute()
    return WHAT[options.what or "list"](options, root)


def _run_argument(one: argparse.ArgumentParser) -> None:
    one.add_argument("run", help="id or folder of a run")


def _list(_: argparse.Namespace, root: Path) -> int:
    from .runs import facts_of, run_folders

    lines = []
    for folder in reversed(run_folders(root)):
        try:
            lines.append(_line(facts_of(folder)))
        except StoreError as error:
            lines.append(f"{clean(folder.name, 128)}  {error.message}")
    print("\n".join(lines) or f"No runs under {root}.")
    return 0


def _line(facts: dict[str, Any]) -> str:
    parts = [plural(facts["points"], "point"), f"{facts['completed']:,} completed"]
    for name, words in _WORDS.items():
        if facts[name]:
            parts.append(f"{facts[name]:,} {words}")
    parts.append(cost_words(facts["cost"]))
    return f"{clean(facts['run_id'], 128)}  {facts['state']:<10}  {', '.join(parts)}"


_WORDS: Final = {"in_doubt": "in doubt", "without_result": "without a result", "to_buy": "to buy"}


def _show(options: argparse.Namespace, root: Path) -> int:
    from .opening import look_at
    from .runs import facts_of, locate

    folder = locate(options.run, root)
    run = look_at(folder)
    print(repr(run))
    print(_line(facts_of(folder)))
    df = run.df
    for point_id, row in df[df["error_message"].notna()].head(20).iterrows():
        print(f"{point_id}  {row['status']}: {clean(row['error_message'], 200)}")
    return 0


def _resume(options: argparse.Namespace, root: Path) -> int:
    from .connect import connect
    from .opening import open_run
    from .runs import locate

    folder = locate(options.run, root)
    with connect(options.url) as lab:
        run = open_run(folder, lab=lab)
        if not options.collect_only:
            run.resume()
        run.progress()
    return 0


def _pack(options: argparse.Namespace, root: Path) -> int:
    from .opening import look_at
    from .runs import locate

    folder = locate(options.run, root)
    path = look_at(folder).pack(options.zip or Path(f"{folder.name}.zip"))
    print(f"{path} ({path.stat().st_size / 1e6:,.1f} MB)")
    return 0


def _gc(options: argparse.Namespace, root: Path) -> int:
    from .opening import look_at
    from .runs import locate, run_folders

    folders = [locate(options.run, root)] if options.run else run_folders(root)
    files = size = 0
    for folder in folders:
        try:
            cleared = look_at(folder).clear(dry_run=options.dry_run)
        except StoreError as error:
            print(f"{clean(folder.name, 128)}: {error}")
            continue
        files, size = files + cleared.files, size + cleared.size_bytes
    verb = "would be removed" if options.dry_run else "removed"
    print(f"{plural(files, 'file')} {verb}, {size / 1e6:,.1f} MB.")
    return 0


WHAT: Final[dict[str, Callable[[argparse.Namespace, Path], int]]] = {
    "list": _list,
    "show": _show,
    "resume": _resume,
    "pack": _pack,
    "gc": _gc,
}
