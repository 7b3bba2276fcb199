"""What can be made to go wrong with a live connection: packets that are lost, a line that is cut.

What belongs here: reaching into one connection of ours, underneath what it encrypts or sends.
When it happens is decided by the rows of :mod:`.fault_rows` and the session. aiortc and aioice
offer no hooks for this (1.16 and 0.13); only objects of the connection that is given are changed.
"""

from __future__ import annotations

import random
from typing import Any

_SEED = 20_260  # the same packets are lost in every run


class Loss:
    """Leaves out a share of the RTP packets that connections send, by a repeatable pattern.

    RTCP goes through, as on a real line mostly: it is a few packets a second. What is sent again
    because it was asked for may be lost again.

    Attributes
    ----------
    share : float
        0 to 1; may be changed at any time. The pattern begins anew with every change.
    lost : int
        Packets left out so far.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._share = 0.0
        self._dice = random.Random(_SEED)  # noqa: S311 - a pattern, no secret

    @property
    def share(self) -> float:
        """The share that is lost."""
        return self._share

    @share.setter
    def share(self, value: float) -> None:
        self._share = min(1.0, max(0.0, value))
        self._dice.seed(_SEED)

    def apply(self, connection: Any) -> None:
        """Send a connection's packets through this loss; call it once media lines are known."""
        for transport in {sender.transport for sender in connection.getSenders()}:
            send = transport._send_rtp

            async def lossy(data: bytes, send: Any = send) -> None:
                if self._share and not is_rtcp(data) and self._dice.random() < self._share:
                    self.lost += 1
                    return
                await send(data)

            transport._send_rtp = lossy


def is_rtcp(data: bytes) -> bool:
    """Tell RTCP from RTP on one port (RFC 5761, section 4).

    Examples
    --------
    >>> is_rtcp(bytes([0x80, 200])), is_rtcp(bytes([0x80, 96])), is_rtcp(bytes([0x80, 0xE0]))
    (True, False, False)
    """
    return len(data) > 1 and 192 <= data[1] <= 223


def silence(connection: Any) -> None:
    """Cut the line: nothing is sent any more and nothing heard, for good, and nobody is told."""
    for transport in {sender.transport.transport for sender in connection.getSenders()}:
        agent = transport._connection
        for protocol in agent._protocols:
            protocol.datagram_received = _deaf
            protocol.send_stun = _deaf
            protocol.send_data = _mute


def _deaf(*_: object) -> None:
    pass


async def _mute(*_: object) -> None:
    pass
