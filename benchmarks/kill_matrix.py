"""1,000 kills of a 40-point sweep, and one at every named place: nothing is lost or bought twice.

``python benchmarks/kill_matrix.py [--kills N] [--jobs N] [--seed N]``; a sweep is killed again and
again, each time going on from its folder, and when it ends the emulator's ledger is asked.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from _killing import Death, Killer, Story, emulator, make_inputs, preload, scratch
from _report import RESULTS, Row, report

PER_SWEEP = 10
"""So often is one sweep killed at random times before it may come to its end."""

_killer: Killer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kill_matrix")
    parser.add_argument("--kills", type=int, default=1000, help="kills at random times")
    parser.add_argument("--jobs", type=int, default=2, help="sweeps at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "kill_matrix.json")
    return parser.parse_args()


def _placed(job: tuple[int, list[Death]]) -> Story:
    number, deaths = job
    return _killer.story(number, iter(deaths))


def _random(job: tuple[int, int]) -> Story:
    number, seed = job
    dice = random.Random(f"{seed}:{number}")
    deaths: Iterator[Death] = (_killer.at_random(dice) for _ in range(PER_SWEEP))
    return _killer.story(number, deaths)


def main() -> int:
    """Run and report."""
    global _killer
    options = _arguments()
    preload()
    stories: list[Story] = []
    with scratch() as folder, emulator() as url:
        _killer = Killer(url, folder, make_inputs(folder / "inputs"))
        _killer.learn()
        print(f"an undisturbed run takes {_killer.undisturbed_s:.2f} s", flush=True)
        began = time.monotonic()
        numbers = itertools.count(1)
        pool = multiprocessing.get_context("fork").Pool(options.jobs)
        with pool:
            dice = random.Random(options.seed)
            jobs = [(next(numbers), deaths) for deaths in _killer.at_places(dice)]
            stories += pool.imap_unordered(_placed, jobs)
            placed = sum(story.kills for story in stories)
            tasks = ((number, options.seed) for number in numbers)
            while (killed := sum(s.kills for s in stories) - placed) < options.kills:
                several = max(options.jobs, (options.kills - killed) // PER_SWEEP)
                batch = list(itertools.islice(tasks, several))
                stories += pool.imap_unordered(_random, batch)
        seconds = time.monotonic() - began
    wrong = [(s.number, why) for s in stories for why in s.wrong]
    for number, why in wrong[:20]:
        print(f"sweep {number}: {why}")
    where = Counter[str]()
    for story in stories:
        where.update(story.placed)
    kills = sum(where.values())
    resumes = [second for story in stories for second in story.resumes_s]
    asked = {death.place.partition(":")[0] for _, d in jobs for death in d if death.place}
    missed = asked - {place.partition(":")[0] for place in where}
    if missed:
        print(f"never reached: {', '.join(sorted(missed))}")
    rows = [
        Row("kills at random times", float(where["any time"]), "", options.kills, at_least=True),
        Row("named places that no kill has reached", float(len(missed)), "", 0),
        Row("violations (lost, bought twice, different)", float(len(wrong)), "", 0),
        Row("requests on their way at a kill", sum(s.on_their_way for s in stories) / kills, ""),
        Row("points in doubt at the end, a kill", sum(s.in_doubt for s in stories) / kills, ""),
        Row("points completed", float(sum(s.completed for s in stories)), ""),
        Row("a kill, with the resuming and the judging", seconds / kills, "s"),
        Row("the last child, median", statistics.median(resumes or [math.nan]), "s"),
        Row("all of it", seconds, "s"),
    ]
    return report("kill_matrix", rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
