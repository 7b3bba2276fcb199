"""How long each step of signaling may take. Sources: wire contract, 7.2; the table of failures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Times of one session's signaling, in seconds.

    Attributes
    ----------
    open_s : float
        Opening as a whole, waiting for a machine included.
    answer_s : float
        One step of opening on a WebSocket; news of the queue starts it anew.
    prompt_s, image_s : float
        A change of the prompt alone, and one with an image.
    quiet_s : float
        Silence after which a stream counts as broken although nobody closed it.
    lost_s : float
        How long a broken stream is tried again.
    retry_s, retry_cap_s : float
        The first wait before that, which doubles up to the cap; each is drawn from its upper half.
    end_s : float
        How long the service is told of the end when it does not answer.
    """

    open_s: float = 300.0
    answer_s: float = 30.0
    prompt_s: float = 15.0
    image_s: float = 30.0
    quiet_s: float = 30.0
    lost_s: float = 35.0
    retry_s: float = 1.0
    retry_cap_s: float = 15.0
    end_s: float = 60.0
