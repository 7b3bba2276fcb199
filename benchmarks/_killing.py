"""Sweeps that are killed, resumed and killed again until they finish, with the ledger as the judge.

One emulator lives through all of it in a process of its own. A sweep of 40 pictures and clips runs
in a child that was forked from here, with everything imported; it dies by SIGKILL at a named place
or at a random time, and another child goes on with the run's folder. When one has come to the end,
what the run's journal says is held against the emulator's ledger and against a run that nobody
disturbed.
"""

from __future__ import annotations

import json
import math
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROMPTS = 20
MODELS = ("lucy-image-2", "lucy-2.1")
POINTS = PROMPTS * len(MODELS)
WINDOW = 8
"""So many requests may be unanswered at once on each route."""

PATIENCE_S = 60.0
"""No child takes so long; one that does has hung, and that is a violation."""

SAME = (
    *("model", "model_resolved", "kind", "seed", "replicate", "status", "simulated", "currency"),
    *("cost_estimate", "cost", "mime", "width", "height", "fps", "frames", "duration_s", "codec"),
    *("input_sha256", "error_type", "http_status", "cached"),
)
"""Columns in which a disturbed run must equal an undisturbed one."""


@contextmanager
def emulator(*arguments: str) -> Iterator[str]:
    """Start an emulator as a process of its own; yields its address."""
    command = [sys.executable, "-m", "decart_lab", "emulator", "--port", "0", "--parent-pipe"]
    command += ["--render", "canned", "--speed", "200", "--capacity", "64", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def ledger(url: str) -> list[dict[str, Any]]:
    """Return every paid request."""
    with urllib.request.urlopen(f"{url}/_emulator/ledger") as answer:
        entries: list[dict[str, Any]] = json.load(answer)["entries"]
    return entries


def make_inputs(folder: Path) -> dict[str, Path]:
    """Write the smallest picture and clip that pass for media."""
    import numpy as np
    from PIL import Image

    from decart_lab.media.writer import VideoWriter

    folder.mkdir(parents=True, exist_ok=True)
    picture, clip = folder / "picture.png", folder / "clip.mp4"
    Image.linear_gradient("L").resize((64, 48)).save(picture)
    with VideoWriter(clip, 64, 48, fps=20) as writer:
        for at in range(10):
            writer.write(np.full((48, 64, 3), 20 * at, np.uint8))
    return {"lucy-image-2": picture, "lucy-2.1": clip}


def preload() -> None:
    """Import what a child needs, so that a fork is all it costs."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # a process with threads cannot be forked safely
    import av  # noqa: F401
    import pandas as pd  # noqa: F401
    import PIL.PngImagePlugin
    import PIL.WebPImagePlugin  # noqa: F401

    import decart_lab as dl
    import decart_lab.api.client
    import decart_lab.lab.connect
    import decart_lab.lab.run
    import decart_lab.media.video
    import decart_lab.sweep.table

    for name in ("open_run", "Sweep", "template"):
        getattr(dl, name)


@dataclass(frozen=True)
class Death:
    """How a child is to die: at a place, or after a time; neither lets it live."""

    place: str | None = None
    after_s: float | None = None


@dataclass
class Story:
    """What became of one sweep."""

    number: int
    kills: int = 0
    in_doubt: int = 0
    completed: int = 0
    placed: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    resumes_s: list[float] = field(default_factory=list)


class Killer:
    """Tells the stories of sweeps on one emulator.

    Parameters
    ----------
    url : str
        The emulator's address.
    folder : Path
        Where the runs go, each under a root of its own.
    inputs : dict
        Input file by model.
    """

    def __init__(self, url: str, folder: Path, inputs: dict[str, Path]) -> None:
        self.url = url
        self.folder = folder
        self.inputs = inputs
        self.reference: list[dict[str, Any]] = []
        self.undisturbed_s = 1.0
        self.places: Counter[str] = Counter()

    def learn(self) -> None:
        """Run a sweep that nobody disturbs, to compare with, and to know how long it takes."""
        began = time.monotonic()
        root = self._root(0)
        outcome, self.places = self._child(root, 0, Death())
        assert outcome == 0, (root / "failure.txt").read_text()
        self.undisturbed_s = time.monotonic() - began
        self.reference = _told(root)["rows"]
        counts = Counter(row["status"] for row in self.reference)
        assert counts == {"completed": POINTS}, counts

    def at_places(self, dice: random.Random) -> Iterator[list[Death]]:
        """Produce the deaths of one sweep for every place there is, at some passing of it.

        Places that an undisturbed run does not pass are reached by a run that was killed before.
        """
        from decart_lab.sweep._crashpoints import POINTS as PLACES

        for name in PLACES:
            count = self.places[name]
            if count:
                yield [Death(place=f"{name}:{dice.randint(1, count)}")]
            else:
                yield [self.at_random(dice), Death(place=name)]

    def at_random(self, dice: random.Random) -> Death:
        """Return a death at a random time of an undisturbed run, sooner rather than later."""
        share = dice.random() if dice.random() < 0.3 else 0.3 * dice.random()
        return Death(after_s=self.undisturbed_s * share)

    def story(self, number: int, deaths: Iterator[Death]) -> Story:
        """Kill a sweep again and again, until the deaths run out, and see it to its end."""
        story = Story(number)
        began = time.monotonic()
        root = self._root(number)
        dice = random.Random(number)
        while True:
            death = next(deaths, Death())
            started = time.monotonic()
            outcome, passed = self._child(root, number, death, again=dice.random() < 0.5)
            story.passed.update(passed)
            if outcome == -signal.SIGKILL:
                story.kills += 1
                story.placed[death.place or "any time"] += 1
                story.in_doubt += _open_posts(passed)
                continue
            if outcome == 0:
                story.resumes_s.append(time.monotonic() - started)
                break
            told = root / "failure.txt"
            why = told.read_text() if told.exists() else f"a child ended with {outcome}"
            story.wrong.append(why)
            break
        if not story.wrong:
            self._judge(story, root)
        story.seconds = time.monotonic() - began
        return story

    def _judge(self, story: Story, root: Path) -> None:
        told = _told(root)
        rows: list[dict[str, Any]] = told["rows"]
        mine = [e for e in ledger(self.url) if e["enhanced_prompt"].startswith(f"{story.number}:")]
        bought: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for entry in mine:
            bought.setdefault((entry["model"], entry["enhanced_prompt"]), []).append(entry)
        wrong = story.wrong.append
        for (model, prompt), entries in bought.items():
            if len(entries) > 1:
                wrong(f"{model} {prompt!r} was bought {len(entries)} times")
        if len(rows) != POINTS:
            wrong(f"{len(rows)} points and not {POINTS}")
        doubts = 0
        for row, model_row in zip(rows, self.reference, strict=True):
            entries = bought.get((row["model"], row["prompt"]), [])
            name = f"{row['model']} {row['prompt']!r}"
            if row["status"] == "in_doubt":
                doubts += 1
                continue
            if row["status"] != "completed":
                wrong(f"{name} is {row['status']}: {row['error_message']}")
                continue
            story.completed += 1
            if len(entries) != 1:
                wrong(f"{name} is completed and was bought {len(entries)} times")
            elif entries[0]["job_id"] != row["job_id"]:
                wrong(f"{name} has job {row['job_id']}, and the ledger {entries[0]['job_id']}")
            media = root / row["run_id"] / row["media"]
            if not media.is_file() or media.stat().st_size != row["media_bytes"]:
                wrong(f"{name} has no media at {media}")
            differ = [c for c in SAME if not _equal(row[c], model_row[c])]
            if differ:
                wrong(f"{name} differs in {differ}")
        for event in told["acks"]:
            row = next(r for r in rows if r["point_id"] == event["point_id"])
            if event["job_id"] is not None and row["job_id"] != event["job_id"]:
                wrong(f"job {event['job_id']} was acknowledged and is lost")
        if doubts > story.in_doubt:
            wrong(f"{doubts} points are in doubt, and {story.in_doubt} were in their POST")
        if doubts > 2 * WINDOW * story.kills:
            wrong(f"{doubts} points are in doubt after {story.kills} kills")
        story.in_doubt = doubts

    def _root(self, number: int) -> Path:
        root = self.folder / str(number)
        root.mkdir(parents=True)
        return root

    def _child(
        self, root: Path, number: int, death: Death, *, again: bool = False
    ) -> tuple[int, Counter[str]]:
        """Fork, let it run, kill it when its time has come; return its end and what it passed."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _live(self.url, root, number, self.inputs, death.place, write, again)
        os.close(write)
        try:
            return _end_of(child, death.after_s), _passed(read)
        finally:
            os.close(read)


def _live(
    url: str,
    root: Path,
    number: int,
    inputs: dict[str, Path],
    place: str | None,
    trace: int,
    again: bool,
) -> None:
    """Be the child: begin the sweep, or go on with it, to the end; never returns."""
    try:
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        for name in list(os.environ):
            if name.startswith("DECART_"):
                del os.environ[name]
        os.environ["DECART_LAB_RUNS"] = str(root)
        import decart_lab as dl
        from decart_lab.sweep import _crashpoints

        _crashpoints.arm(place, trace=trace)
        lab = dl.connect(url)
        journals = list(root.glob("*/journal.sqlite"))
        if journals and not again:
            run = dl.open_run(journals[0].parent)
            run.resume()
        else:
            run = begin(lab, number, inputs)
        run.wait()
        _crashpoints.arm(None)
        _tell(run, root)
    except BaseException:  # noqa: BLE001 - the parent is told, whatever it is
        (root / "failure.txt").write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def begin(lab: Any, number: int, inputs: dict[str, Path]) -> Any:
    """Start the sweep of that number, or go on with the run of an equal one."""
    prompts = [f"{number}: picture {at}" for at in range(PROMPTS)]
    sweep = lab.sweep(
        model=list(MODELS),
        prompt=prompts,
        data=list(inputs.values()),
        seed=7,
        enhance_prompt=False,
    )
    return sweep.start(concurrency=WINDOW)


def _tell(run: Any, root: Path) -> None:
    """Write down what the run's frame and events say."""
    rows = json.loads(run.df.reset_index().to_json(orient="records", date_format="iso"))
    events = run.events
    acks = events[events["kind"] == "ack"]
    jobs = [
        {"point_id": point_id, "job_id": json.loads(detail or "{}").get("job_id")}
        for point_id, detail in zip(acks["point_id"], acks["detail"], strict=True)
    ]
    part = root / "told.part"
    part.write_text(json.dumps({"rows": rows, "acks": jobs}))
    part.replace(root / "told.json")


def _told(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "told.json").read_text())
    return found


def _end_of(child: int, after_s: float | None) -> int:
    """Wait for a child, and kill it when its time has come."""
    handle = os.pidfd_open(child)
    try:
        limit = PATIENCE_S if after_s is None else after_s
        if not select.select([handle], [], [], limit)[0]:
            os.kill(child, signal.SIGKILL if after_s is not None else signal.SIGABRT)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os.close(handle)


def _passed(read: int) -> Counter[str]:
    told = b""
    while piece := os.read(read, 65_536):
        told += piece
    return Counter(told.decode().split("\n")[:-1])


def _open_posts(passed: Counter[str]) -> int:
    """Return how many paid requests may have been between intent and end when it died."""
    ended = passed["ack.after"] + passed["done.after"] + passed["ended.after"]
    return max(0, passed["intent.before"] - ended)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other) or (math.isnan(one) and math.isnan(other))
    return one == other


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; in memory where the machine has one, for speed."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="decart-lab-kill-", dir=where) as folder:
        yield Path(folder)
