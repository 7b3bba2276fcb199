"""Progress: drawn by the thread that waits, quiet without a terminal, one line at the end."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from decart_lab._clock import ManualClock
from decart_lab.display.progress import REDRAW_S, Snapshot, summary, watch


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def terminal() -> Iterator[Terminal]:
    with contextlib.redirect_stderr(Terminal()) as stream:
        yield stream


def steps(*done: int, total: int = 4) -> tuple[Callable[[], Snapshot], Callable[[float], bool]]:
    """A run that is so far at each look, and finished at the last."""
    looks: Iterator[int] = iter(done)
    left = len(done) - 1
    waited: list[float] = []

    def snapshot() -> Snapshot:
        return Snapshot(total, next(looks), running=1, cost=0.25)

    def wait(timeout_s: float) -> bool:
        waited.append(timeout_s)
        assert timeout_s >= REDRAW_S  # at most ten drawings a second
        return len(waited) == left

    return snapshot, wait


def test_the_bar_follows_the_run_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal() as stream:
        last = watch(*steps(0, 2, 4), clock=ManualClock())
    assert last.done == 4
    drawn = stream.getvalue()
    assert "2/4" in drawn
    assert "1 running, $0.25" in drawn
    assert capsys.readouterr().out == "Sweep: 4 points, 4 completed, $0.25, 0.00 s.\n"


def test_without_a_terminal_there_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    watch(*steps(0, 4), clock=ManualClock())
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1


def test_tqdm_disable_hides_the_bar_and_not_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    for name in [name for name in sys.modules if name.split(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)  # tqdm reads its environment when it is imported
    with terminal() as stream:
        watch(*steps(0, 4), clock=ManualClock())
    assert stream.getvalue() == ""
    assert "4 completed" in capsys.readouterr().out


def test_an_interrupt_goes_on_after_the_bar_is_closed_and_the_line_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(_: float) -> bool:
        raise KeyboardInterrupt

    from tqdm.auto import tqdm

    with terminal(), pytest.raises(KeyboardInterrupt) as caught:
        watch(lambda: Snapshot(3, done=1, running=2), interrupt, clock=ManualClock())
    assert "1 completed, 2 not finished, cost unknown" in capsys.readouterr().out
    assert caught.tb  # which keeps the bar alive, so that it is closed by us and not by chance
    assert not list(tqdm._instances)


def test_the_last_line_tells_what_came_of_every_point() -> None:
    now = Snapshot(10, done=7, failed=2, running=1, cost=0.1)
    assert (
        summary(now) == "Sweep: 10 points, 5 completed, 2 without a result, 3 not finished, $0.10."
    )


class Failing(Terminal):
    """A terminal that fails after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(28, "No space left on device")
        return super().write(text)


@pytest.mark.parametrize("writes", [0, 3])
def test_a_bar_that_cannot_be_drawn_is_said_once_and_the_run_goes_on(
    writes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.redirect_stderr(Failing(writes)):
        last = watch(*steps(0, 1, 2, 3, 4), clock=ManualClock())
    assert last.done == 4
    said = capsys.readouterr().out
    assert said.count("Progress cannot be drawn") == 1
    assert said.endswith("Sweep: 4 points, 4 completed, $0.25, 0.00 s.\n")
