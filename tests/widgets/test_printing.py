"""Printing is counted where a Jupyter server would count it, and only while somebody needs it."""

from __future__ import annotations

import queue
import sys
import time

import pytest

from decart_lab.widgets.budget import Budget
from decart_lab.widgets.printing import BYTES_PER_S, MESSAGES_PER_S, WINDOW_S, Printing


def test_as_much_as_the_server_lets_through_is_no_flood():
    printing = Printing()
    for tenth in range(100):
        printing.count(int(BYTES_PER_S * 0.09), tenth / 10)
    assert not printing.flooded(10.0, 60.0)


def test_a_flood_is_told_for_a_while():
    printing = Printing()
    for tenth in range(40):
        printing.count(int(BYTES_PER_S * 0.5), tenth / 10)
    assert printing.flooded(4.0, 1.0)
    assert "MB in a second" in printing.flood
    assert not printing.flooded(4.0 + WINDOW_S, 1.0)


def test_very_many_small_messages_are_a_flood_too():
    printing = Printing()
    for number in range(int(MESSAGES_PER_S * WINDOW_S) + 1):
        printing.count(1, number / (MESSAGES_PER_S * 2))
    assert printing.flooded(3.0, 10.0)
    assert "1,000 times" in printing.flood


class Stream:
    """As ipykernel's: text is sent in a thread, here by hand, through hooks of that thread."""

    def __init__(self) -> None:
        self.pub_thread = self
        self.due: queue.Queue[object] = queue.Queue()
        self.hooks: list[object] = []
        self.register_hook, self.unregister_hook = self.hooks.append, self.hooks.remove

    def schedule(self, call):
        self.due.put(call)

    def work(self):
        while not self.due.empty():
            self.due.get()()

    def write(self, text):
        for hook in self.hooks:
            assert hook({"content": {"text": text}}) is not None, "the text goes on"
        return len(text)

    def flush(self):
        pass


def test_cells_are_listened_to_only_as_long_as_somebody_needs_it(monkeypatch):
    stream, printing = Stream(), Printing()
    monkeypatch.setattr(sys, "stdout", stream)
    printing.take()
    printing.take()
    stream.work()
    stream.write("x" * int(BYTES_PER_S * 5))
    assert printing.flooded(time.monotonic(), 60.0)
    printing.give_back()
    stream.work()
    assert len(stream.hooks) == 1
    printing.give_back()
    stream.work()
    assert stream.hooks == []


@pytest.mark.parametrize("waits_s", [0.2, 3.0])
def test_a_budget_is_tight_when_messages_wait_again_and_again(waits_s):
    budget, now = Budget(1000.0, 100.0), 10.0
    while now < 10.0 + waits_s:
        budget.take(600, now)
        now += 0.02
    assert budget.refused > 0
    assert budget.tight(now) == (waits_s > 1.0)
    assert not budget.tight(now + 2.0)
