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
BLOCKED = 7
"""This prompt is refused by moderation: the picture at once, the clip as a job that fails."""

ENDS = {"completed": POINTS - 2, "rejected": 1, "failed": 1}
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
    """Import what a child needs, so that a fork is all that it costs."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # a process with threads cannot be forked safely
    import anyio._backends._asyncio  # noqa: F401
    import av  # noqa: F401
    import pandas as pd  # noqa: F401
    import PIL.Image
    import PIL.ImageOps
    import PIL.WebPImagePlugin

    import decart_lab as dl
    import decart_lab.api.client
    import decart_lab.lab.connect
    import decart_lab.lab.run
    import decart_lab.media.video
    import decart_lab.sweep.table

    PIL.Image.preinit()
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
    on_their_way: int = 0
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
        assert counts == ENDS, counts

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
                story.on_their_way += passed["send.before"] - passed["send.after"]
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
        entries = ledger(self.url)
        bought = {(e["model"], e["enhanced_prompt"]): e for e in entries}
        by_job = {e["job_id"]: e for e in entries}
        wrong = story.wrong.append
        # No two requests of all the sweeps are equal, so that a line for each is one purchase.
        twice = [n for n in Counter(e["request_sha256"] for e in entries).values() if n > 1]
        if twice:
            wrong(f"{len(twice)} requests were bought more than once")
        if len(rows) != POINTS:
            wrong(f"{len(rows)} points and not {POINTS}")
        doubts = 0
        for row, undisturbed in zip(rows, self.reference, strict=True):
            name = f"{row['model']} {row['prompt']!r}"
            if row["status"] == "in_doubt":
                doubts += 1
                continue
            if row["status"] != undisturbed["status"]:
                wrong(f"{name} is {row['status']}: {row['error_message'] or told['paused']}")
                continue
            differ = [c for c in SAME if not _equal(row[c], undisturbed[c])]
            if differ:
                wrong(f"{name} differs in {differ}")
            entry = by_job.get(row["job_id"]) or bought.get((row["model"], row["prompt"]))
            if row["status"] == "rejected":
                continue
            if entry is None or entry["job_id"] != row["job_id"]:
                wrong(f"{name} has job {row['job_id']}, which nobody bought")
            elif row["status"] == "completed":
                story.completed += 1
                if not _equal(row["cost"], entry["price"]):
                    wrong(f"{name} cost {entry['price']} and not {row['cost']}")
                media = root / row["run_id"] / row["media"]
                if not media.is_file() or media.stat().st_size != row["media_bytes"]:
                    wrong(f"{name} has no media at {media}")
        held = {row["point_id"]: row["job_id"] for row in rows}
        for ack in told["acks"]:
            if ack["job_id"] is not None and held[ack["point_id"]] != ack["job_id"]:
                wrong(f"job {ack['job_id']} was acknowledged and is lost")
        if doubts > story.in_doubt:
            wrong(f"{doubts} points are in doubt, and {story.in_doubt} had no answer at a kill")
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
    prompts = [
        f"{number}: picture {at}{' [[blocked]]' if at == BLOCKED else ''}" for at in range(PROMPTS)
    ]
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
    part.write_text(json.dumps({"rows": rows, "acks": jobs, "paused": run.paused_because}))
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
    """Return how many paid requests may have been between intent and answer when it died.

    An "ended" is the answer too, unless it is that of the one job that fails.
    """
    refused = max(0, passed["ended.after"] - 1)
    return max(0, passed["intent.before"] - passed["ack.after"] - refused)


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
