"""What becomes of a live preview when its notebook, its kernel or its page ends, on both paths.

A real JupyterLab and Chromium with a camera that is none. Each event befalls a session that draws,
several times, each time in a page and a kernel of its own. Counted are the seconds until the
emulator has closed its session (its own record, looked at fifty times a second), until no track of
the page's camera is alive (looked at in the page), and what is left after that: threads of ours in
a kernel that lives on, processes of one that died. A page that is closed takes its camera along.

Promised: five seconds each for the session and the camera, and nothing left. A notebook's tab that
is closed in JupyterLab, the page staying, may be a cell that is run again: the session is given ten
seconds to be shown again, unless the front end says at once that the notebook is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import RESULTS, Row, report

sys.path.insert(0, str(Path(__file__).parents[1]))

from decart_lab.emulator import Emulator, emulator
from tests.helpers.jupyter import CAMERA, JupyterLab, chromium, jupyterlab
from tests.helpers.livenotebook import WATCH, LiveNotebook

ENDS_S = 5.0
LIMIT_S = 45.0
"""How long an end is waited for before it counts as missed."""
PATHS = {"kernel path": "synthetic", "camera path": "camera"}

WATCH_CAMERA = """
window.tracks = [];
window.off = null;  // since when, in seconds of the epoch, no track is alive
const open = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (open) navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await open(wanted);
  window.tracks.push(...stream.getTracks());
  return stream;
};
setInterval(() => {
  const watched = window.tracks.slice(0, window.until);  // those of before the event
  const off = watched.length && watched.every((track) => track.readyState === 'ended');
  window.off = off ? (window.off ?? (performance.timeOrigin + performance.now()) / 1000) : null;
}, 20);
"""
DRAWS = """() => window.draws.length > 20 ||
  (document.querySelector('.dl-output video')?.getVideoPlaybackQuality().totalVideoFrames ?? 0) > 10
"""
CONNECT = "import decart_lab as dl, json, os, threading, time\nlab = dl.connect({url!r})"
# What an engine keeps for the next session is there before the first one.
NAMES = "json.dump([t.name for t in threading.enumerate()], open({file!r}, 'w'))"
WARM = "lab.session('lucy-2.1', source='synthetic', size=(320, 180)).end()"
LIVE = "live = lab.live({model!r}, 'anime', source={source!r}, size=(480, 270), fps=20)\nlive"
HELD = (
    "with lab.live('lucy-2.1', source={source!r}, size=(480, 270), fps=20, name='held') as live:\n"
    "    display(live)\n    time.sleep(120)"
)
KERNEL = "jupyterapp.shell.currentWidget.sessionContext"
POOLS = ("asyncio_", "ThreadPoolExecutor", "Thread-", "IPythonHistory", "subshell")
"""Threads of the kernel's own and of pools, which are kept for later."""


@dataclass
class Trial:
    """One session in a page and a kernel of its own."""

    shown: LiveNotebook
    lab: JupyterLab
    source: str
    kernel: int

    def close(self) -> None:
        """Close the widget."""
        self.shown.begin("live.close()")

    def run_again(self) -> None:
        """Run the cell again with another model."""
        again = LIVE.format(model="lucy-restyle-2", source=self.source)
        self.shown.begin(again, at=1)

    def interrupt(self) -> None:
        """Interrupt the cell whose ``with`` holds the session."""
        self.shown.page.evaluate(f"() => void {KERNEL}.session.kernel.interrupt()")

    def restart(self) -> None:
        """Restart the kernel from the front end."""
        self.shown.page.evaluate(f"() => void {KERNEL}.restartKernel()")

    def kill(self) -> None:
        """Kill the kernel."""
        os.kill(self.kernel, signal.SIGKILL)

    def close_page(self) -> None:
        """Close the browser's tab."""
        self.shown.page.close()

    def close_notebook(self) -> None:
        """Close the notebook's tab, its kernel running on."""
        self.shown.page.evaluate("() => jupyterapp.shell.currentWidget.close()")


EVENTS: dict[str, Callable[[Trial], None]] = {
    "widget closed": Trial.close,
    "cell run again": Trial.run_again,
    "cell interrupted": Trial.interrupt,
    "kernel restarted": Trial.restart,
    "kernel killed": Trial.kill,
    "browser's tab closed": Trial.close_page,
    "notebook's tab closed": Trial.close_notebook,
}


class Record:
    """When the emulator closed each session, in seconds of the epoch."""

    def __init__(self, emu: Emulator) -> None:
        self._emu = emu
        self.closed: dict[str, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def going(self) -> list[str]:
        """Return the ids of the sessions that are open."""
        return [one.id for one in list(self._emu.sessions.values()) if not one.log.closed]

    def stop(self) -> None:
        """Look no more."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            for session in list(self._emu.sessions.values()):
                if session.log.closed:
                    self.closed.setdefault(session.id, time.time())


@dataclass(frozen=True)
class Found:
    """What came of one event."""

    session_s: float
    camera_s: float
    left: Sequence[str]


def wait(holds: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Return what holds at last, or the last answer."""
    until = time.monotonic() + limit_s
    while not (answer := holds()) and time.monotonic() < until:
        time.sleep(0.05)
    return answer


def names(shown: LiveNotebook, file: Path) -> list[str]:
    """Return the names of the kernel's threads."""
    file.unlink(missing_ok=True)

    def told() -> str:
        shown.run(NAMES.format(file=str(file)))  # again, since an interrupt takes cells along
        return str(wait(lambda: file.exists() and file.read_text(), 2.0) or "")

    found: list[str] = json.loads(wait(told))
    return found


def new_threads(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return which of ours there are more of than before."""
    kept = list(before)
    left = []
    for name in after:
        if name in kept:
            kept.remove(name)
        elif not name.startswith(POOLS):
            left.append(name)
    return left


def children(parent: int) -> set[int]:
    """Return the processes that a process has begun, and theirs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {parent}
    while more := {pid for pid, up in parents.items() if up in found} - found:
        found |= more
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def trial(
    browser: Any, lab: JupyterLab, emu: Emulator, record: Record, what: str, path: str
) -> Found:
    """Open a session, let the event happen, and see what becomes of it."""
    source, name = PATHS[path], f"ends{time.monotonic_ns()}.ipynb"
    held = what == "cell interrupted"
    live = "pass" if held else LIVE.format(model="lucy-2.1", source=source)
    file = lab.folder / "threads.json"
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH_CAMERA)
    try:
        first = "\n".join((CONNECT.format(url=emu.url), WARM, NAMES.format(file=str(file))))
        shown = LiveNotebook(page, lab, name, first, live, "print(os.getpid())")
        before = json.loads(file.read_text())
        kernel = int(shown.outputs[2]["outputs"][0]["text"])
        if held:
            shown.begin(HELD.format(source=source))
        page.wait_for_function(DRAWS, timeout=60_000)
        time.sleep(2.0)
        [session] = record.going()
        family = children(kernel)
        page.evaluate("jupyterapp.shell.currentWidget.context.save()")
        page.evaluate("window.until = window.tracks.length")
        began = time.time()
        EVENTS[what](Trial(shown, lab, source, kernel))
        wait(lambda: session in record.closed)
        session_s = record.closed.get(session, float("nan")) - began
        camera_s = float("nan")
        if path == "camera path" and not page.is_closed():
            off = wait(lambda: page.evaluate("window.off"))
            camera_s = (off or float("nan")) - began
        if what in ("kernel restarted", "kernel killed"):
            wait(lambda: not any(map(alive, family)), 10.0)
            left = [f"process {pid}" for pid in family if alive(pid)]
        else:
            left = threads_left(context, lab, shown, name, file, before, what)
        return Found(session_s, camera_s, left)
    finally:
        context.close()
        shut_down(lab)
        wait(lambda: not record.going(), 60.0)


def threads_left(
    context: Any, lab: JupyterLab, shown: LiveNotebook, name: str, file: Path,
    before: Sequence[str], what: str,
) -> list[str]:  # fmt: skip
    """Return the threads that are left in a kernel that lives on."""
    if what == "cell run again":
        shown.run("live.close()")
    if "tab closed" in what:  # the notebook is opened anew, by its running kernel
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(f"{lab.url}/lab/tree/{name}?token={lab.token}&reset")
        page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.content?.model?.cells")
        page.evaluate(f"{KERNEL}.ready")
        shown.page = page
    left: list[str] = []

    def none_left() -> bool:
        left[:] = new_threads(before, names(shown, file))
        return not left

    wait(none_left, 10.0)
    return left


def shut_down(lab: JupyterLab) -> None:
    """End every kernel of the server."""
    headers = {"Authorization": f"token {lab.token}"}
    listing = urllib.request.Request(f"{lab.url}/api/kernels", headers=headers)
    with urllib.request.urlopen(listing, timeout=10) as answer:
        kernels = json.load(answer)
    for kernel in kernels:
        end = urllib.request.Request(
            f"{lab.url}/api/kernels/{kernel['id']}", headers=headers, method="DELETE"
        )
        with contextlib.suppress(OSError):
            urllib.request.urlopen(end, timeout=30).close()


def rows_of(path: str, what: str, found: Sequence[Found]) -> Iterator[Row]:
    """Tell the worst of all trials."""
    target = None if what == "notebook's tab closed" else ENDS_S
    yield Row(f"{path}, {what}: session over", worst(f.session_s for f in found), "s", target)
    if path == "camera path" and what != "browser's tab closed":
        yield Row(f"{path}, {what}: camera off", worst(f.camera_s for f in found), "s", target)
    left = sorted({name for f in found for name in f.left})
    if left:
        print(f"left: {left}")
    yield Row(f"{path}, {what}: left", max(len(f.left) for f in found), "threads", 0)


def worst(values: Iterator[float]) -> float:
    """Return the largest; an end that never came is worse than any."""
    found = list(values)
    return float("nan") if any(value != value for value in found) else max(found)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "preview_ends.json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="a part of an event's name")
    parser.add_argument("--path", default="", help="a part of a path's name")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, emulator() as emu, chromium(CAMERA) as browser:
        files, home = Path(folder, "files"), Path(folder, "home")
        files.mkdir()
        home.mkdir()
        record = Record(emu)
        with jupyterlab(files, home) as lab:
            for path in (one for one in PATHS if options.path in one):
                for what in (event for event in EVENTS if options.only in event):
                    found = []
                    for _ in range(options.rounds):
                        found.append(trial(browser, lab, emu, record, what, path))
                        print(path, what, found[-1], flush=True)
                    rows += rows_of(path, what, found)
        record.stop()
    rows.insert(0, Row("times that each event befell a session", options.rounds, "times"))
    return report("preview_ends", rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
