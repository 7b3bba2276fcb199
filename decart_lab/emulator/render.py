"""Turn a request into a finished picture or clip, as the models of the service would."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from ..contract.models import ModelSpec
from .filtergraph import Pump


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """What to render."""

    model: ModelSpec
    prompt: str = ""
    seed: int = 0
    data: Path | None = None
    start: Path | None = None
    end: Path | None = None
    reference: Path | None = None
    trajectory: tuple[dict[str, Any], ...] | None = None
    resolution: str = "720p"
    orientation: str = "landscape"
    mode: Literal["full", "canned"] = "full"
    job_id: str = ""
    input_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was rendered."""

    mime: str
    width: int
    height: int
    frames: int
    fps: float | None
    seconds: float | None
    size_bytes: int


def render(request: RenderRequest, out: Path) -> Rendered:
    """Render a request into a file. Blocking, deterministic, safe to call from many threads."""
    model = request.model
    width, height = model.width, model.height
    tint = f"hue=h={hash_of(request.prompt) % 360}"
    if model.kind == "image":
        picture = Image.new("RGB", (width, height), "teal")
        if request.data:
            with Image.open(request.data) as source:
                picture = ImageOps.fit(source.convert("RGB"), (width, height))
        pump = Pump(tint, width, height, Fraction(25))
        frame = av.VideoFrame.from_image(picture).reformat(format="yuv420p")
        frames = [*pump.push(frame), *pump.finish()]
        info = PngInfo()
        info.add_text("Software", "decart-lab emulator")
        info.add_text("Simulated", "true")
        frames[0].to_image().save(out, format="PNG", compress_level=1, pnginfo=info)
        return Rendered("image/png", width, height, 1, None, None, out.stat().st_size)
    pump = Pump(tint, width, height, Fraction(model.fps))
    count = 0
    with av.open(str(out), "w", format="mp4", options={"movflags": "faststart"}) as container:
        container.metadata["comment"] = "simulated by the decart-lab emulator"
        stream = container.add_stream("libx264", rate=model.fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "threads": "2"}
        seconds = model.output_s or 5.0
        still = Image.new("RGB", (width, height), "teal")
        for path in (request.data, request.start):
            if path and model.schema in ("I2V", "I2V_DEV", "FLF2V", "MOTION"):
                with Image.open(path) as source:
                    still = ImageOps.fit(source.convert("RGB"), (width, height))
        base = av.VideoFrame.from_image(still).reformat(format="yuv420p")
        if request.data and model.schema not in ("I2V", "I2V_DEV", "FLF2V", "MOTION", "T2V"):
            with av.open(str(request.data)) as clip:
                seconds = float(clip.duration or 5_000_000) / 1e6
                base = next(clip.decode(video=0)).reformat(width, height, "yuv420p")
        for index in range(max(1, round(seconds * model.fps))):
            frame = av.VideoFrame.from_ndarray(base.to_ndarray(), format="yuv420p")
            for ready in pump.push(frame):
                ready.pts, ready.time_base = index, Fraction(1, model.fps)
                container.mux(stream.encode(ready))
                count += 1
        container.mux(stream.encode(None))
    fps = float(model.fps)
    return Rendered("video/mp4", width, height, count, fps, count / fps, out.stat().st_size)


def hash_of(text: str) -> int:
    """A number from a text."""
    import hashlib

    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
