"""What a file is follows from its first bytes, never from its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab.media.sniff import FORMATS, looks_like, sniff
from tests.helpers.clips import still

BOX = b"\0\0\0\x18ftyp"


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_pictures_are_told_by_their_first_bytes(name):
    assert sniff(still(name)[:64]).name == name


@pytest.mark.parametrize(
    ("brand", "name"),
    [(b"isom", "mp4"), (b"mp42", "mp4"), (b"3gp4", "mp4"), (b"qt  ", "mov")],
)
def test_clips_are_told_by_their_brand(brand, name):
    assert sniff(BOX + brand).name == name


@pytest.mark.parametrize(
    ("head", "guess"),
    [
        (BOX + b"heic", "HEIC"),
        (BOX + b"avif", "AVIF"),
        (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x23matroska", "Matroska"),
        (b"ffconcat version 1.0\nfile /etc/passwd", "text"),
        (b"#EXTM3U\n", "text"),
        (b"  <!doctype html>", "HTML or XML"),
        (b"", "an empty file"),
        (b"\x00\xff\x00\xff", ""),
    ],
)
def test_what_is_not_on_the_list_is_refused_and_named_when_it_is_known(head, guess):
    assert sniff(head) is None
    assert looks_like(head) == guess


@given(st.binary(max_size=64))
def test_any_bytes_are_one_of_the_list_or_nothing(head):
    assert sniff(head) in (*FORMATS, None)
    assert isinstance(looks_like(head), str)
