"""What the receiver of our video says back: key frames it needs, packets it lost.

What belongs here: hearing RTCP on one sender, and the rule by which loss moves the bit rate. No
encoding. aiortc keeps both to itself (1.16): a key frame can be had from its own encoders only,
and the bit rate follows REMB, which a service need not send.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from aiortc import RTCRtpSender
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpSrPacket,
)

from .encoder import MIN_BITRATE

HIGH_LOSS: Final = 0.10
LOW_LOSS: Final = 0.02
STEP_S: Final = 0.9
"""How often the bit rate may move, in seconds; reports come about once a second."""


def listen(
    sender: RTCRtpSender, *, on_key: Callable[[], None], on_loss: Callable[[float], None]
) -> bool:
    """Hear a sender's RTCP before aiortc does; False when this aiortc has no place for it.

    Parameters
    ----------
    sender : RTCRtpSender
        One of our own; nothing but this object is changed.
    on_key : callable
        Called for every request of a key frame.
    on_loss : callable
        Called with the fraction of packets lost since the last report.
    """
    handle = getattr(sender, "_handle_rtcp_packet", None)
    if handle is None:
        return False

    async def heard(packet: Any) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
            on_key()
        elif isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == sender._ssrc:
                    on_loss(report.fraction_lost / 256)
        await handle(packet)

    sender._handle_rtcp_packet = heard  # type: ignore[method-assign]
    return True


class LossControl:
    """The bit rate that the losses allow.

    Above a tenth lost it falls by half of what was lost; below a fiftieth it grows by 8 % a
    second up to the target; between, it stays (the rule of Google's congestion control,
    draft-ietf-rmcat-gcc-02, section 6).

    Examples
    --------
    >>> control = LossControl(1_000_000, clock=iter([1.0, 2.0]).__next__)
    >>> control.report(0.2); control.bitrate
    900000
    >>> control.report(0.0); control.bitrate
    972000
    """

    def __init__(self, target: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._clock = clock
        self._moved_s = float("-inf")
        self.bitrate = target

    @property
    def target(self) -> int:
        """Bits per second where nothing is lost."""
        return self._target

    @target.setter
    def target(self, bitrate: int) -> None:
        self._target = max(MIN_BITRATE, bitrate)
        self.bitrate = self._target

    def report(self, lost: float) -> None:
        """Take in one report: the fraction lost, 0 to 1."""
        now_s = self._clock()
        if now_s - self._moved_s < STEP_S:
            return
        if lost > HIGH_LOSS:
            self.bitrate = max(MIN_BITRATE, round(self.bitrate * (1 - 0.5 * lost)))
        elif lost < LOW_LOSS:
            self.bitrate = min(self._target, round(self.bitrate * 1.08))
        else:
            return
        self._moved_s = now_s
