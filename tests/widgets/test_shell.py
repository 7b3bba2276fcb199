"""What a kernel's shell means for a thread that sends: a real ipykernel, and a plain process."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from queue import Empty
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from decart_lab.widgets.budget import BURST_S, Budget
from decart_lab.widgets.shell import CELLS, SWITCH_S, TURNS, Route

SET_UP = """
import threading, time
from comm import create_comm
from decart_lab.realtime.hub import Hub
from decart_lab.widgets.feed import Feed
from decart_lab.widgets.shell import Route
from tests.helpers.screens import CAPS, Stream

hub, stream, route, comm = Hub(), Stream(), Route(), create_comm(target_name="test")
hub.attach(stream)
feed = Feed(hub, None, lambda content, data: comm.send(content, buffers=data), fps=20, route=route)

def take(message):
    data = message["content"]["data"]
    route.learn()
    if data["kind"] == "ready":
        feed.ready("a", CAPS)
    else:
        feed.ack(data)

def film():
    while True:
        stream.next()
        time.sleep(0.05)

comm.on_msg(take)
threading.Thread(target=film, daemon=True).start()
"""


class FrontEnd:
    """Draws what a kernel sends, and answers on a subshell, as JupyterLab does."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.comm = self.text = ""
        self.modes: list[str] = []
        client.control_channel.send(client.session.msg("create_subshell_request"))
        self.subshell: str | None = client.get_control_msg(timeout=60)["content"]["subshell_id"]

    def say(self, data: dict[str, Any]) -> None:
        message = self.client.session.msg("comm_msg", {"comm_id": self.comm, "data": data})
        if self.subshell is not None:
            message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)

    def watch(self, seconds: float = 0.0, *, until: str | None = None) -> int:
        """Draw for so long, or until a cell has ended; return how many frames came."""
        end, drawn = time.monotonic() + (seconds or 60.0), 0
        while time.monotonic() < end:
            with suppress(Empty):
                message = self.client.get_iopub_msg(timeout=0.05)
                content = message["content"]
                if message["msg_type"] == "comm_open":
                    self.comm = content["comm_id"]
                elif message["msg_type"] == "comm_msg":
                    drawn += 1
                    frame = content["data"]
                    self.modes.append(frame["mode"])
                    now = time.monotonic() * 1e3
                    rows = [[frame["v"], frame["of"], frame["i"], 0, now]]
                    self.say({"kind": "ack", "drawn": rows, "t": now})
                elif message["msg_type"] == "stream":
                    self.text += content["text"]
                elif (
                    message["parent_header"].get("msg_id") == until
                    and content.get("execution_state") == "idle"
                ):
                    return drawn
        assert until is None, "the cell did not end"
        return drawn

    def run(self, code: str) -> str:
        """Run a cell while frames are drawn; return what it printed."""
        self.text = ""
        self.watch(until=self.client.execute(textwrap.dedent(code)))
        return self.text


@pytest.fixture(scope="module")
def front_end() -> Iterator[FrontEnd]:
    manager, client = start_new_kernel(startup_timeout=60)
    try:
        front_end = FrontEnd(client)
        front_end.run(SET_UP)
        front_end.say({"kind": "ready"})
        front_end.watch(1.0)
        yield front_end
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(
    ("cell", "share"),
    [
        ("time.sleep(3)", 0.8),
        ("end = time.monotonic() + 3\nwhile time.monotonic() < end: pass", 0.6),
        ("import asyncio; await asyncio.sleep(3)", 0.8),
    ],
)
def test_frames_and_answers_go_on_while_a_cell_runs(
    front_end: FrontEnd, cell: str, share: float
) -> None:
    idle = front_end.watch(2.5)
    front_end.client.execute(cell)
    front_end.modes.clear()
    busy = front_end.watch(2.5)
    front_end.watch(1.0)
    assert busy >= share * idle
    assert "jpeg" not in front_end.modes  # it neither coasted nor probed


def test_without_subshells_answers_wait_behind_the_cell_and_it_coasts(front_end: FrontEnd) -> None:
    theirs, front_end.subshell = front_end.subshell, None  # as with commsOverSubshells: disabled
    front_end.run("feed.route = route = Route()")
    front_end.watch(1.0)
    front_end.text = ""
    front_end.modes.clear()
    cell = front_end.client.execute("time.sleep(3); print(repr(feed.counters('a').note))")
    front_end.watch(until=cell)
    assert front_end.modes.count("jpeg") >= 5
    assert "running cell" in front_end.text
    front_end.watch(3.0)
    front_end.modes.clear()
    front_end.watch(1.0)
    assert set(front_end.modes) == {"h264"}
    front_end.subshell = theirs


def test_a_feed_that_closes_leaves_no_trace_in_the_shell(front_end: FrontEnd) -> None:
    said = front_end.run(
        """
        feed.close()
        events = get_ipython().events.callbacks
        mine = [f for name in ("pre_run_cell", "post_run_cell") for f in events[name]
                if "decart_lab.widgets" in getattr(f, "__module__", "")]
        import sys
        print(mine, sys.getswitchinterval(), [t.name for t in threading.enumerate()
              if t.name == "decart-preview"])
        """
    )
    assert said.strip() == "[] 0.005 []"


def test_where_there_is_no_kernel_a_route_changes_nothing() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="none")
    route = Route()
    variable.set("learnt")
    route.learn()
    variable.set("now")
    heard: list[str] = []
    route.run(lambda: heard.append(variable.get()))
    assert heard == ["now"]
    assert not route.known
    assert CELLS.watch(print) is False
    CELLS.leave(print)


def test_turns_are_short_while_anybody_needs_it_and_then_as_before() -> None:
    before = sys.getswitchinterval()
    TURNS.take()
    TURNS.take()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    TURNS.give_back()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    TURNS.give_back()
    assert sys.getswitchinterval() == pytest.approx(before)


def test_what_somebody_else_set_meanwhile_is_left() -> None:
    before = sys.getswitchinterval()
    TURNS.take()
    try:
        sys.setswitchinterval(0.02)
        TURNS.give_back()
        assert sys.getswitchinterval() == pytest.approx(0.02)
    finally:
        sys.setswitchinterval(before)


def test_shorter_turns_than_ours_are_left() -> None:
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.0002)
        TURNS.take()
        assert sys.getswitchinterval() == pytest.approx(0.0002)
        TURNS.give_back()
        assert sys.getswitchinterval() == pytest.approx(0.0002)
    finally:
        sys.setswitchinterval(before)


def test_a_budget_lets_a_burst_go_and_then_its_rate() -> None:
    budget = Budget(bytes_per_s=1000, messages_per_s=1_000_000)
    sent = sum(budget.take(10, 100 + n / 1000) for n in range(10_000))
    assert sent * 10 == pytest.approx(1000 * (10 + BURST_S), abs=20)
    budget = Budget(bytes_per_s=1e9, messages_per_s=200)
    sent = sum(budget.take(10, 100 + n / 1000) for n in range(10_000))
    assert sent == pytest.approx(200 * (10 + BURST_S), abs=2)
