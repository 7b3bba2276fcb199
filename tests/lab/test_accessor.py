"""df.decart: a run's DataFrame shows and exports itself."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from decart_lab.errors import InvalidInputError, StoreError
from decart_lab.lab import accessor, folders
from tests.helpers.markup import Page
from tests.helpers.runs import MadeRun, style_run


@pytest.fixture
def run(tmp_path: Path) -> MadeRun:
    """A run that lies where its id says."""
    accessor.register()
    return style_run(folders.runs_root())


def test_the_gallery_finds_the_files_through_the_run_id(run: MadeRun) -> None:
    shown = run.df().decart.gallery(rows="light", cols="style")
    assert len(Page(shown.html).having("img")) == 6
    bundle = shown._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/html"] == shown.html
    assert "8 points" in bundle["text/plain"] == repr(shown)


def test_any_selection_of_rows_works(run: MadeRun) -> None:
    df = run.df()
    shown = df[df["style"] == "ink"].sort_values("light").decart.gallery()
    assert len(Page(shown.html).having("figure")) == 2


def test_a_run_of_this_process_is_found_wherever_it_lies(tmp_path: Path) -> None:
    elsewhere = style_run(tmp_path / "elsewhere")
    folders.remember("run-1", elsewhere.folder)
    try:
        assert folders.folder_of("run-1") == elsewhere.folder
    finally:
        folders._known.clear()
    assert folders.folder_of("run-1") == folders.runs_root().absolute() / "run-1"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", "a..b", "a\\b", "a\n", "x" * 200])
def test_an_id_that_could_name_another_folder_is_refused(name: str) -> None:
    with pytest.raises(StoreError):
        folders.folder_of(name)


def test_another_frame_has_no_accessor() -> None:
    """pandas asks for AttributeError, so that hasattr works."""
    accessor.register()
    assert not hasattr(pd.DataFrame({"a": [1]}), "decart")
    with pytest.raises(AttributeError, match="run_id"):
        pd.DataFrame({"a": [1]}).decart  # noqa: B018


def test_registering_twice_is_quiet(recwarn: pytest.WarningsRecorder) -> None:
    accessor.register()
    accessor.register()
    assert not recwarn.list


def test_a_point_gives_its_media_with_what_is_known(run: MadeRun) -> None:
    run.rows[0] |= {"job_id": "job-1"}
    df = run.df()
    media = df.decart.media(df.index[0])
    assert (media.kind, media.simulated, media.job_id, media.cost) == ("image", True, "job-1", 0.02)
    assert media.path == run.folder / run.rows[0]["media"]


def test_a_point_without_a_result_says_why(run: MadeRun) -> None:
    df = run.df()
    failed = df.index[df["status"] == "failed"][0]
    with pytest.raises(StoreError, match=r"failed.*Refused"):
        df.decart.media(failed)
    with pytest.raises(InvalidInputError):
        df.decart.media("nope")


def test_sheet_and_report_are_written(run: MadeRun, tmp_path: Path) -> None:
    df = run.df()
    sheet = df.decart.sheet(tmp_path / "sheet.png", rows="light", cols="style", title="Looks")
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"
    assert sheet.mode == "RGB"
    assert df.decart.report(tmp_path / "report.html", title="Looks").is_file()
    with pytest.raises(StoreError):
        df.decart.sheet(tmp_path / "no" / "sheet.png")


FORMULAS = ("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "－1", "＋1", "＠x")
HIDDEN = ("a\r=1", "a\n=1", "a,=1", "a\t=1", 'a"=1')


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("text", [*FORMULAS, *HIDDEN])
def test_no_exported_cell_or_heading_is_a_formula(
    run: MadeRun, tmp_path: Path, text: str, suffix: str
) -> None:
    for row in run.rows:
        row |= {"prompt": text, "error_message": text, "model": text, "seed": -5}
    df = run.df().rename(columns={"style": text})
    path = df.decart.export(tmp_path / f"table{suffix}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="," if suffix == ".csv" else "\t"))
    assert rows[0][0] == "point_id"
    cells = [cell for row in rows for cell in row]
    assert (text if text in HIDDEN else f"'{text}") in cells
    assert all(cell == "-5" or not cell.lstrip(" ").startswith(accessor._FORMULA) for cell in cells)


def test_numbers_are_exported_as_they_are(run: MadeRun, tmp_path: Path) -> None:
    for row in run.rows:
        row["seed"] = -7
    df = run.df()
    back = pd.read_csv(df.decart.export(tmp_path / "t.csv"), index_col="point_id")
    assert list(back["seed"]) == [-7] * 8
    assert back["cost"].sum() == pytest.approx(0.32)
    assert list(back["prompt"]) == list(df["prompt"])


def test_another_format_is_refused(run: MadeRun, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"\.csv or \.tsv"):
        run.df().decart.export(tmp_path / "table.xlsx")
