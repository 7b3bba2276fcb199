"""How the emulator marks what it makes as simulated, in metadata and never in the picture."""

from __future__ import annotations

from typing import Final

COMMENT: Final = "simulated by the decart-lab emulator"
PNG_TEXT: Final = {"Software": "decart-lab emulator", "Simulated": "true"}
