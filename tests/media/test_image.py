"""Pictures come out upright and RGB; thumbnails are small; PNGs are the same each time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from decart_lab.errors import MediaError
from decart_lab.media import samples
from decart_lab.media.image import open_image, png_bytes, thumbnail
from tests.helpers.clips import gradient, still


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_opened_as_it_is_meant_to_be_seen(fmt, orientation):
    image = open_image(still(fmt, 64, 48, orientation))
    plain = Image.fromarray(gradient())
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    expected = plain.transpose(turns[orientation]) if orientation > 1 else plain
    assert image.size == expected.size
    assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).mean() < 8
    assert not image.info


def encoded(image, **options):
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def test_transparency_is_laid_over_white():
    image = open_image(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0))))
    assert image.getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_grey_keeps_its_range():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None, :].repeat(4, axis=0)
    image = open_image(encoded(Image.fromarray(ramp)))
    assert np.abs(np.asarray(image)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB", "I;16"])
def test_every_mode_of_png_becomes_rgb(mode):
    assert open_image(encoded(Image.new(mode, (4, 4)))).mode == "RGB"


def test_a_clip_is_not_a_picture():
    with pytest.raises(MediaError, match="is a clip"):
        open_image(samples.path("clip.mp4"), field="start")


@pytest.mark.parametrize("size", [64, 320])
def test_a_thumbnail_is_a_small_webp(photo, size):
    for source in (photo, Image.open(photo)):
        made = thumbnail(source, size)
        image = Image.open(io.BytesIO(made))
        assert (image.format, max(image.size)) == ("WEBP", size)
        assert len(made) < 40_000


def test_a_thumbnail_is_never_larger_than_its_picture():
    assert Image.open(io.BytesIO(thumbnail(still()))).size == (64, 48)


def test_a_thumbnail_leaves_the_picture_alone():
    image = Image.fromarray(gradient())
    thumbnail(image, 16)
    assert image.size == (64, 48)


def test_a_png_holds_the_text_given_and_nothing_else():
    image = open_image(samples.path("cat.jpg"))
    image.info.update(comment="private", icc_profile=b"private", dpi=(72, 72))
    first = png_bytes(image, text={"Software": "decart_lab emulator, simulated"})
    again = Image.open(io.BytesIO(first))
    assert again.info == {"Software": "decart_lab emulator, simulated"}
    assert png_bytes(image, text={"Software": "decart_lab emulator, simulated"}) == first
    assert image.info["comment"] == "private"
