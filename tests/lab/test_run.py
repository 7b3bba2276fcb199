"""Sweeps as the notebook runs them: DataFrames, stopping, interrupts, and what is on disk."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

import decart_lab as dl
from decart_lab.errors import GridError, InvalidInputError
from decart_lab.lab.connect import connect
from decart_lab.lab.sweep import Sweep
from decart_lab.media import samples
from tests.helpers.serve import serve
from tests.sweep.scripted import Scripted, png

CAT, CLIP = samples.path("cat.jpg"), samples.path("clip.mp4")


@pytest.fixture
def lab(emu):
    with connect(emu.url) as made:
        yield made


def looks():
    return dl.template(
        "a {style} look, {light} light", style=["ink", "clay"], light=["noon", "dusk"]
    )


def test_photos_and_clips_go_through_a_grid_and_come_back_as_a_dataframe(lab, emu):
    sweep = lab.sweep(
        model=["lucy-image-2", "lucy-2.1"],
        prompt=looks(),
        data=[CAT, CLIP],
        seed=[1, 2],
        enhance_prompt=False,
    )
    assert len(sweep) == 32
    plan = sweep.plan()
    assert len(emu.ledger) == 0
    assert plan["valid"].sum() == 16
    run = sweep.run()
    df = run.df
    assert sorted(df.index) == sorted(plan[plan["valid"]].index)
    assert (df["status"] == "completed").all()
    assert df["simulated"].all()
    assert list(df.columns[:2]) == ["style", "light"]
    assert len(emu.ledger) == 16
    assert df["cost"].sum() == pytest.approx(plan["cost_estimate"].sum())
    assert set(df["input"]) == {"cat.jpg", "clip.mp4"}
    for name in df["media"]:
        assert (run.folder / name).is_file()
    again = lab.sweep(model="lucy-image-2", prompt="ink", data=CAT).run()
    assert [str(t) for t in again.df.dtypes["model":]][-40:] == [
        str(t) for t in df.dtypes["model":]
    ][-40:]
    assert lab.last_run is again


def test_the_folder_explains_itself_and_holds_no_key(emu, tmp_path):
    with connect(emu.url, api_key="dct_hush") as lab:
        run = lab.sweep(model="lucy-image-latest", prompt=["ink", "clay"], data=CAT).run()
    lock = json.loads((run.folder / "run.lock.json").read_text("utf-8"))
    assert lock["service"] == "emulator"
    assert lock["versions"]["decart_lab"]
    assert lock["price_version"]
    assert [p["point_id"] for p in lock["points"]] == list(run.df.index)
    assert {p["model_resolved"] for p in lock["points"]} == {"lucy-image-2"}
    assert (run.folder.parent / ".gitignore").is_file()
    held = b"".join(p.read_bytes() for p in run.folder.rglob("*") if p.is_file())
    assert b"dct_hush" not in held


def test_a_service_that_goes_wrong_makes_rows_and_no_exception():
    scripted = Scripted(CLIP.read_bytes())
    prompts = ["ink", "refused", "breaks", "odd answer"]
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        run = lab.sweep(model="lucy-image-2", prompt=prompts, data=CAT).run()
    assert run.df["status"].tolist() == ["completed", "rejected", "in_doubt", "in_doubt"]
    assert run.df["error_message"].notna().tolist() == [False, True, True, True]
    assert sorted(run.attempts["status"]) == sorted(run.df["status"])
    assert run.simulated is False


def test_aliases_stand_for_what_the_service_says_when_the_run_begins():
    with serve(Scripted().app) as url, connect(url, api_key="k") as lab:
        names = ["lucy-image-latest", "lucy-image-2"]
        run = lab.sweep(model=names, prompt="ink", data=CAT).run()
    assert run.df["model"].tolist() == names
    assert run.df["model_resolved"].tolist() == ["lucy-image-latest-of-today", "lucy-image-2"]
    assert (run.df["status"] == "completed").all()


def test_invalid_points_stop_the_run_or_become_rows(lab, emu):
    sweep = lab.sweep(model="lucy-image-2", prompt=["ink", "x" * 1001], data=CAT)
    with pytest.raises(GridError, match="1 of 2 points"):
        sweep.run()
    assert len(emu.ledger) == 0
    run = sweep.run(on_invalid="row")
    assert run.df["status"].tolist() == ["completed", "invalid"]
    assert "1001 characters" in run.df["error_message"].iloc[1]
    assert len(emu.ledger) == 1


def test_settings_that_cannot_be_are_refused_before_the_inputs_are_read(lab):
    sweep = lab.sweep(model="lucy-image-2", prompt="ink", data="no_such_file.png")
    for options in ({"concurrency": 0}, {"image_route": "x"}, {"on_invalid": "x"}):
        with pytest.raises(InvalidInputError, match=next(iter(options))):
            sweep.start(**options)


def test_a_run_can_be_looked_at_waited_for_and_awaited_while_it_goes_on():
    scripted = Scripted()
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        sweep = lab.sweep(model="lucy-image-2", prompt="ink", data=CAT, seed=range(30))
        run = sweep.start(concurrency=2)
        assert run.wait(0) is False
        early = run.df
        assert len(early) == 30
        assert (early["status"] == "planned").any()

        async def cell():
            return await run

        assert asyncio.run(cell()) is run
        assert run.finished
        assert run.wait() is True
        assert (run.df["status"] == "completed").all()
        assert run.stop() == 0


def test_stopping_buys_nothing_more_and_keeps_what_is_paid():
    scripted = Scripted()
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        run = lab.sweep(model="lucy-image-2", prompt="ink", data=CAT, seed=range(60)).start(
            concurrency=2
        )
        stopped = run.stop()
        run.wait()
    counts = run.df["status"].value_counts()
    assert counts["planned"] == stopped > 50
    assert counts["completed"] == 60 - stopped == scripted.bought["ink"]


def test_a_run_inside_a_running_loop_blocks_the_cell_and_finishes(lab):
    async def cell():
        return lab.sweep(model="lucy-image-2", prompt=["ink", "clay"], data=CAT).run()

    assert (asyncio.run(cell()).df["status"] == "completed").all()


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
def test_an_interrupt_stops_buying_says_so_and_goes_on(capsys):
    scripted = Scripted()
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        sweep = lab.sweep(model="lucy-image-2", prompt="ink", data=CAT, seed=range(400))

        def interrupt():
            while scripted.bought["ink"] < 3:
                threading.Event().wait(0.005)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            sweep.run(concurrency=2)
        said = capsys.readouterr().out
        run = lab.last_run
        run.wait()
    counts = run.df["status"].value_counts()
    assert counts["planned"] > 300
    assert counts["completed"] == scripted.bought["ink"] == 400 - counts["planned"]
    assert f"Stopped: {counts['planned']:,} points not bought" in said
    assert f"run = dl.open_run({str(run.folder)!r})" in said


def test_urls_are_fetched_once_when_the_run_begins(emu):
    fetched = []

    async def app(scope, receive, send):
        fetched.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": png(1)})

    with serve(app) as url, connect(emu.url, allow_private_urls=True) as lab:
        sweep = lab.sweep(model="lucy-image-2", prompt=["a", "b", "c"], data=f"{url}/cat.png?k=1")
        assert sweep.plan()["valid"].all()
        assert fetched == []
        run = sweep.run()
    assert fetched == ["/cat.png"]
    assert (run.df["status"] == "completed").all()
    assert run.df["input_sha256"].nunique() == 1


def test_a_sweep_of_its_own_runs_on_the_lab_connected_last(lab):
    sweep = dl.Sweep(model="lucy-image-2", prompt="ink", data=CAT)
    run = sweep.run()
    assert lab.last_run is run
    assert sweep.run(lab=lab).df.index.tolist() == run.df.index.tolist()


def test_a_run_shows_itself_in_text_and_markup(lab):
    sweep = lab.sweep(model="lucy-image-2", prompt="<b>ink</b>", data=CAT, seed=[1, 2])
    assert repr(sweep) == "<Sweep: seed (2); 2 points>"
    run = sweep.run()
    assert "2 points to buy, estimated $0.04" in repr(sweep)
    assert "2 completed" in repr(run)
    assert "simulated" in repr(run)
    assert "<b>" not in run._repr_mimebundle_()["text/html"]
    assert "2 completed" in run._repr_mimebundle_()["text/html"]


def test_pictures_reports_and_sheets_come_from_the_run(lab, tmp_path):
    run = lab.sweep(model="lucy-image-2", prompt=looks(), data=CAT).run()
    assert "ink" in run.gallery(rows="style", cols="light").html
    assert run.report(tmp_path / "report.html").stat().st_size > 1000
    assert run.sheet().size[0] > 100
    assert run.df.decart.media(run.df.index[0]).simulated


def test_a_sweep_needs_a_model_and_says_what_it_is(capsys):
    with pytest.raises(GridError, match="needs a model"):
        Sweep(prompt="ink")
    sweep = Sweep(model=["lucy-image-2"], prompt=looks(), data=CAT)
    assert repr(sweep.where("style == 'ink'")).endswith("2 points>")
    assert sweep.linked("style", "light").count() == 2
    assert sweep.repeat(2).sample(3).count() == 3
    assert len(sweep.when(style="ink", enhance_prompt=[True, False])) == 6


def test_two_kernels_that_begin_an_equal_sweep_share_one_run(emu, tmp_path):
    program = (
        "import decart_lab as dl\n"
        "from decart_lab.media import samples\n"
        f"lab = dl.connect({emu.url!r})\n"
        "run = lab.sweep(model='lucy-image-2', prompt='ink', data=samples.path('cat.jpg')).run()\n"
        "print(run.df['status'].iloc[0], run.folder)\n"
    )
    environment = os.environ | {"DECART_LAB_RUNS": str(tmp_path / "shared")}
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
        for _ in range(2)
    ]
    last = [p.communicate(timeout=60)[0].decode().splitlines()[-1].split() for p in started]
    assert [line[0] for line in last] == ["completed", "completed"]
    assert last[0][1] == last[1][1]
    assert len(emu.ledger) == 1


def test_the_dataframe_is_plain(lab):
    df = lab.sweep(model="lucy-image-2", prompt="ink", data=CAT).run().df
    assert type(df) is pd.DataFrame


@pytest.mark.parametrize("make", ["lab.sweep", "dl.Sweep", "lab.edit_video"])
def test_a_legacy_name_is_warned_of_at_the_users_own_line(lab, monkeypatch, make):
    monkeypatch.setattr("decart_lab.contract.models._warned", set())
    call = {
        "lab.sweep": lambda: lab.sweep(model="lucy-pro-i2v", prompt="ink", data=CAT),
        "dl.Sweep": lambda: dl.Sweep(model=["lucy-pro-i2v"], prompt="ink", data=CAT),
        "lab.edit_video": lambda: lab.edit_video("lucy-pro-i2v", "ink", data=CAT),
    }[make]
    with pytest.warns(DeprecationWarning, match=r"lucy-pro-i2v.*use 'lucy-2.1'") as caught:
        call()
    assert [Path(w.filename).name for w in caught] == ["test_run.py"]


def test_a_cost_that_nobody_knows_is_not_shown_as_nothing(lab, capsys):
    run = lab.sweep(model=["lucy-2.6"], prompt="ink", data=CLIP).run()
    assert "1 completed, cost unknown" in capsys.readouterr().out
    assert run.df["cost"].isna().all()
    assert "cost unknown" in repr(run)
    both = lab.sweep(model=["lucy-2.6", "lucy-2.1"], prompt="ink", data=CLIP).run(new=True)
    assert "1 point of unknown price" in repr(both)
