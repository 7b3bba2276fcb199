"""Thirty recordings that are killed: each must play, and lack a second at most.

A child process records in real time, H.264 and VP8 in turn, with sound and what is sent beside it,
and says the number of each picture it hands to the recorder. It dies by SIGKILL at a random moment;
the file it leaves is then decoded, and its last picture compared with the last one handed over.
"""

from __future__ import annotations

import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import av

from benchmarks._report import Row, out_argument, report
from decart_lab.media import marker
from decart_lab.media.probe import probe

KILLS = 30
CHILD = Path(__file__).with_name("_recording_child.py")
FPS = 25
PASS = 250


def numbers(path: Path) -> list[int | None]:
    with av.open(str(path)) as container:
        return [marker.read(frame) for frame in container.decode(video=0)]


def heard_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return max((frame.time or 0.0) for frame in container.decode(audio=0))


def one(folder: Path, number: int, dice: random.Random) -> tuple[float, list[str]]:
    """Record, kill, and look; return the seconds lost and what is wrong."""
    codec = ("h264", "vp8")[number % 2]
    path = folder / f"take{number}"
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(path), codec], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        child.stdout.readline()  # the first picture
        end = time.monotonic() + dice.uniform(1.0, 8.0)
        fed = 1
        while (left := end - time.monotonic()) > 0:
            if select.select([child.stdout], [], [], left)[0]:
                child.stdout.readline()
                fed += 1
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    fed += len(child.stdout.read().splitlines())
    child.stdout.close()
    made = [p for p in folder.glob(f"take{number}.*") if p.suffix in (".mp4", ".webm")]
    if len(made) != 1:
        return fed / FPS, [f"{number}: {len(made)} files"]
    wrong = []
    found = numbers(made[0])
    lost_s = (fed - len(found)) / FPS
    if found != [n % PASS for n in range(len(found))]:
        wrong.append(f"{number}: pictures are missing or out of order")
    if not probe(made[0]).has_audio or abs(heard_s(made[0]) - len(found) / FPS) > 0.7:
        wrong.append(f"{number}: the sound is not as long as the picture")
    if "WEBVTT" not in made[0].with_suffix(".vtt").read_text():
        wrong.append(f"{number}: no subtitles")
    return lost_s, wrong


def main() -> int:
    out = out_argument("recording_kill")
    dice = random.Random(20)
    lost, wrong = [], []
    with tempfile.TemporaryDirectory(prefix="decart-lab-recording-") as folder:
        for number in range(KILLS):
            lost_s, problems = one(Path(folder), number, dice)
            lost.append(lost_s)
            wrong += problems
            print(f"{number:>3} lost {lost_s:.2f} s {' '.join(problems)}", flush=True)
    lost.sort()
    return report(
        "recording_kill",
        [
            Row("recordings killed with SIGKILL", len(lost), "kills", KILLS, at_least=True),
            Row("of them wrong in any way", len(wrong), "files", 0),
            Row("most that one lacks at its end", lost[-1], "s", 1.0),
            Row("half of them lack less than", lost[len(lost) // 2], "s"),
        ],
        out,
    )


if __name__ == "__main__":
    sys.exit(main())
