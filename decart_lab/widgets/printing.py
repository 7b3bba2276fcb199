"""How much the cells of this kernel print: a flood of it costs previews their pictures.

What belongs here: counting over the window that a Jupyter server counts by. Above a megabyte of
print, or a thousand messages, in a second it drops nearly everything a kernel sends, pictures
included, and tells nobody but the cell. What is made of that is the caller's business.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections import deque
from typing import Any, Final

WINDOW_S: Final = 3.0
"""Over how long a server counts: ``ServerApp.rate_limit_window``."""
BYTES_PER_S: Final = 1_000_000.0
"""What it lets through by default: ``ServerApp.iopub_data_rate_limit``."""
MESSAGES_PER_S: Final = 1000.0
"""And of messages: ``ServerApp.iopub_msg_rate_limit``."""


class Printing:
    """Counts what is printed; pure but for :meth:`take` and :meth:`give_back`.

    Attributes
    ----------
    flood_s : float
        When a limit was last exceeded, on the monotonic clock; minus infinity if never.
    flood : str
        What was printed then, as a sentence.

    Examples
    --------
    >>> printing = Printing()
    >>> printing.count(2_000_000, now=1.0)
    >>> printing.flood_s
    -inf
    >>> printing.count(2_000_000, now=1.1)
    >>> printing.flood_s
    1.1
    >>> printing.flood
    'A cell printed 1.3 MB in a second; above 1 MB the Jupyter server drops pictures.'
    """

    def __init__(self) -> None:
        self.flood_s = -math.inf
        self.flood = ""
        self._sent: deque[tuple[float, int]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._holders = 0
        self._streams: list[Any] = []

    def count(self, size_bytes: int, now: float) -> None:
        """Note a message of text."""
        self._sent.append((now, size_bytes))
        self._bytes += size_bytes
        while now - self._sent[0][0] > WINDOW_S:
            self._bytes -= self._sent.popleft()[1]
        rate, messages = self._bytes / WINDOW_S, len(self._sent) / WINDOW_S
        if rate > BYTES_PER_S:
            self._note(f"{rate / 1e6:.1f} MB", f"{BYTES_PER_S / 1e6:.0f} MB", now)
        elif messages > MESSAGES_PER_S:
            self._note(f"{messages:,.0f} times", f"{MESSAGES_PER_S:,.0f}", now)

    def flooded(self, now: float, within_s: float) -> bool:
        """Return whether too much was printed just now."""
        return now - self.flood_s < within_s

    def take(self) -> None:
        """Count from now on, for one who needs it; where nobody prints to a server, do nothing."""
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                self._streams = [
                    stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "pub_thread")
                ]
                for stream in self._streams:
                    _in_its_thread(stream, stream.register_hook, self._hook)

    def give_back(self) -> None:
        """Count no more, when the last one has said so."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                for stream in self._streams:
                    _in_its_thread(stream, stream.unregister_hook, self._hook)
                self._streams = []

    def _note(self, found: str, limit: str, now: float) -> None:
        self.flood_s = now
        self.flood = (
            f"A cell printed {found} in a second; above {limit} the Jupyter server drops pictures."
        )

    def _hook(self, message: Any) -> Any:
        self.count(len(message["content"]["text"]), time.monotonic())
        return message


def _in_its_thread(stream: Any, call: Any, *args: Any) -> None:
    """Call where ipykernel sends a stream's text: its hooks are those of that thread."""
    if stream.pub_thread is not None:
        stream.pub_thread.schedule(lambda: call(*args))


LESS: Final = (
    "Print less, or start Jupyter with a higher ServerApp.iopub_data_rate_limit and "
    "ServerApp.iopub_msg_rate_limit."
)
"""What to do about a flood."""
PRINTING: Final = Printing()
"""What this kernel prints."""
