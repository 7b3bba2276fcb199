"""The numbers of a session, kept as they come and handed out as DataFrames.

What belongs here: the columns and their types, which are the same for an empty, a running and an
ended session, and bounded storage. What does not: measuring (:mod:`.session`, :mod:`.peer`).
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..contract.realtime import Ended, Queued, Tick
from .events import SessionEvent

if TYPE_CHECKING:
    import pandas as pd

SECONDS_KEPT: Final = 6 * 3600
EVENTS_KEPT: Final = 10_000
FRAMES_KEPT: Final = 100_000

SECONDS: Final[dict[str, str]] = {
    "t": "Float64",  # seconds since the session began
    "at": "datetime64[us, UTC]",
    "state": "category",
    "seconds": "Float64",  # of generation, as the service counts them
    "cost": "Float64",  # USD
    "fps_in": "Float64",  # frames received a second
    "fps_out": "Float64",  # frames sent a second
    "kbps_in": "Float64",
    "kbps_out": "Float64",
    "rtt_ms": "Float64",
    "loss": "Float64",  # fraction of packets, 0 to 1
    "jitter_ms": "Float64",
    "g2g_p50_ms": "Float64",  # glass to glass: from a frame's sending to its return
    "g2g_p95_ms": "Float64",
    "marker_rate": "Float64",  # fraction of frames whose marker could be read
    "dropped_in": "Int64",
    "dropped_out": "Int64",
    "freezes": "Int64",
    "decode_ms": "Float64",
    "encode_ms": "Float64",
    "fps_drawn": "Float64",  # frames a second that a preview drew; unknown without one, as below
    "preview_lag_ms": "Float64",  # from a frame's arrival here to its drawing and back
    "mode": "string",  # how frames go to the preview
    "window": "Int64",  # frames that may be on their way to it
    "dropped_preview": "Int64",
    "prompt_id": "Int64",  # counts accepted changes; 0 is what the session began with
    "session_id": "string",
}
EVENTS: Final[dict[str, str]] = {
    "t": "Float64",
    "at": "datetime64[us, UTC]",
    "event": "category",
    "detail": "string",
    "seconds": "Float64",
    "prompt_id": "Int64",
}
FRAMES: Final[dict[str, str]] = {
    "t": "Float64",
    "timestamp_s": "Float64",  # of the sender, by RTP
    "size_bytes": "Int64",
    "key": "boolean",
    "marker": "Int64",
    "g2g_ms": "Float64",
    "prompt_id": "Int64",
}
STATES: Final = ("connecting", "connected", "generating", "reconnecting", "disconnected")


class Telemetry:
    """Rows of a session; written on its loop, read from anywhere."""

    def __init__(self) -> None:
        self._seconds: deque[Mapping[str, Any]] = deque(maxlen=SECONDS_KEPT)
        self._events: deque[tuple[Any, ...]] = deque(maxlen=EVENTS_KEPT)
        self._frames: deque[tuple[Any, ...]] = deque(maxlen=FRAMES_KEPT)
        self._lock = threading.Lock()

    def second(self, row: Mapping[str, Any]) -> None:
        """Keep the figures of one second; what is missing is unknown."""
        with self._lock:
            self._seconds.append(row)

    def latest(self) -> Mapping[str, Any]:
        """Return the figures of the last second; {} before the first."""
        with self._lock:
            return self._seconds[-1] if self._seconds else {}

    def event(self, event: SessionEvent, seconds: float, prompt_id: int) -> None:
        """Keep an event."""
        detail = _told(event.data)
        with self._lock:
            self._events.append((event.t, event.at, event.name, detail, seconds, prompt_id))

    def frame(
        self,
        t: float,
        timestamp_s: float,
        size_bytes: int,
        key: bool,
        marker: int | None,
        g2g_ms: float,
        prompt_id: int,
    ) -> None:
        """Keep what is known of one received frame."""
        with self._lock:
            self._frames.append((t, timestamp_s, size_bytes, key, marker, g2g_ms, prompt_id))

    def stats(self) -> pd.DataFrame:
        """Return one row per second."""
        with self._lock:
            rows: list[Any] = [[row.get(name) for name in SECONDS] for row in self._seconds]
        return _table(rows, SECONDS)

    def events(self) -> pd.DataFrame:
        """Return one row per event."""
        with self._lock:
            rows: list[Any] = list(self._events)
        return _table(rows, EVENTS)

    def frames(self) -> pd.DataFrame:
        """Return one row per received frame."""
        with self._lock:
            rows: list[Any] = list(self._frames)
        return _table(rows, FRAMES)


def _table(rows: list[Any], columns: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    from .events import NAMES

    kinds = {"state": STATES, "event": NAMES}
    data = {}
    for number, (name, kind) in enumerate(columns.items()):
        values = [_known(row[number]) for row in rows]
        if kind == "category":
            data[name] = pd.Series(pd.Categorical(values, categories=list(kinds[name])))
        elif kind == "string":
            data[name] = pd.Series(values, dtype=pd.StringDtype("python"))
        elif kind.startswith("datetime"):
            data[name] = pd.Series(pd.to_datetime(values, utc=True).as_unit("us"))
        else:
            data[name] = pd.Series(values, dtype=kind)
    return pd.DataFrame(data)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _told(data: object) -> str:
    match data:
        case None:
            return ""
        case Tick(seconds=seconds):
            return f"{seconds:g} s"
        case Ended(seconds=seconds, reason=reason):
            return reason if math.isnan(seconds) else f"{reason} after {seconds:g} s"
        case Queued(position=position, size=size):
            return f"{position}" if size is None else f"{position} of {size}"
        case bool():
            return "yes" if data else "no"
    return str(data)[:500]
