"""Make docs/gallery.png anew: ``python -m tests.helpers.make_gallery``.

It is the head of the report that a real ``decart-lab demo`` wrote, as Chromium shows it.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from decart_lab.lab.demo import main as run_demo

PICTURE = Path(__file__).parents[2] / "docs/gallery.png"
WIDTH, HEIGHT, COLOURS = 1200, 950, 256


def main() -> None:
    """Run the demonstration, open its report, and keep what is seen of it."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        run_demo(["--out", folder])
        chromium = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto((Path(folder) / "report.html").as_uri())
        # The players' controls would hide the pictures; they come with the pointer.
        page.evaluate("document.querySelectorAll('video').forEach(v => { v.controls = false })")
        grid = page.locator("table").first.bounding_box()
        seen = page.screenshot(
            clip={"x": 0, "y": 0, "width": WIDTH, "height": grid["y"] + grid["height"] + 8}
        )
        chromium.close()
    picture = Image.open(io.BytesIO(seen)).convert("RGB")
    size = (picture.width * 3 // 4, picture.height * 3 // 4)
    small = picture.resize(size, Image.Resampling.LANCZOS)
    PICTURE.parent.mkdir(exist_ok=True)
    small.quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
