"""The report: one file that opens offline and runs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from decart_lab.display.report import write_report
from decart_lab.errors import StoreError
from tests.helpers.markup import Page
from tests.helpers.runs import MadeRun, picture, style_run


@pytest.fixture
def run(tmp_path: Path) -> MadeRun:
    return style_run(tmp_path)


def page_of(path: Path) -> Page:
    return Page(path.read_text("utf-8").removeprefix("<!doctype html>\n"))


def test_the_page_allows_itself_nothing_but_inline_media_and_style(
    run: MadeRun, tmp_path: Path
) -> None:
    path = write_report(run.df(), run.folder_of, tmp_path / "report.html", title="Looks")
    page = page_of(path)
    assert page.faults == []
    policies = [m["content"] for m in page.having("meta") if "http-equiv" in m]
    assert policies == [
        "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
    ]
    assert page.having("a") == []
    sources = [e.get("src", "") for tag in ("img", "video") for e in page.having(tag)]
    assert len(sources) == 7
    assert all(src.startswith("data:") for src in sources)


def test_it_tells_the_whole_run(run: MadeRun, tmp_path: Path) -> None:
    run.rows[0] |= {"params": '{"enhance_prompt":false}', "model_resolved": "lucy-image-2"}
    path = write_report(run.df(), run.folder_of, tmp_path / "report.html", title="Looks")
    text = page_of(path).text
    for fact in (
        "Looks", "8 points", "7 completed", "1 failed", "$0.32", "simulated by the emulator",
        "6 pictures, 1 clip", "lucy-image-2, lucy-2.1", "How to reproduce", "ink, clay, neon, snow",
        '{"enhance_prompt":false}', "run-1", "2026-08-01", "a clay look, dusk light",
        "ModerationError",
    ):  # fmt: skip
        assert fact in text


def test_every_point_is_a_row_of_its_table(run: MadeRun, tmp_path: Path) -> None:
    page = page_of(write_report(run.df(), run.folder_of, tmp_path / "r.html"))
    heads = [text for text in page.texts if text in set(run.df().index)]
    assert heads == list(run.df().index)
    assert "http_status" not in page.texts  # a column that holds nothing


def test_a_clip_over_the_budget_is_a_still_with_its_file_name(run: MadeRun, tmp_path: Path) -> None:
    path = write_report(run.df(), run.folder_of, tmp_path / "r.html", clip_bytes=10)
    page = page_of(path)
    assert page.having("video") == []
    assert len(page.having("img")) == 7
    assert Path(run.rows[-1]["media"]).name in page.text
    assert "too large to embed" in page.text


def test_media_in_total_keep_to_their_budget(run: MadeRun, tmp_path: Path) -> None:
    large = write_report(run.df(), run.folder_of, tmp_path / "a.html").stat().st_size
    small = write_report(run.df(), run.folder_of, tmp_path / "b.html", total_bytes=0).stat().st_size
    assert small < large
    assert page_of(tmp_path / "b.html").having("img") == []


def test_an_older_report_stays_whole_until_the_new_one_is(
    run: MadeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file changes at once or not at all, and nothing is left lying about."""
    path = tmp_path / "out" / "report.html"
    path.parent.mkdir()
    path.write_text("older")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(StoreError, match="No space left"):
            write_report(run.df(), run.folder_of, path)
    assert path.read_text() == "older"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there_is_said(run: MadeRun, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(run.df(), run.folder_of, tmp_path / "no" / "report.html")


def test_a_run_without_any_result_makes_a_report_too(tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    run.add(None, error_message="Refused.")
    text = page_of(write_report(run.df(), run.folder_of, tmp_path / "r.html")).text
    assert "1 failed" in text
    assert "Refused." in text


def test_pictures_are_larger_than_in_a_notebook(tmp_path: Path) -> None:
    run = MadeRun(tmp_path)
    run.add(picture("wide", size=(1280, 704)))
    (image,) = page_of(write_report(run.df(), run.folder_of, tmp_path / "r.html")).having("img")
    assert (image["width"], image["height"]) == ("640", "352")
