"""How the emulator marks files as simulated: in metadata, and never in the picture.

Live frames carry no metadata; what is written into them is :mod:`.corner`'s.
"""

from __future__ import annotations

from typing import Final

COMMENT: Final = "simulated by the decart-lab emulator"
PNG_TEXT: Final = {"Software": "decart-lab emulator", "Simulated": "true"}
