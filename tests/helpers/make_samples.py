"""Make decart_lab/media/samples from scikit-image's public-domain photographs.

Run it by hand when a sample changes: ``python -m tests.helpers.make_samples``.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from decart_lab.media import samples

from .clips import pan, write_clip

SIZES = {"cat": (450, 300), "coffee": (600, 400), "rocket": (640, 426)}
SOURCES = {"cat": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg"}


def main() -> None:
    """Write the photographs and the clip."""
    import skimage

    photos = Path(skimage.__file__).parent / "data"
    out = Path(samples.__file__).parent
    for name, size in SIZES.items():
        with Image.open(photos / SOURCES[name]) as photo:
            image = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        image.save(out / f"{name}.jpg", quality=88, optimize=True)
    frames = pan(out / "coffee.jpg", 640, 352, 62)
    write_clip(out / "clip.mp4", frames, fps=25, sound=True, crf=24, preset="slow")


if __name__ == "__main__":
    main()
