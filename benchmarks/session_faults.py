"""Two hundred faults forced upon live sessions: none may hang, none may be left behind.

Sessions of both dialects run four at a time against an emulator in a process of its own; each meets
one fault, drawn with a seed. Promised: every one of them ends up connected and counting again, or
ended with a named error, within a minute; and when all are over, no session runs at the emulator.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from _report import RESULTS, Row, report
from live_session import emulator

AT_ONCE = 4
PATIENCE_S = 60.0
FAULTS = {
    "http": (
        *("ice_drop", "ice_restart", "ice_restart_fails", "sse_cut", "etag_storm"),
        *("frozen_media", "packet_loss", "session_ended", "session_unavailable"),
    ),
    "websocket": ("ice_drop", "frozen_media", "packet_loss", "socket_closed", "session_ended"),
}


class Trials:
    """Runs sessions and counts how they end up."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.dice = random.Random(seed)
        self.found: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._arming = asyncio.Lock()

    async def one(self, client: Any, gate: asyncio.Semaphore) -> None:
        async with gate:
            dialect = self.dice.choice(list(FAULTS))
            fault = self.dice.choice(FAULTS[dialect])
            began = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self.found[await self._meet(client, dialect, fault)] += 1
            except TimeoutError:
                self.found["hung"] += 1
                print(f"hung: {fault} over {dialect}")
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    async def _meet(self, client: Any, dialect: str, fault: str) -> str:
        from decart_lab.errors import DecartSDKError
        from decart_lab.realtime.policy import Reconnect

        async with self._arming:  # so that a fault strikes the session that it is meant for
            async with httpx.AsyncClient(base_url=self.url) as control:
                answer = await control.post("/_emulator/faults", json={"fault": fault, "times": 1})
                answer.raise_for_status()
            try:
                session = await client.realtime.connect(
                    "synthetic",
                    model="lucy-2.1",
                    prompt="ink",
                    size=(320, 176),
                    dialect=dialect,
                    reconnect=Reconnect(base_s=0.2),
                )
            except DecartSDKError as error:
                return f"named error: {type(error).__name__}"
        try:
            await asyncio.sleep(3)  # the fault strikes after one
            return await self._settled(session)
        finally:
            await session.end()

    async def _settled(self, session: Any) -> str:
        while not session.over:
            before = session.seconds
            if session.is_connected():
                await asyncio.sleep(2.2)
                if session.seconds > before and session.is_connected():
                    return "connected and counting"
            await asyncio.sleep(0.2)
        return f"named error: {type(session.error).__name__}" if session.error else "no reason"


async def run(url: str, count: int, seed: int) -> list[Row]:
    from decart_lab import DecartClient

    trials = Trials(url, seed)
    async with DecartClient(
        api_key="emulator", base_url=url, realtime_base_url=url.replace("http", "ws")
    ) as client:
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(trials.one(client, gate) for _ in range(count)))
        quota = await client.realtime.quota()
    print(dict(trials.found))
    named = sum(n for word, n in trials.found.items() if word.startswith("named error"))
    return [
        Row("faults forced", count, "faults"),
        Row("sessions that hung", trials.found["hung"], "sessions", 0),
        Row("ended without a named error", trials.found["no reason"], "sessions", 0),
        Row("connected and counting again", trials.found["connected and counting"], "sessions"),
        Row("ended with a named error", named, "sessions"),
        Row("sessions left at the emulator", float(quota.active or 0), "sessions", 0),
        Row("the slowest of them", trials.slowest_s, "s"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "session_faults.json")
    options = parser.parse_args()
    with emulator() as url:
        rows = asyncio.run(run(url, options.faults, options.seed))
    return report("session_faults", rows, options.out)


if __name__ == "__main__":
    sys.exit(main())
