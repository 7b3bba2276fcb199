"""Results that the user deleted, edited or moved: said, fetched again, and never bought again."""

from __future__ import annotations

import shutil

import pytest

from decart_lab.emulator import emulator
from decart_lab.errors import LeaseError, ResponseError
from decart_lab.lab.connect import connect
from decart_lab.lab.mending import Mended
from decart_lab.media import samples
from tests.helpers.clips import moving, write_clip


@pytest.fixture
def emu():
    with emulator(speed=50, render="canned") as running:
        yield running


@pytest.fixture
def lab(emu):
    with connect(emu.url) as made:
        yield made


@pytest.fixture
def run(lab, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", moving(10, 128, 96), fps=20)
    sweep = lab.sweep(
        model=["lucy-2.1", "lucy-image-2"], prompt=["a", "b"], data=[clip, samples.path("cat.jpg")]
    )
    return sweep.run()


def files(run, model):
    """Result files of a model by point, each of its own content."""
    rows = run.df[run.df["model"] == model]
    return {point_id: run.folder / media for point_id, media in rows["media"].items()}


def test_a_result_that_is_gone_is_fetched_again_and_never_bought_again(run, emu):
    assert run.mend() == Mended()
    clips = files(run, "lucy-2.1")
    contents = {path: path.read_bytes() for path in clips.values()}
    for path in contents:
        path.unlink()
    frame = run.df
    assert set(run.mend().fetched) == set(clips)
    assert {path: path.read_bytes() for path in contents} == contents
    assert run.df.equals(frame)
    assert run.mend() == Mended()
    assert len(emu.ledger) == 4


def test_a_picture_that_was_answered_at_once_is_said_to_be_gone(run, emu):
    pictures = files(run, "lucy-image-2")
    for path in pictures.values():
        path.unlink(missing_ok=True)
    assert set(run.mend().gone) == set(pictures)
    assert len(emu.ledger) == 4


def test_a_result_that_was_edited_stays_as_it_is(run):
    point_id, path = next(iter(files(run, "lucy-2.1").items()))
    path.write_bytes(b"mine")
    assert point_id in run.mend().changed
    assert path.read_bytes() == b"mine"


def test_a_job_that_the_service_has_forgotten_is_gone_and_one_it_cannot_give_now_is_not(run, emu):
    shutil.rmtree(run.folder / "media")
    emu.faults.add("corrupted_media", route="content")
    with pytest.raises(ResponseError):
        run.mend()
    emu.faults.clear()
    emu.faults.add("content_expired")
    assert len(run.mend().gone) == 4


def test_of_two_downloads_that_differ_the_first_is_what_the_point_says(run, lab, emu):
    one, other = files(run, "lucy-2.1").items()
    jobs = run.df["job_id"]
    first_sha256 = run.df.loc[one[0], "media_sha256"]
    one[1].unlink()
    # as a service does that makes the content again: the job's word leads to other bytes now
    with run._held() as (journal, _):
        journal.note("status", one[0], job_id=lab.queue.submit(
            model="lucy-2.1", prompt="c", data=samples.path("clip.mp4")).job_id)  # fmt: skip
    lab.queue.wait(run.df.loc[one[0], "job_id"])
    assert run.df.loc[one[0], "job_id"] != jobs[one[0]]
    assert run.mend().different == (one[0],)
    assert run.df.loc[one[0], "media_sha256"] == first_sha256
    told = run.events[run.events["kind"] == "evidence"]["detail"].iloc[-1]
    assert first_sha256 in told
    assert "other_sha256" in told
    assert other[1].is_file()


def test_nothing_is_mended_while_the_run_is_being_bought(lab):
    run = lab.sweep(
        model="lucy-image-2", prompt="x", data=samples.path("cat.jpg"), seed=range(40)
    ).start(concurrency=1)
    with pytest.raises(LeaseError, match="mend has to wait"):
        run.mend()
    run.stop()
    run.wait()
