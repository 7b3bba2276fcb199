"""A run as a grid in one output cell."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from decart_lab.display.embedding import Embedding
from decart_lab.display.gallery import gallery_html, gallery_text, grid
from decart_lab.display.tiles import axes_of, tiles_of
from decart_lab.errors import InvalidInputError, StoreError
from decart_lab.media.image import png_bytes
from tests.helpers.markup import Page
from tests.helpers.runs import MadeRun, picture, style_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeRun:
    monkeypatch.chdir(tmp_path)
    return style_run(tmp_path)


def noise() -> bytes:
    """A picture that does not compress."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (180, 320, 3), dtype=np.uint8)
    return png_bytes(Image.fromarray(pixels))


def page_of(run: MadeRun, **options: Any) -> Page:
    page = Page(gallery_html(run.df(), run.folder_of, **options))
    assert page.faults == []
    return page


def test_pictures_and_posters_are_inline_and_small(run: MadeRun) -> None:
    page = page_of(run)
    pictures = [image["src"] for image in page.having("img")]
    assert len(pictures) == 6
    assert all(src.startswith("data:image/webp;base64,") for src in pictures)
    assert all(int(image["width"]) <= 320 for image in page.having("img"))


def test_a_small_clip_is_embedded_and_plays_on_a_click_without_script(run: MadeRun) -> None:
    (video,) = page_of(run).having("video")
    assert "controls" in video
    assert video["preload"] == "none"
    assert video["poster"].startswith("data:image/webp;base64,")
    assert video["src"].startswith("data:video/mp4;base64,")


def test_rows_and_columns_carry_the_values_of_their_axes(run: MadeRun) -> None:
    page = page_of(run, rows="light", cols="style")
    titles = [(head["scope"], head["title"]) for head in page.having("th")]
    assert titles == [("col", s) for s in ("ink", "clay", "neon", "snow")] + [
        ("row", "noon"),
        ("row", "dusk"),
    ]


def test_a_failed_point_keeps_its_place_and_says_why(run: MadeRun) -> None:
    page = page_of(run)
    assert sum(attributes.get("class") == "dl-void" for attributes in page.having("div")) == 1
    assert "failed" in page.text
    assert "Refused." in page.text


def test_money_and_simulated_are_in_sight(run: MadeRun) -> None:
    assert "$0.32" in page_of(run).text
    assert "simulated by the emulator" in page_of(run).text


def test_real_and_simulated_results_side_by_side_are_told_apart(run: MadeRun) -> None:
    run.rows[0]["simulated"] = False
    text = page_of(run).text
    assert "partly simulated by the emulator" in text
    assert text.count("· simulated") == 6


def test_an_unknown_price_is_said_and_not_counted_as_nothing(run: MadeRun) -> None:
    run.rows[0]["cost"] = None
    text = page_of(run).text
    assert "$0.30 and 1 point of unknown price" in text
    assert "cost unknown" in text


def test_a_total_of_unknown_prices_is_unknown(run: MadeRun) -> None:
    for row in run.rows:
        row["cost"] = None
    assert "$" not in page_of(run).text


def test_a_run_in_progress_shows_what_is_still_to_come(run: MadeRun) -> None:
    run.add(None, status="processing", style="ink", light="night")
    run.add(None, status="planned", style="clay", light="night")
    text = page_of(run).text
    assert "1 processing" in text
    assert "1 planned" in text


def test_an_empty_selection_is_said_in_words(run: MadeRun) -> None:
    page = Page(gallery_html(run.df().iloc[:0], run.folder_of))
    assert "There are no points to show." in page.text


def test_points_beyond_the_limit_are_counted(run: MadeRun) -> None:
    page = page_of(run, limit=2)
    assert len(page.having("figure")) == 2
    assert "6 further points not shown" in page.text


def test_the_markup_keeps_to_its_budget_and_clips_yield_to_pictures(run: MadeRun) -> None:
    """With no room for clips every picture is still there, and the clip is a link."""
    tiles = tiles_of(run.df(), run.folder_of)
    room = sum(path.stat().st_size for path in (run.folder / "thumbs").iterdir()) + 2_000
    embedding = Embedding(base=run.folder.parent, left_bytes=room)
    page = Page(grid(tiles, axes_of(list(run.df().columns)), embedding))
    assert embedding.left_bytes >= 0
    assert len(page.having("img")) == 6
    (video,) = page.having("video")
    assert video["src"] == f"run-1/{run.rows[-1]['media']}"
    assert embedding.linked == 1


def test_a_large_clip_outside_the_notebook_folder_is_a_still_with_its_name(
    run: MadeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link there could not be followed, so none is written."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    tiles = tiles_of(run.df(), run.folder_of)
    page = Page(grid(tiles, ["style", "light"], Embedding(base=elsewhere, clip_bytes=10)))
    assert page.having("video") == []
    assert page.having("a") == []
    assert Path(run.rows[-1]["media"]).name in page.text


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "/etc/hostname", "media/../../secret.png", "media\0x", "link.png", "", "."],
)
def test_a_path_in_a_cell_never_leads_out_of_the_run(run: MadeRun, path: str) -> None:
    (run.folder.parent / "secret.png").write_bytes(picture("secret"))
    (run.folder / "link.png").symlink_to(run.folder.parent / "secret.png")
    for row in run.rows:
        row["media"] = row["thumb"] = path
    tiles = tiles_of(run.df(), run.folder_of)
    assert all(tile.media is None and tile.thumb is None for tile in tiles)
    assert Page(gallery_html(run.df(), run.folder_of)).having("img") == []


@pytest.mark.parametrize(
    "content", [b"<svg onload='x'/>", b"", b"RIFF....WEBPjunk", b"\x89PNG\r\n"]
)
def test_a_file_that_is_not_what_it_says_is_not_inlined_as_it_is(
    run: MadeRun, content: bytes
) -> None:
    for path in [
        *run.folder.rglob("*.webp"),
        *run.folder.rglob("*.png"),
        *run.folder.rglob("*.mp4"),
    ]:
        path.write_bytes(content)
    page = page_of(run)
    if content[:4] != b"RIFF":  # a picture only its decoder can judge; it can do nothing
        assert page.having("img") == []
        assert "could not be read" in page.text
    assert page.having("video") == []


def test_a_run_whose_files_are_gone_still_shows_its_facts(run: MadeRun) -> None:
    shutil.rmtree(run.folder / "media")
    shutil.rmtree(run.folder / "thumbs")
    page = page_of(run)
    assert page.having("img") == []
    assert "8 points" in page.text


def test_without_a_thumbnail_one_is_made(run: MadeRun) -> None:
    shutil.rmtree(run.folder / "thumbs")
    assert len(page_of(run).having("img")) == 6


def test_a_portrait_keeps_its_shape(tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    run.add(picture("tall", size=(400, 600)))
    (image,) = Page(gallery_html(run.df(), run.folder_of)).having("img")
    assert (image["width"], image["height"]) == ("213", "320")


def test_another_frame_is_refused_with_what_to_use(run: MadeRun) -> None:
    with pytest.raises(StoreError, match=r"run\.df"):
        gallery_html(run.df().drop(columns="media"), run.folder_of)
    with pytest.raises(InvalidInputError):
        gallery_html(run.df(), run.folder_of, limit=0)


def test_a_thousand_points_stay_within_eight_megabytes(tmp_path: Path) -> None:
    """Beyond the budget for media, a point costs only the words that name it."""
    run = MadeRun(tmp_path)
    run.add(noise(), seed=0)
    run.rows += [run.rows[0] | {"point_id": f"{at:x}", "seed": at} for at in range(1, 1000)]
    markup = gallery_html(run.df(), run.folder_of, limit=1000)
    assert 7_000_000 < len(markup) < 8_000_000 + 1_000 * 1_000
    assert "not shown inline" in Page(markup).text


def test_the_text_names_each_point_and_its_file(run: MadeRun) -> None:
    text = gallery_text(run.df(), run.folder_of, most=7)
    lines = text.splitlines()
    assert lines[0].startswith("8 points, 7 completed, 1 failed, $0.32, simulated")
    assert lines[1] == f"  ink, noon: {run.folder / run.rows[0]['media']}"
    assert lines[7] == "  neon, dusk: failed Refused."
    assert lines[8] == "  and 1 further point"
