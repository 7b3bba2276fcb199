"""Stop (Ctrl-C) in a real kernel: what waits returns, and the session goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

PROMISED_S = 3.0


@pytest.fixture
def kernel() -> Iterator[Any]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def _run(client: Any, code: str) -> dict[str, Any]:
    reply = client.execute_interactive(code, timeout=60, output_hook=lambda _: None)
    return dict(reply["content"])


def test_stopping_a_cell_leaves_the_session_running(emu: Any, kernel: Any) -> None:
    manager, client = kernel
    begun = _run(
        client,
        f"""
import decart_lab as dl
lab = dl.connect({emu.url!r})
live = lab.session("lucy-2.1", "ink", size=(320, 176))
""",
    )
    assert begun["status"] == "ok"
    asked = client.execute("live.wait()")
    time.sleep(1.0)
    manager.interrupt_kernel()
    began = time.monotonic()
    while (reply := client.get_shell_msg(timeout=30))["parent_header"].get("msg_id") != asked:
        pass
    assert time.monotonic() - began < 3 * PROMISED_S
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    after = _run(client, "assert not live.over; live.set(prompt='snow'); live.end()")
    assert after["status"] == "ok", after
    assert list(emu.sessions.values())[-1].reason == "disconnect"
