"""Pictures: open them upright as RGB, make thumbnails, write PNG and WebP.

The caps are taken from the header before anything is decoded (they lie below the size at which
Pillow warns of a bomb), and Pillow's plug-ins are limited to the format that the first bytes named.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import MediaError
from .demux import opened
from .probe import Probe, probe, show_name

if TYPE_CHECKING:
    from PIL import Image

_PILLOW: Final = {"png": ("PNG",), "jpeg": ("JPEG", "MPO"), "webp": ("WEBP",)}


def open_image(
    source: Path | bytes, *, field: str = "data", at_least: tuple[int, int] | None = None
) -> Image.Image:
    """Decode a picture: upright (EXIF), RGB, transparency laid over white.

    Parameters
    ----------
    source : Path or bytes
        A PNG, JPEG or WebP file, or its content.
    field : str
        The argument to name when it is refused.
    at_least : (int, int), optional
        A smaller size that would do; a JPEG is then decoded at the nearest larger eighth.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, without metadata.

    Raises
    ------
    MediaError
        It is not a picture, is damaged, or is over the caps.
    """
    found = probe(source, field=field)
    name = show_name(source) if isinstance(source, Path) else "The given content"
    if found.kind != "image":
        raise MediaError(
            f"{name} is a clip, not a picture.", field=field, hint="Give a PNG, JPEG or WebP file."
        )
    with decoding(name=name, field=field):
        return _decode(source, found, at_least)


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn a Pillow image as its EXIF says and make it RGB without metadata."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    elif image.mode.startswith(("I", "F")):
        image = _eight_bit(image)
    image = image.convert("RGB")
    image.info = {}
    return image


def thumbnail(source: Image.Image | Path | bytes, size: int = 320) -> bytes:
    """Make a small WebP of a picture, at most ``size`` pixels on its longer side.

    Parameters
    ----------
    source : PIL.Image.Image, Path or bytes
        The picture.
    size : int
        Longest side in pixels; smaller pictures are not enlarged.

    Returns
    -------
    bytes
        A WebP file.
    """
    from PIL import Image

    if isinstance(source, (Path, bytes)):
        image = open_image(source, at_least=(size, size))
    else:
        image = upright_rgb(source)
    image = image.copy()
    image.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=4)
    return out.getvalue()


def png_bytes(image: Image.Image, level: int = 1, text: Mapping[str, str] | None = None) -> bytes:
    """Encode a picture as PNG.

    Parameters
    ----------
    image : PIL.Image.Image
        The picture; its own metadata is not written.
    level : int
        zlib level, 0 to 9; 1 is several times faster than the default and a little larger.
    text : mapping, optional
        Entries to write as PNG text chunks.

    Returns
    -------
    bytes
        The same bytes for the same pixels.
    """
    from PIL import PngImagePlugin

    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        chunks.add_itxt(key, value)
    bare = image.copy()
    bare.info = {}
    out = io.BytesIO()
    bare.save(out, "PNG", compress_level=level, pnginfo=chunks)
    return out.getvalue()


@contextmanager
def decoding(*, name: str, field: str) -> Iterator[None]:
    """Turn all that Pillow may raise on foreign bytes into a MediaError."""
    try:
        yield
    except MediaError:
        raise
    except MemoryError as error:
        raise MediaError(
            f"{name} does not fit into memory.", field=field, hint="Make it smaller first."
        ) from error
    except Exception as error:
        # Plug-ins raise what their parsers happen to meet: SyntaxError, struct.error, IndexError.
        raise MediaError(
            f"{name} is damaged and cannot be decoded.",
            field=field,
            hint="Copy or download it again, or save it anew in an image editor.",
        ) from error


def _decode(source: Path | bytes, found: Probe, at_least: tuple[int, int] | None) -> Image.Image:
    from PIL import Image

    with opened(source) as file, Image.open(file, formats=_PILLOW[found.format]) as image:
        if sorted(image.size) != sorted((found.width, found.height)):
            raise ValueError("the picture has another size than its header says")
        if at_least is not None:
            image.draft("RGB", at_least)
        image.load()
        return upright_rgb(image)


def _eight_bit(image: Image.Image) -> Image.Image:
    # 16-bit greys would be clipped to white by convert().
    scaled = image.convert("F").point(lambda value: value / 257.0)
    return scaled.convert("L")
