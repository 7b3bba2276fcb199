"""Everything that can be made to go wrong with a session, and what becomes of it at the client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from decart_lab.emulator.fault_rows import FAULTS
from decart_lab.errors import DecartSDKError, SessionClosedError
from decart_lab.realtime.policy import Reconnect

from .conftest import until

ROWS = [
    (fault.name, route)
    for fault in FAULTS.values()
    if fault.hook == "session"
    for route in fault.outcomes
]
QUICK = {"wait_s": 1.0, "after_s": 0.5, "for_s": 3.0, "each_s": 0.3}


@pytest.mark.parametrize(("name", "route"), ROWS)
async def test_a_session_ends_up_where_the_fault_says(
    connect: Any, emu: Any, name: str, route: str
) -> None:
    fault = FAULTS[name]
    outcome = fault.outcomes[route]
    known = set(emu.sessions)
    quick = {key: value for key, value in QUICK.items() if key in fault.parameters}
    emu.faults.add(name, times=1, **quick)
    dialect = "websocket" if name == "socket_closed" else "http"
    if outcome.status == "refused":
        with pytest.raises(DecartSDKError) as caught:
            await connect(dialect=dialect, reconnect=False)
        assert outcome.error in [kind.__name__ for kind in type(caught.value).__mro__]
        assert set(emu.sessions) == known
        return
    session = await connect(dialect=dialect, reconnect=Reconnect(base_s=0.1))
    try:
        if outcome.status == "ended":
            await asyncio.wait_for(session.wait(), 30)
            assert isinstance(session.error, SessionClosedError)
            return
        if outcome.status == "replaced":
            await until(lambda: len(session.session_ids) == 2, 40)
        if outcome.status == "recovered" and name != "sse_cut":  # which signaling mends unseen
            await until(lambda: _recovered(session), 40)
        await until(session.is_connected, 40)
        before = session.seconds
        await until(lambda: session.seconds > before, 20)
        assert len(session.session_ids) == (2 if outcome.status == "replaced" else 1)
        if outcome.status == "unharmed":
            assert "reconnecting" not in set(session.events()["event"])
    finally:
        await session.end()
        emu.faults.clear()
    assert not [key for key in set(emu.sessions) - known if not emu.sessions[key].reason]


def _recovered(session: Any) -> bool:
    return bool({"restarted", "resumed"} & set(session.events()["event"].astype(str)))
