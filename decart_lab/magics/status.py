"""Bare ``%decart``: where am I connected, is there a key, which model is the default."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..config import DEFAULT_BASE_URL, ENV_API_KEY, ENV_URL, resolve_api_key, runs_root
from ..display.cards import lab_card, lab_text
from ..display.shown import Shown
from ._call import Call
from ._line import Parser

if TYPE_CHECKING:
    from ..lab.lab import Lab


def parser() -> Parser:
    """Return the word's options."""
    return Parser("", "Where am I connected, is there a key, which model is the default.")


def run(_call: Call) -> Lab | Shown:
    """Return the kernel's Lab, which shows itself, or what there would be; nothing is connected."""
    # Imported when used: loading the extension need not wait for the client.
    from ..lab.connect import last_lab
    from ..lab.lab import IMAGE_MODEL, VIDEO_MODEL

    lab = last_lab()
    if lab is not None:
        return lab
    key = resolve_api_key(None) is not None
    facts = {
        "next": _target(key),
        "key": key,
        "image_model": IMAGE_MODEL,
        "video_model": VIDEO_MODEL,
        "runs": str(runs_root().absolute()),
    }
    return Shown(lab_card(facts), lab_text(facts))


def _target(key: bool) -> str:
    url = os.environ.get(ENV_URL, "").strip()
    if key:
        return f"the hosted API at {DEFAULT_BASE_URL}, and what you run is billed"
    if url:
        return f"{url}, from {ENV_URL}, because there is no {ENV_API_KEY}"
    return f"the embedded emulator, because there is no {ENV_API_KEY}; its results are simulated"
