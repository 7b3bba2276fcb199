"""Record for ever, in real time, from frames encoded beforehand; says each frame it hands over.

Started by ``recording_kill.py`` and a test, with the path to record into and a codec; whoever
starts it kills it.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from decart_lab.realtime.recorder import Recorder
from tests.helpers.encoded import pictures, sound


def main(path: str, codec: str) -> None:
    video, audio = pictures(codec, 250, gop=250), sound(10.0)
    recorder = Recorder(path, input=True)
    recorder.prompt("a cat of ink")
    began = time.monotonic()
    number = 0
    while True:
        passed, at = divmod(number, len(video))
        frame = video[at]
        stamp = frame.timestamp + 900_000 * passed
        time.sleep(max(0.0, began + number / 25 - time.monotonic()))
        now = time.monotonic()
        frame = replace(frame, timestamp=stamp, arrived_s=now)
        recorder.video(frame)
        recorder.input_video(frame)
        for block in audio[2 * at : 2 * at + 2]:
            stamped = block.timestamp + 480_000 * passed
            recorder.audio(replace(block, timestamp=stamped, arrived_s=now))
        if number % 40 == 20:
            recorder.prompt(f"prompt {number}")
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
