"""How Media looks in a cell: small, escaped, without scripts, honest about what is simulated."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from decart_lab.media import samples, show
from decart_lab.media.media import Media
from tests.helpers.clips import still

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Tags(HTMLParser):
    """Collects tags and their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def html(media):
    return media._repr_mimebundle_()["text/html"]


def test_a_picture_is_shown_as_a_small_thumbnail(photo):
    text = html(Media(photo))
    image = re.search(r"data:image/webp;base64,([^\"]+)", text).group(1)
    shown = Image.open(io.BytesIO(base64.b64decode(image)))
    assert max(shown.size) <= 640
    assert len(text) < 120_000


def test_a_small_clip_plays_on_click_and_loads_nothing_before():
    text = html(Media(samples.path("clip.mp4")))
    (video,) = [attrs for tag, attrs in Tags(text).found if tag == "video"]
    assert video["preload"] == "none"
    assert "controls" in video
    assert "autoplay" not in video
    assert video["poster"].startswith("data:image/webp;base64,")
    assert video["src"].startswith("data:video/mp4;base64,")


def test_a_large_clip_beside_the_notebook_is_played_from_its_file(monkeypatch):
    monkeypatch.setattr(show, "EMBED_BYTES", 1000)
    monkeypatch.chdir(samples.path("clip.mp4").parent)
    text = html(Media(samples.path("clip.mp4")))
    tags = Tags(text).found
    (video,) = [attrs for tag, attrs in tags if tag == "video"]
    assert video["src"] == "clip.mp4"
    assert video["preload"] == "none"
    assert [attrs["href"] for tag, attrs in tags if tag == "a"] == ["clip.mp4"]
    assert len(text) < 120_000


def test_a_large_clip_that_no_server_would_serve_is_a_poster_and_a_link(monkeypatch, tmp_path):
    monkeypatch.setattr(show, "EMBED_BYTES", 1000)
    monkeypatch.chdir(tmp_path)
    tags = Tags(html(Media(samples.path("clip.mp4")))).found
    assert not [tag for tag, _ in tags if tag == "video"]
    (href,) = [attrs["href"] for tag, attrs in tags if tag == "a"]
    assert href.startswith("..")


def test_a_long_edited_clip_is_not_encoded_to_be_looked_at(monkeypatch):
    monkeypatch.setattr(show, "EDIT_S", 0.1)
    media = Media(samples.path("clip.mp4")).trim(0, 1)
    assert "save() makes the edited clip" in html(media)
    assert "edited" not in vars(media)


def test_names_and_captions_are_escaped(tmp_path):
    path = tmp_path / (EVIL.replace("/", "_") + ".png")
    path.write_bytes(still())
    text = html(Media(path, caption=EVIL))
    tags = Tags(text).found
    assert {tag for tag, _ in tags} <= {"figure", "img", "figcaption", "br", "span"}
    assert not any(key.startswith("on") for _, attrs in tags for key in attrs)


def test_a_path_never_becomes_another_kind_of_address(tmp_path, monkeypatch):
    monkeypatch.setattr(show, "EMBED_BYTES", 0)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "javascript:alert(1).mp4"
    path.write_bytes(samples.path("clip.mp4").read_bytes())
    tags = Tags(html(Media(path))).found
    links = [attrs.get("href") or attrs["src"] for tag, attrs in tags if tag in ("a", "video")]
    assert links == ["javascript%3Aalert%281%29.mp4"] * 2


def test_what_is_simulated_says_so_and_what_is_not_does_not():
    for simulated in (True, False):
        media = Media(samples.path("cat.jpg"), simulated=simulated, cost=0.05)
        bundle = media._repr_mimebundle_()
        for text in bundle.values():
            assert ("simulated" in text) == simulated
            assert "$0.05" in text


def test_the_plain_text_says_the_same():
    text = Media(samples.path("clip.mp4"))._repr_mimebundle_()["text/plain"]
    assert "640 x 352" in text
    assert "25 fps" in text
    assert "2.5 s" in text


@pytest.mark.parametrize("content", [None, b"no media"])
def test_a_file_that_is_gone_or_damaged_shows_a_sentence(tmp_path, content):
    path = tmp_path / "gone.png"
    if content is not None:
        path.write_bytes(content)
    bundle = Media(path)._repr_mimebundle_()
    assert set(bundle) == {"text/plain"}
    assert "gone.png" in bundle["text/plain"]


def test_only_what_is_asked_for_is_given():
    media = Media(samples.path("cat.jpg"))
    assert set(media._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert set(media._repr_mimebundle_(exclude={"text/plain"})) == {"text/html"}
