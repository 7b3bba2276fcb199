"""Runs that go on: attaching, extending, budgets, pauses, doubts, restarts and other folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import decart_lab as dl
from decart_lab.cli import main as cli
from decart_lab.errors import BudgetError, InDoubtError, InvalidInputError, LeaseError, StoreError
from decart_lab.lab import opening
from decart_lab.lab.connect import connect
from decart_lab.media import samples
from tests.helpers.serve import serve
from tests.sweep.scripted import Scripted

CAT, CLIP = samples.path("cat.jpg"), samples.path("clip.mp4")
INK = {"model": "lucy-image-2", "prompt": "ink", "data": CAT}


@pytest.fixture
def lab(emu):
    with connect(emu.url) as made:
        yield made


def forget():
    """As a new kernel would: no run is known."""
    opening._open.clear()


def status(run):
    return run.df["status"].astype(str).value_counts().to_dict()


# -- attaching ------------------------------------------------------------------------------------


def test_an_equal_sweep_attaches_and_buys_nothing(lab, emu, capsys):
    first = lab.sweep(**INK, seed=[1, 2, 3]).run()
    capsys.readouterr()
    again = lab.sweep(**INK, seed=[3, 2, 1]).run()
    assert again.run_id == first.run_id
    assert f"Attached to run {first.run_id}: 3 points, 0 to buy." in capsys.readouterr().out
    forget()
    assert lab.sweep(**INK, seed=[1, 2, 3]).run().run_id == first.run_id
    assert len(emu.ledger) == 3
    assert lab.sweep(**INK, seed=[1, 2, 3]).plan()["owned"].all()


def test_new_buys_everything_again_in_a_run_of_its_own(lab, emu):
    first = lab.sweep(**INK, seed=[1, 2]).run()
    second = lab.sweep(**INK, seed=[1, 2]).run(new=True)
    assert second.run_id != first.run_id
    assert len(emu.ledger) == 4
    assert not second.df["cached"].any()


def test_an_extended_grid_buys_only_its_new_points(lab, emu):
    lab.sweep(**INK, seed=[1, 2]).run()
    plan = lab.sweep(**INK, seed=[1, 2, 3])
    assert plan.plan()["owned"].tolist() == [True, True, False]
    assert "1 point to buy" in repr(plan)
    run = plan.run()
    assert len(emu.ledger) == 3
    assert run.df["cached"].tolist() == [True, True, False]
    assert run.df["cost"].tolist() == [0.0, 0.0, 0.02]
    assert all((run.folder / name).is_file() for name in run.df["media"])


def test_what_is_taken_over_outlives_the_run_that_bought_it(lab):
    first = lab.sweep(**INK, seed=[1]).run()
    second = lab.sweep(**INK, seed=[1, 2]).run()
    shutil.rmtree(first.folder)
    assert all((second.folder / name).is_file() for name in second.df["media"])


def test_two_points_with_one_request_are_bought_once_and_attach_too(lab, emu):
    grid = {"model": ["lucy-image-2", "lucy-image-latest"], "prompt": "ink", "data": CAT}
    run = lab.sweep(**grid).run()
    assert status(run) == {"completed": 2}
    assert lab.sweep(**grid).run().run_id == run.run_id
    assert len(emu.ledger) == 1


# -- money ----------------------------------------------------------------------------------------


def test_a_budget_is_exact_and_a_larger_one_buys_the_rest(lab, emu):
    sweep = lab.sweep(**INK, seed=range(6))
    run = sweep.run(budget=0.06)
    assert status(run) == {"completed": 3, "skipped_budget": 3}
    assert len(emu.ledger) == 3
    assert status(sweep.run(budget=0.08)) == {"completed": 4, "skipped_budget": 2}
    run.resume(budget=1.0).wait()
    assert status(run) == {"completed": 6}
    assert (len(emu.ledger), run.budget) == (6, 1.0)
    assert run.df["error_message"].isna().all()


def test_a_budget_of_nothing_buys_nothing(lab, emu):
    assert status(lab.sweep(**INK).run(budget=0)) == {"skipped_budget": 1}
    assert len(emu.ledger) == 0


def test_a_run_at_the_hosted_api_that_costs_too_much_is_refused_with_the_figure(lab, emu):
    lab.service = "decart"
    sweep = lab.sweep(**INK, seed=range(300))
    with pytest.raises(BudgetError, match=r"budget=6"):
        sweep.start()
    with pytest.raises(BudgetError, match="allow_unpriced=True"):
        lab.sweep(model="lucy-2.6", prompt="ink", data=CLIP).start()
    assert len(emu.ledger) == 0
    assert not list(lab.runs_root.glob("*/journal.sqlite"))


def test_a_budget_needs_to_know_about_unknown_prices(lab, emu):
    sweep = lab.sweep(model="lucy-2.6", prompt="ink", data=CLIP)
    with pytest.raises(BudgetError, match="allow_unpriced=True"):
        sweep.run(budget=5)
    run = sweep.run(budget=5, allow_unpriced=True)
    assert run.df["cost"].isna().all()
    assert len(emu.ledger) == 1


def test_the_plan_tells_between_what_a_clip_costs(lab):
    plan = lab.sweep(model="lucy-2.1", prompt="ink", data=CLIP).plan()
    assert (plan["cost_low"] <= plan["cost_estimate"]).all()
    assert (plan["cost_estimate"] <= plan["cost_high"]).all()
    assert str(plan.dtypes["cost_high"]) == "Float64"


def test_what_was_spent_is_added_up_by_model(lab):
    lab.sweep(**INK, seed=[1, 2]).run()
    lab.sweep(**INK, seed=[1, 2, 3]).run()
    spent = lab.spent()
    assert (spent.total, spent.simulated) == (pytest.approx(0.06), pytest.approx(0.06))
    assert spent.by_model.loc["lucy-image-2", "points"] == 3
    assert repr(spent).startswith("Spent $0.06")
    assert "lucy-image-2" in spent._repr_html_()


# -- stopping and going on ------------------------------------------------------------------------


def test_a_stopped_run_goes_on_where_it_was(lab, emu):
    run = lab.sweep(**INK, seed=range(30)).start(concurrency=2)
    left = run.stop()
    assert run.wait()
    assert status(run).get("planned") == left > 0
    assert "unfinished" in repr(run)
    run.resume()
    run.wait()
    assert " finished" in repr(run)
    assert status(run) == {"completed": 30}
    assert len(emu.ledger) == 30
    assert run.stop() == 0


def test_a_run_that_is_still_stopping_is_gone_on_with_at_once():
    scripted = Scripted(CLIP.read_bytes())
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        sweep = lab.sweep(model="lucy-2.1", prompt="ink", data=CLIP, seed=range(8))
        run = sweep.start(concurrency=2)
        while not scripted.bought["ink"]:
            time.sleep(0.01)
        run.stop()
        assert status(sweep.run()) == {"completed": 8}
        run = lab.sweep(model="lucy-2.1", prompt="clay", data=CLIP, seed=range(8)).start()
        run.stop()
        run.resume().wait()
    assert status(run) == {"completed": 8}
    assert scripted.bought == {"ink": 8, "clay": 8}


def test_a_paused_run_buys_nothing_until_it_is_resumed():
    scripted = Scripted()
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        run = lab.sweep(**INK, seed=range(40)).start(concurrency=2)
        run.pause()
        run.wait()
        bought = scripted.bought["ink"]
        assert bought < 40
        assert "paused" in run.paused_because
        run.resume()
        run.wait()
    assert scripted.bought["ink"] == 40
    assert status(run) == {"completed": 40}


def test_a_refused_key_pauses_the_run_and_says_so(capsys):
    with serve(Scripted().app) as url, connect(url, api_key="k") as lab:
        run = lab.sweep(model="lucy-image-2", prompt="no key", data=CAT, seed=range(5)).run()
    assert status(run) == {"planned": 5}
    assert "Paused" in capsys.readouterr().out
    assert "invalid API key" in run.paused_because


def test_failed_points_are_bought_again_only_when_asked(lab, emu):
    sweep = lab.sweep(model="lucy-2.1", prompt=["ink", "x [[blocked]]"], data=CLIP)
    run = sweep.run()
    assert status(run) == {"completed": 1, "failed": 1}
    before = len(emu.ledger)
    sweep.run()
    assert len(emu.ledger) == before
    with pytest.raises(BudgetError, match="max_spend="):
        run.retry("failed", max_spend=0.01)
    run.retry("failed", max_spend=1).wait()
    assert status(run) == {"completed": 1, "failed": 1}
    assert run.attempts["attempt"].max() == 2
    with pytest.raises(InvalidInputError, match="resolve"):
        run.retry("in_doubt")
    with pytest.raises(InvalidInputError, match="status"):
        run.retry("completed")


def test_points_in_doubt_are_settled_only_in_so_many_words():
    scripted = Scripted()
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        run = lab.sweep(model="lucy-image-2", prompt=["breaks", "ink"], data=CAT).run()
        assert status(run) == {"completed": 1, "in_doubt": 1}
        assert lab.spent().in_doubt == pytest.approx(0.02)
        with pytest.raises(BudgetError, match=r"max_spend=0\.02"):
            run.resolve("in_doubt", "resubmit")
        assert scripted.bought["breaks"] == 1
        assert run.resolve("in_doubt", "resubmit", max_spend=0.02) == 1
        run.wait()
        assert scripted.bought["breaks"] == 2
        assert run.resolve("in_doubt", "abandon") == 1
        assert status(run) == {"completed": 1, "cancelled": 1}
        assert run.resolve("in_doubt", "abandon") == 0
        with pytest.raises(InvalidInputError, match="resolve"):
            run.resolve("failed", "abandon")


# -- opening --------------------------------------------------------------------------------------


def test_a_run_is_opened_by_its_folder_its_id_or_its_journal(lab):
    run = lab.sweep(**INK).run()
    for name in (run.folder, str(run.folder), run.run_id, run.folder / "journal.sqlite"):
        forget()
        opened = dl.open_run(name)
        assert opened.run_id == run.run_id
        assert opened.finished
        pd.testing.assert_frame_equal(opened.df, run.df)
    with pytest.raises(StoreError, match="no run at"):
        dl.open_run("nowhere")
    with pytest.raises(StoreError, match="not the id"):
        dl.open_run("..")


def test_a_run_that_is_being_bought_is_opened_once_in_a_kernel(lab):
    run = lab.sweep(**INK, seed=range(10)).start(concurrency=1)
    assert dl.open_run(run.folder) is run
    assert lab.sweep(**INK, seed=range(10)).start() is run
    run.wait()


def test_a_copied_folder_goes_on_elsewhere_although_the_input_is_gone(emu, tmp_path, monkeypatch):
    photo = tmp_path / "cat.jpg"
    shutil.copy(CAT, photo)
    with connect(emu.url) as lab:
        run = lab.sweep(model="lucy-image-2", prompt="ink", data=photo, seed=range(5)).run(
            budget=0.04
        )
    moved = tmp_path / "other" / run.run_id
    shutil.copytree(run.folder, moved)
    shutil.rmtree(run.folder)
    photo.unlink()
    monkeypatch.setenv("DECART_LAB_RUNS", str(tmp_path / "other"))
    forget()
    with connect(emu.url):
        again = dl.open_run(moved)
        again.resume(budget=1).wait()
        assert status(again) == {"completed": 5}
        assert len(emu.ledger) == 5
        assert all((moved / name).is_file() for name in again.df["media"])


def test_a_run_goes_on_only_at_its_own_service(lab, emu):
    run = lab.sweep(**INK, seed=range(3)).run(budget=0.02)
    with serve(Scripted().app) as url, connect(url, api_key="k") as other:
        with pytest.raises(InvalidInputError, match="same service"):
            run.resume(lab=other)
        forget()
        assert status(dl.open_run(run.folder)) == {"completed": 1, "skipped_budget": 2}


HOLD = """
import sys, time
import decart_lab as dl
lab = dl.connect(sys.argv[1])
run = lab.sweep(model="lucy-image-2", prompt="ink", data=sys.argv[2], seed=range(8)).start(
    concurrency=1)
print(run.folder, flush=True)
sys.stdin.read()
run.wait()
"""


def test_a_run_that_another_kernel_holds_is_followed_and_taken_up_when_it_dies(emu, capsys):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, emu.url, str(CAT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        folder = Path(child.stdout.readline().strip())
        with connect(emu.url) as lab:
            run = dl.open_run(folder)
            if run.holder:
                assert f"process {child.pid}" in run.holder
                with pytest.raises(LeaseError, match=f"process {child.pid}"):
                    run.clear()
            child.kill()
            child.wait(10)
            assert run.wait(10)
            lab.sweep(**INK, seed=range(8)).run()
        counts = status(run)
        assert counts.get("completed", 0) + counts.get("in_doubt", 0) == 8
        assert counts.get("in_doubt", 0) <= 1
        assert len(emu.ledger) <= 8
    finally:
        child.kill()
        child.wait(10)


DIE = """
import sys, decart_lab as dl
lab = dl.connect(sys.argv[1])
lab.sweep(model="lucy-image-2", prompt="ink", data=sys.argv[2]).run()
"""


def test_an_equal_sweep_puts_in_doubt_what_a_dead_kernel_was_sending(lab, emu):
    """Also when there is nothing else left to buy or to collect."""
    done = subprocess.run(
        [sys.executable, "-c", DIE, emu.url, str(CAT)],
        env=os.environ | {"DECART_LAB_CRASH_AT": "send.before"},
        capture_output=True,
        check=False,
    )
    assert done.returncode < 0
    run = lab.sweep(**INK).run()
    assert status(run) == {"in_doubt": 1}
    assert len(emu.ledger) == 0


# -- lists, exports, shell ------------------------------------------------------------------------


def test_runs_are_listed_the_newest_first_and_a_damaged_one_is_passed_over(lab):
    first = lab.sweep(**INK).run()
    time.sleep(1.1)  # names sort by the second
    second = lab.sweep(**INK, seed=[1, 2]).run(budget=0.02)
    broken = lab.runs_root / "20000101-000000-broken"
    broken.mkdir()
    (broken / "journal.sqlite").write_text("nothing")
    runs = lab.runs()
    assert list(runs.index) == [second.run_id, first.run_id]
    assert runs["state"].tolist() == ["finished", "finished"]
    assert runs["completed"].tolist() == [1, 1]
    assert runs["without_result"].tolist() == [1, 0]
    assert runs["budget"].tolist()[0] == 0.02
    assert str(runs.dtypes["created_at"]).startswith("datetime64")
    lab.sweep(**INK, seed=[1, 2]).run(budget=0.05)
    again = lab.runs().loc[second.run_id]
    assert (again["budget"], again["completed"]) == (0.05, 2), "the cap of the last time"


def test_no_runs_are_an_empty_table(lab):
    assert len(lab.runs()) == 0
    assert lab.spent().total == 0


def test_the_table_is_exported_by_its_ending(lab, tmp_path):
    run = lab.sweep(model="lucy-image-2", prompt=["=1+1", "ink"], data=CAT).run()
    text = run.export(tmp_path / "points.csv").read_text("utf-8")
    assert "'=1+1" in text
    pytest.importorskip("pyarrow")
    back = pd.read_parquet(run.export(tmp_path / "points.parquet"))
    assert back["prompt"].tolist() == ["=1+1", "ink"]
    with pytest.raises(InvalidInputError, match=r"\.parquet"):
        run.export(tmp_path / "points.xlsx")
    with pytest.raises(StoreError, match="cannot be written"):
        run.export(tmp_path / "no" / "points.csv")
    assert sorted(p.name for p in tmp_path.glob("*points*")) == ["points.csv", "points.parquet"]


def test_a_packed_run_is_whole_and_holds_nothing_else(lab, tmp_path):
    run = lab.sweep(**INK, seed=[1, 2]).run()
    (run.folder / "media" / "stray.png").write_bytes(b"x")
    target = run.pack(tmp_path / "run.zip")
    with zipfile.ZipFile(target) as file:
        assert not any("stray" in name for name in file.namelist())
        file.extractall(tmp_path / "elsewhere")
    forget()
    back = dl.open_run(tmp_path / "elsewhere" / run.run_id)
    pd.testing.assert_frame_equal(back.df, run.df)
    assert all((back.folder / name).is_file() for name in back.df["media"])
    assert run.clear(dry_run=True).files == 1
    assert run.clear().files == 1
    assert not (run.folder / "media" / "stray.png").exists()


def test_the_shell_lists_shows_packs_and_clears(lab, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli(["runs"]) == 0
    assert "No runs under" in capsys.readouterr().out
    run = lab.sweep(**INK, seed=[1, 2]).run(budget=0.02)
    capsys.readouterr()
    assert cli(["runs", "list"]) == 0
    assert f"{run.run_id}  finished    2 points, 1 completed" in capsys.readouterr().out
    assert cli(["runs", "show", run.run_id]) == 0
    assert "skipped_budget: " in capsys.readouterr().out
    assert cli(["runs", "pack", run.run_id]) == 0
    assert (tmp_path / f"{run.run_id}.zip").is_file()
    assert cli(["runs", "gc"]) == 0
    assert "0 files removed" in capsys.readouterr().out
    assert cli(["runs", "show", "nothing"]) == 1
    assert "no run at" in capsys.readouterr().err


def test_the_shell_resumes_a_run(lab, emu, capsys):
    run = lab.sweep(**INK, seed=range(30)).start(concurrency=1)
    run.stop()
    run.wait()
    assert cli(["runs", "resume", run.run_id, "--url", emu.url]) == 0
    assert status(run) == {"completed": 30}
    assert "30 completed" in capsys.readouterr().out


# -- one thing ------------------------------------------------------------------------------------


def test_an_equal_call_returns_what_is_owned_and_says_so(lab, emu, capsys, tmp_path):
    first = lab.process("lucy-image-2", "a {braced} prompt", data=CAT, seed=1)
    assert "Taken" not in capsys.readouterr().out
    again = lab.process("lucy-image-2", "a {braced} prompt", data=str(CAT), seed=1)
    assert "nothing was bought. new=True buys it again." in capsys.readouterr().out
    assert (again.path, again.caption) == (first.path, "a {braced} prompt")
    assert (again.cost, again.simulated) == (0.02, True)
    copy = lab.process(
        "lucy-image-2", "a {braced} prompt", data=CAT, seed=1, save_to=tmp_path / "c.png"
    )
    assert copy.path.read_bytes() == first.path.read_bytes()
    assert len(emu.ledger) == 1
    lab.process("lucy-image-2", "a {braced} prompt", data=CAT, seed=1, new=True)
    assert len(emu.ledger) == 2


def test_one_thing_of_a_sweep_is_owned_too(lab, emu):
    lab.sweep(**INK, seed=[1, 2]).run()
    lab.process("lucy-image-2", "ink", data=CAT, seed=1)
    assert len(emu.ledger) == 2


def test_a_call_of_unknown_fate_is_not_repeated_unasked():
    scripted = Scripted()
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        with pytest.raises(dl.errors.ProcessingError):
            lab.process("lucy-image-2", "breaks", data=CAT)
        with pytest.raises(InDoubtError, match="new=True"):
            lab.process("lucy-image-2", "breaks", data=CAT)
        assert scripted.bought["breaks"] == 1
        with pytest.raises(dl.errors.ProcessingError):
            lab.process("lucy-image-2", "refused", data=CAT)
        with pytest.raises(dl.errors.ProcessingError):
            lab.process("lucy-image-2", "refused", data=CAT)
        assert scripted.bought["refused"] == 2
        with pytest.raises(dl.errors.AuthError):
            lab.process("lucy-image-2", "no key", data=CAT)


# -- the same no to everything ---------------------------------------------------------------------


def test_a_mistake_in_every_point_stops_the_run_after_a_few_and_resuming_goes_on(capsys):
    scripted = Scripted()
    wrong = {"model": "lucy-image-2", "prompt": "not so", "data": CAT}
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        run = lab.sweep(**wrong, seed=range(40)).run(concurrency=1)
        assert status(run) == {"planned": 37, "rejected": 3}
        said = capsys.readouterr().out
        assert "refused 3 points in a row in the same words" in said
        assert "prompt is not so" in said
        run.resume().wait()
        assert status(run) == {"rejected": 40}
        run = lab.sweep(**wrong, seed=range(40, 46)).run(refusals=0)
        assert status(run) == {"rejected": 6}
        run = lab.sweep(**wrong, seed=range(50, 60)).run(concurrency=1, refusals=5)
        assert status(run) == {"planned": 5, "rejected": 5}
        with pytest.raises(InvalidInputError, match="refusals"):
            lab.sweep(**wrong).run(refusals=-1)


def test_refusals_that_differ_or_have_results_between_them_stop_nothing():
    scripted = Scripted()
    mixed = {"seed": range(4), "prompt": ["not so", "ink"]}
    differing = {"prompt": [f"not so {n}" for n in range(6)]}
    blocked = {"prompt": [f"refused {n}" for n in range(6)], "seed": [1]}
    with serve(scripted.app) as url, connect(url, api_key="k") as lab:
        for axes in (mixed, differing, blocked):
            run = lab.sweep(model="lucy-image-2", data=CAT, **axes).run(concurrency=1)
            assert "planned" not in status(run), axes
