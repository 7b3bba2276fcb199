"""How large foreign media may be before it is refused. Numbers only."""

from __future__ import annotations

from typing import Final

# Just below the size at which Pillow warns of a bomb (89,478,485), so that its warning is an
# error here without touching the process-wide warning filters; 267 MB as RGB.
MAX_PICTURE_PIXELS: Final = 89_000_000
MAX_PICTURE_BYTES: Final = 256 * 2**20
MAX_CLIP_SIDE: Final = 8192
MAX_CLIP_PIXELS: Final = 8192 * 4352  # 8K with the padding of encoders
MAX_CLIP_S: Final = 30 * 60 + 60.0  # the longest documented input is 30 minutes
MAX_CLIP_FRAMES: Final = 250_000  # 30 minutes at 120 frames per second, and slack
MAX_CLIP_BYTES: Final = 4 * 2**30
MAX_ARRAY_BYTES: Final = 2**30  # what to_numpy() hands out unasked
SPOOL_IN_MEMORY_BYTES: Final = 8 * 2**20  # larger file objects go to a temporary file
