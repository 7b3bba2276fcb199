"""What a file is, by its first bytes, from a closed list. Names and suffixes are never believed.

Nothing is decoded here, and nothing is added to the list without its guards in probe and video.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["image", "video"]
"""What an input of a model may be."""

HEAD_BYTES: Final = 64
"""How many first bytes ``sniff`` wants to see."""


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file that is accepted.

    Parameters
    ----------
    name : str
        Short name: ``png``, ``jpeg``, ``webp``, ``mp4``, ``mov`` or ``webm``.
    mime : str
        Media type sent to the service.
    kind : {"image", "video", "sound"}
        What the file holds.
    suffix : str
        File name ending, with its dot.
    """

    name: str
    mime: str
    kind: Kind | Literal["sound"]
    suffix: str


PNG: Final = Format("png", "image/png", "image", ".png")
JPEG: Final = Format("jpeg", "image/jpeg", "image", ".jpg")
WEBP: Final = Format("webp", "image/webp", "image", ".webp")
MP4: Final = Format("mp4", "video/mp4", "video", ".mp4")
MOV: Final = Format("mov", "video/quicktime", "video", ".mov")
WEBM: Final = Format("webm", "video/webm", "video", ".webm")

MP3: Final = Format("mp3", "audio/mpeg", "sound", ".mp3")
WAV: Final = Format("wav", "audio/wav", "sound", ".wav")
FLAC: Final = Format("flac", "audio/flac", "sound", ".flac")
OGG: Final = Format("ogg", "audio/ogg", "sound", ".ogg")
M4A: Final = Format("m4a", "audio/mp4", "sound", ".m4a")

FORMATS: Final = (PNG, JPEG, WEBP, MP4, MOV, WEBM)
ACCEPTED: Final = "PNG, JPEG, WebP, MP4, MOV or WebM"

# Still pictures live in the same boxes as MP4; only their brand tells them apart.
_STILL_BRANDS: Final = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"crx ": "a Canon raw picture",
}


def sniff(head: bytes) -> Format | None:
    """Tell the format from the first bytes of a file.

    Parameters
    ----------
    head : bytes
        The first 64 bytes, or fewer when the file is shorter.

    Returns
    -------
    Format or None
        None when it is none of PNG, JPEG, WebP, MP4, MOV and WebM.

    Examples
    --------
    >>> sniff(bytes.fromhex("89504e470d0a1a0a")).mime
    'image/png'
    >>> sniff(b"#EXTM3U") is None
    True
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        # WebM is Matroska that says so; other Matroska files are not accepted.
        return WEBM if b"webm" in head else None
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _STILL_BRANDS:
            return None
        return MOV if brand == b"qt  " else MP4
    # QuickTime files of old cameras begin with the boxes themselves.
    if head[4:8] in (b"moov", b"mdat", b"wide"):
        return MOV
    return None


def sniff_sound(head: bytes) -> Format | None:
    r"""Tell the format of a file of sound alone; None when it is none of MP3, WAV, FLAC, Ogg, M4A.

    Examples
    --------
    >>> sniff_sound(b"ID3\4\0" + bytes(59)).name
    'mp3'
    >>> sniff_sound(bytes.fromhex("ffd8ffe0")) is None
    True
    """
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return WAV
    if head.startswith(b"fLaC"):
        return FLAC
    if head.startswith(b"OggS"):
        return OGG
    if head[4:8] == b"ftyp" and head[8:12] in (b"M4A ", b"M4B "):
        return M4A
    if head.startswith(b"ID3"):
        return MP3
    # An MPEG audio frame: eleven bits of sync, and a layer, which AAC's ADTS frames leave at 0.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return MP3
    return None


def looks_like(head: bytes) -> str:
    """Name what a refused file seems to be, for an error message; "" when there is no idea."""
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp":
        return _STILL_BRANDS.get(head[8:12], "")
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "AVI"
    if head.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "Matroska"
    if head.startswith(b"%PDF"):
        return "PDF"
    if head.lstrip()[:1] == b"<":
        return "HTML or XML"
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return ""
    return "text" if all(c.isprintable() or c.isspace() for c in text) else ""
