"""Foreign text is shown, never obeyed, on every surface that makes markup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from decart_lab.display import cards
from decart_lab.display.gallery import gallery_html
from decart_lab.display.report import write_report
from decart_lab.errors import DecartSDKError
from tests.helpers.markup import HOSTILE, Page
from tests.helpers.runs import MadeRun, picture


def poisoned(folder: Path, text: str) -> tuple[Any, Callable[[str], Path]]:
    """A frame with the text in every cell that holds text, and as the name of an axis."""
    run = MadeRun(folder)
    words = {
        "prompt": text, "model": text, "model_resolved": text, "template": text, "params": text,
        "input": text, "reference": text, "job_id": text, "currency": text, "codec": text,
        "error_message": text, "error_type": text, "price_version": text, "style": text,
    }  # fmt: skip
    run.add(picture("x"), **words)
    run.add(None, **(words | {"style": f"{text} again"}))
    run.add(None, **(words | {"style": "plain", "prompt": "other", "media": text, "thumb": text}))
    df = run.df({"style": "string"})
    # As objects, since pyarrow, which pandas would use for names, refuses some of these texts.
    df.columns = pd.Index([text if name == "style" else name for name in df], dtype=object)
    df.index = pd.Index([f"{text}{at}" for at in range(len(df))], dtype=object)
    return df, run.folder_of


def gallery(folder: Path, text: str) -> str:
    df, folder_of = poisoned(folder, text)
    flow = gallery_html(df.iloc[:1], folder_of, caption=text)
    return gallery_html(df, folder_of, rows=text, cols="prompt", caption=text) + flow


def report(folder: Path, text: str) -> str:
    df, folder_of = poisoned(folder, text)
    path = write_report(df, folder_of, folder / "report.html", title=text, rows=text)
    return path.read_text("utf-8").removeprefix("<!doctype html>\n")


def run_card(_: Path, text: str) -> str:
    return cards.run_card({"run_id": text, "folder": text, "counts": {text: 3}, "cost": 0.1})


def lab_card(_: Path, text: str) -> str:
    facts = {"url": text, "key": True, "simulated": None, "image_model": text, "runs": text}
    return cards.lab_card(facts) + cards.lab_card({"next": text})


def error_card(_: Path, text: str) -> str:
    return cards.error_card(DecartSDKError(text, hint=text, job_id=text, request_id=text))


def models_table(_: Path, text: str) -> str:
    return cards.models_table([cards.ModelLine(text, text, text, text, text, text)])


SURFACES = (gallery, report, run_card, lab_card, error_card, models_table)


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.__name__)
@pytest.mark.parametrize("at", range(len(HOSTILE)))
def test_hostile_text_stays_text(
    surface: Callable[[Path, str], str], at: int, tmp_path: Path
) -> None:
    page = Page(surface(tmp_path, HOSTILE[at]))
    assert page.faults == []
    assert len("".join(page.styles)) > 1000  # the stylesheet itself arrived whole


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.__name__)
def test_the_reader_still_sees_what_was_written(
    surface: Callable[[Path, str], str], tmp_path: Path
) -> None:
    assert "<script>alert(1)</script>" in Page(surface(tmp_path, HOSTILE[0])).text
