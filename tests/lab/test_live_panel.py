"""What the panel of a live session is told besides pictures: image, sources, and what is amiss."""

from __future__ import annotations

import io
import time

import pytest
from PIL import Image

import decart_lab as dl
from decart_lab.emulator import emulator
from decart_lab.errors import InvalidInputError
from decart_lab.media import samples
from decart_lab.widgets.budget import KERNEL
from decart_lab.widgets.printing import PRINTING
from tests.helpers.livetalk import listen, open_view, say, told
from tests.helpers.rest import eventually

SMALL = {"size": (320, 180), "fps": 15, "source": "synthetic"}
THUMB_BYTES = 20_000


@pytest.fixture(autouse=True)
def calm(monkeypatch):
    """No flood of print is remembered, neither from another test nor for one."""
    monkeypatch.setattr(PRINTING, "flood_s", float("-inf"))


@pytest.fixture
def emu():
    with emulator() as running:
        yield running


@pytest.fixture
def lab(emu):
    with dl.connect(emu.url) as made:
        yield made
        dl.stop_all()


@pytest.fixture
def live(lab):
    found = lab.live("lucy-2.1", "anime", **SMALL)
    yield found
    found.close()


def picture(colour, size=(1200, 800)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def thumbs(heard):
    """The small pictures that came, None where the page was told that there is none."""
    came = [(content, buffers) for content, buffers in heard if content.get("image_thumb")]
    return [buffers[0] if buffers else None for _, buffers in came]


def colour_of(thumb):
    with Image.open(io.BytesIO(thumb)) as small:
        assert max(small.size) <= 168
        return small.convert("RGB").getpixel((5, 5))


def is_like(found, wanted):
    return all(abs(a - b) < 12 for a, b in zip(found, wanted, strict=True))


def test_the_image_in_force_is_shown_small_wherever_it_came_from(live):
    heard = listen(live)
    say(live, "image", [picture((200, 30, 30))], id="a")
    eventually(lambda: thumbs(heard))
    live.set(image=Image.new("RGB", (900, 900), (20, 20, 220)))
    eventually(lambda: len(thumbs(heard)) == 2)
    red, blue = thumbs(heard)
    assert is_like(colour_of(red), (200, 30, 30))
    assert is_like(colour_of(blue), (20, 20, 220))
    assert max(len(red), len(blue)) < THUMB_BYTES
    say(live, "image", id="b", clear=True)
    eventually(lambda: thumbs(heard)[2:] == [None])
    assert not told(live)["has_image"]


def test_a_busy_photograph_is_small_as_well(live):
    noise = io.BytesIO()
    Image.effect_noise((1600, 1200), 120).convert("RGB").save(noise, "PNG")
    heard = listen(live)
    live.set(image=noise.getvalue())
    eventually(lambda: thumbs(heard))
    assert len(thumbs(heard)[0]) < THUMB_BYTES


def test_a_view_that_comes_later_is_told_the_image_and_the_others_are_not_told_often(lab):
    live = lab.live("lucy-2.1", image=samples.path("cat.jpg"), **SMALL)
    heard = listen(live)
    open_view(live, "v1")
    eventually(lambda: thumbs(heard))
    live.set(prompt="ink")
    eventually(lambda: told(live)["prompt"] == "ink" and not told(live)["pending"])
    before = len(thumbs(heard))
    live._desk.tell()
    assert len(thumbs(heard)) == before
    open_view(live, "v2")
    eventually(lambda: len(thumbs(heard)) > before)


def test_no_trait_holds_the_image(live):
    heard = listen(live)
    live.set(image=samples.path("cat.jpg"))
    eventually(lambda: thumbs(heard))
    assert set(live.view.get_state()) & {"image", "image_thumb", "thumb"} == set()
    assert not any(isinstance(value, bytes) for value in live.view.get_state().values())


def test_an_image_that_is_chosen_while_nothing_runs_is_shown_and_used(live):
    live.stop()
    heard = listen(live)
    say(live, "image", [picture((10, 200, 10))], id="a")
    eventually(lambda: thumbs(heard))
    assert is_like(colour_of(thumbs(heard)[0]), (10, 200, 10))
    live.start()
    assert live.session.has_image


def test_the_menu_changes_the_source_of_the_session_that_runs(live, emu):
    names = live._desk.describe()["sources"]
    assert names[:2] == ["synthetic", "sample clip.mp4"]
    say(live, "source", name="sample clip.mp4")
    eventually(lambda: told(live)["source"] == "sample clip.mp4")
    assert len(emu.sessions) == 1
    before = live.stats()["fps_out"].count()
    eventually(lambda: live.stats()["fps_out"].count() > before + 1)
    assert live.stats()["fps_out"].iloc[-1] > 5
    assert "source" in set(live.events()["event"])
    say(live, "source", name="synthetic")
    eventually(lambda: told(live)["source"] == "synthetic")


def test_python_moves_the_menu_and_adds_to_it(live, tmp_path):
    heard = listen(live)
    clip = tmp_path / "street.mp4"
    clip.write_bytes(samples.path("clip.mp4").read_bytes())
    live.set_source(clip)
    assert told(live)["source"] == "street.mp4"
    [hello] = [content for content, _ in heard if content["kind"] == "hello"]
    assert hello["sources"][-1] == "street.mp4"
    assert str(tmp_path) not in repr(heard)


def test_a_source_that_cannot_be_opened_is_told_and_the_old_one_goes_on(live, tmp_path):
    with pytest.raises(InvalidInputError):
        live.set_source(tmp_path / "nothing.mp4")
    assert told(live)["source"] == "synthetic"
    say(live, "source", name="../../etc/passwd")
    eventually(lambda: "No source is called" in told(live)["note"])
    assert told(live)["source"] == "synthetic"
    assert live.running


def test_the_browser_s_own_camera_takes_a_session_of_its_own(live):
    with pytest.raises(InvalidInputError, match=r'lab\.live\(source="camera"\)'):
        live.set_source("camera")


def test_what_is_chosen_while_nothing_runs_is_what_the_next_start_sends(live):
    live.stop()
    say(live, "source", name="sample clip.mp4")
    eventually(lambda: told(live)["source"] == "sample clip.mp4")
    live.start()
    eventually(lambda: len(live.frames()) > 5, limit_s=15)


def test_the_cell_that_is_run_again_brings_its_own_source_back(lab, emu):
    live = lab.live("lucy-2.1", name="one", **SMALL)
    live.set_source(samples.path("clip.mp4"))
    again = lab.live("lucy-2.1", name="one", **SMALL)
    assert again is live
    assert told(live)["source"] == "synthetic"
    assert len(emu.sessions) == 1


def test_a_flood_of_print_is_told_until_it_has_reached_the_page(live):
    heard = listen(live)
    for _ in range(4):
        PRINTING.count(1_000_000, time.monotonic())
    eventually(lambda: "printed 1.3 MB" in told(live)["warning"])
    said = [content for content, _ in heard if "MB" in content.get("warning", "")]
    assert "iopub_data_rate_limit" in said[0]["warning"]
    count = len(said)
    eventually(lambda: len([c for c, _ in heard if "MB" in c.get("warning", "")]) > count)
    eventually(lambda: told(live)["warning"] == "", limit_s=20)


def test_previews_that_reach_their_limit_together_are_told(live):
    def squeeze():
        KERNEL.take(2_000_000, time.monotonic())
        return "leave pictures out" in told(live)["warning"]

    before = KERNEL.refused
    eventually(squeeze, limit_s=15)
    assert KERNEL.refused > before
    eventually(lambda: told(live)["warning"] == "", limit_s=15)


def test_a_note_that_stays_hides_no_warning(live):
    live._desk.note = "Kept as take.png."
    for _ in range(4):
        PRINTING.count(1_000_000, time.monotonic())
    eventually(lambda: told(live)["warning"])
    assert told(live)["note"] == "Kept as take.png."
