"""A finished run made by hand: real pictures and clips in a run folder, and its DataFrame.

For tests of what is shown, which need neither an emulator nor an engine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from decart_lab.media.image import png_bytes, thumbnail
from decart_lab.media.probe import probe
from decart_lab.media.writer import VideoWriter
from decart_lab.sweep.table import to_frame

COLOURS = {"ink": "#26303a", "clay": "#b5653d", "neon": "#c51fb0", "snow": "#dfe8ee"}


class MadeRun:
    """A run folder that grows by one point at a time."""

    def __init__(self, root: Path, run_id: str = "run-1") -> None:
        self.folder = root / run_id
        self.folder.mkdir(parents=True)
        self.run_id = run_id
        self.rows: list[dict[str, Any]] = []
        self.axes: dict[str, Any] = {}

    def folder_of(self, run_id: str) -> Path:
        assert run_id == self.run_id
        return self.folder

    def add(self, content: bytes | None, suffix: str = ".png", **facts: Any) -> None:
        """Add a point; with content it is completed, without it has failed unless told."""
        row: dict[str, Any] = {
            "point_id": f"{len(self.rows):016x}",
            "run_id": self.run_id,
            "model": "lucy-image-2",
            "kind": "image",
            "status": "failed",
            "prompt": "a kite",
            "replicate": 0,
            "currency": "USD",
            "price_version": "2026-08-01",
        }
        if content is not None:
            digest = hashlib.sha256(content).hexdigest()
            media = self._store(f"media/{digest[:2]}/{digest}{suffix}", content)
            found = probe(media)
            thumb = content_thumb(media) if found.kind == "image" else None
            row |= {
                "status": "completed",
                "kind": found.kind,
                "media": str(media.relative_to(self.folder)),
                "media_bytes": len(content),
                "media_sha256": digest,
                "mime": found.mime,
                "width": found.width,
                "height": found.height,
                "fps": found.fps,
                "frames": found.frames,
                "duration_s": found.duration_s,
                "cost": 0.02,
                "total_s": 0.4182,
                "simulated": True,
            }
            if thumb is not None:
                stored = self._store(f"thumbs/{digest}.webp", thumb)
                row["thumb"] = str(stored.relative_to(self.folder))
        self.rows.append(row | facts)
        for name, value in facts.items():
            if name not in to_frame([]).columns:
                self.axes[name] = "Int64" if isinstance(value, int) else "string"

    def _store(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def df(self, axes: Mapping[str, Any] | None = None) -> Any:
        return to_frame(self.rows, axes or self.axes)


def content_thumb(path: Path) -> bytes:
    return thumbnail(path, 320)


def picture(text: str, size: tuple[int, int] = (320, 180), colour: str = "#3a6ea5") -> bytes:
    """A small picture with a word on it."""
    image = Image.new("RGB", size, colour)
    ImageDraw.Draw(image).text((10, 10), text[:20].encode("latin-1", "replace").decode("latin-1"))
    return png_bytes(image)


def clip(path: Path, frames: int = 6, size: tuple[int, int] = (160, 96)) -> bytes:
    """A short clip of a moving square."""
    import numpy as np

    with VideoWriter(path, *size, fps=24) as writer:
        for at in range(frames):
            frame = np.full((size[1], size[0], 3), 40, np.uint8)
            frame[20:60, 8 * at : 8 * at + 40] = (220, 120, 40)
            writer.write(frame)
    return path.read_bytes()


def style_run(root: Path) -> MadeRun:
    """Two lights by four styles; one point failed, one is a clip."""
    run = MadeRun(root)
    for light in ("noon", "dusk"):
        for style, colour in COLOURS.items():
            facts = {"style": style, "light": light, "prompt": f"a {style} look, {light} light"}
            if (style, light) == ("neon", "dusk"):
                run.add(None, error_type="ModerationError", error_message="Refused.", **facts)
            elif (style, light) == ("snow", "dusk"):
                film = clip(root / "clip.mp4")
                run.add(film, ".mp4", model="lucy-2.1", cost=0.2, total_s=6.25, **facts)
            else:
                run.add(picture(f"{style} {light}", colour=colour), **facts)
    return run
