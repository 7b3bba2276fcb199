"""What a plan may cost, when it is refused, and what a run's lock and its zip hold."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from math import isnan, nan

import pytest

from decart_lab.contract.models import ModelDefinition
from decart_lab.errors import BudgetError, InvalidInputError, StoreError
from decart_lab.media import samples
from decart_lab.media.media import Media
from decart_lab.sweep.grid import Grid
from decart_lab.sweep.identity import new_run_id, sweep_id
from decart_lab.sweep.lock import lock_content, read_lock
from decart_lab.sweep.pack import clear, pack, used_files
from decart_lab.sweep.plan import build_plan
from decart_lab.sweep.spending import Cost, check_budget, cost_of, guard, price_range
from decart_lab.sweep.store import Store

CAT, CLIP = samples.path("cat.jpg"), samples.path("clip.mp4")
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def planned(**keywords):
    return build_plan(Grid.of(**keywords), service="decart")


def cost(high=1.0, **facts):
    return replace(Cost(high, high, high, 10, 0, 0, high), **facts)


def test_a_picture_has_one_price_and_a_clip_lies_between_whole_seconds():
    [picture] = planned(model="lucy-image-2", prompt="ink", data=CAT).points
    assert price_range(picture) == (0.02, 0.02, 0.02)
    [clip] = planned(model="lucy-2.1", prompt="ink", data=CLIP).points
    low, likely, high = price_range(clip)
    assert low <= likely <= high
    assert high - low <= 0.04 + 1e-9
    assert likely == clip.cost_estimate


def test_a_clip_that_was_not_fetched_may_be_as_long_as_the_model_takes():
    url = "https://example.com/clip.mp4"
    [clip] = planned(model="lucy-restyle-2", prompt="ink", data=url).points
    low, likely, high = price_range(clip)
    assert (low, isnan(likely)) == (0.0, True)
    assert isnan(high) or high > 0


def test_the_cost_of_a_plan_leaves_out_what_is_owned_and_says_what_is_at_risk():
    plan = planned(model="lucy-image-2", prompt="ink", data=CAT, seed=range(20))
    whole = cost_of(plan)
    assert (whole.points, whole.likely, whole.at_risk) == (20, 0.4, 0.16)
    left = cost_of(plan, {p.point_id for p in plan.points[:15]})
    assert (left.points, left.owned, left.likely, left.at_risk) == (5, 15, 0.1, 0.1)
    assert "5 points to buy, estimated $0.10" in left.sentence()
    assert left.sentence().endswith("15 owned already.")
    odd = cost_of(planned(model="lucy-2.6", prompt="ink", data=CLIP))
    assert (odd.unpriced, odd.likely) == (1, 0)
    assert "no known price" in odd.sentence()


def test_the_guard_names_the_figure_to_pass_and_lets_small_and_simulated_runs_be():
    def check(of, service="decart", budget=None, allow_unpriced=False):
        guard(of, service=service, budget=budget, allow_unpriced=allow_unpriced, confirm_usd=5.0)

    with pytest.raises(BudgetError, match=r"may cost \$6\.13.*budget=6\.13"):
        check(cost(6.121))
    check(cost(5.0))
    check(cost(6.12), budget=1.0)
    check(cost(600.0), service="emulator")
    with pytest.raises(BudgetError, match="allow_unpriced=True"):
        check(cost(unpriced=3))
    with pytest.raises(BudgetError, match="3 of 10 points have no known price"):
        check(cost(unpriced=3), service="emulator", budget=2.0)
    check(cost(unpriced=3), service="emulator")
    check(cost(unpriced=3), allow_unpriced=True)


@pytest.mark.parametrize("budget", ["5", -1, nan, float("inf"), True])
def test_a_budget_is_an_amount(budget):
    with pytest.raises(InvalidInputError, match="budget"):
        check_budget(budget)


def test_a_sweep_is_its_points_in_any_order_and_a_run_is_named_after_it():
    first = sweep_id("emulator", ["a", "b"])
    assert first == sweep_id("emulator", ["b", "a"]) != sweep_id("decart", ["a", "b"])
    assert new_run_id(NOW, first).startswith(f"20260102-000000-{first[:8]}-")
    assert new_run_id(NOW, first) != new_run_id(NOW, first)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "runs" / "r1", tmp_path / "runs")
    made.create()
    return made


def locked(store, plan):
    content = lock_content(
        plan, run_id="r1", sweep="s", now=NOW, version="1", settings={"budget": None}
    )
    store.write_lock(content)
    return read_lock(store.folder)


def test_points_come_back_from_the_lock_as_the_plan_had_them(store):
    models = ["lucy-image-2", "lucy-2.1", ModelDefinition("lucy-9", url_path="/v1/jobs/lucy-9")]
    plan = planned(model=models, prompt=["ink", "ink "], data=[CAT, CLIP], seed=[1, 2])
    wanted = plan.runnable
    found = locked(store, plan).points(p.point_id for p in wanted)
    assert len(found) == len(wanted) > 4
    for before, after in zip(wanted, found, strict=True):
        for name in ("point_id", "request_key", "replicate", "spec", "twin_of"):
            assert getattr(after, name) == getattr(before, name)
        assert dict(after.fields) == dict(before.fields)
        assert after.files["data"].sha256 == before.files["data"].prepared.sha256
        assert after.files["data"].label == before.files["data"].label
    assert locked(store, plan).points([]) == []


def test_a_copied_input_is_found_when_the_original_is_gone_and_a_changed_one_is_refused(
    store, tmp_path
):
    original = tmp_path / "cat.jpg"
    shutil.copy(CAT, original)
    plan = planned(model="lucy-image-2", prompt="ink", data=original)
    lock = locked(store, plan)
    [point] = plan.points
    original.write_bytes(samples.path("rocket.jpg").read_bytes())
    [changed] = lock.points([point.point_id])
    assert "was changed" in str(changed.files["data"].error)
    sha = point.files["data"].sha256
    (store.folder / "inputs").mkdir()
    shutil.copy(CAT, store.folder / "inputs" / f"{sha}.jpg")
    [again] = lock.points([point.point_id])
    assert again.files["data"].error is None
    assert again.files["data"].prepared.path.parent.name == "inputs"


def test_an_edited_input_leads_back_to_no_file_but_its_copy(store):
    cup = Media.of(CAT).crop(0, 0, 64, 64)
    content = locked(store, planned(model="lucy-image-2", prompt="ink", data=cup)).content
    assert [facts["path"] for facts in content["inputs"].values()] == [None]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"lock_version": 99}', "newer than"),
    ],
)
def test_a_lock_that_cannot_be_read_says_so(tmp_path, text, says):
    if text is not None:
        (tmp_path / "run.lock.json").write_text(text)
    with pytest.raises(StoreError, match=says):
        read_lock(tmp_path)


@pytest.mark.parametrize("name", ["models", "points", "inputs"])
def test_a_lock_without_a_part_names_it(store, name):
    plan = planned(model="lucy-image-2", prompt="ink", data=CAT)
    locked(store, plan)
    path = store.folder / "run.lock.json"
    content = json.loads(path.read_text())
    del content[name]
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=name):
        read_lock(store.folder).points([plan.points[0].point_id])


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_zip_holds_only_what_the_run_uses_and_clearing_leaves_it(store, tmp_path):
    folder, sha = store.folder, "ab" * 32
    for name in ("media/aa/one.png", "media/bb/old.png", "thumbs/one.webp"):
        write(folder / name)
    write(folder / "media/incoming/x.part", "12345")
    write(folder / f"inputs/{sha}.jpg")
    write(folder / "run.lock.json", "{}")
    rows = [{"media": "media/aa/one.png", "thumb": "thumbs/one.webp"}, {"media": None}]
    used = used_files(rows, [sha])
    target = pack(folder, tmp_path / "r.zip", used, lambda path: path.write_text("journal"))
    with zipfile.ZipFile(target) as file:
        assert sorted(file.namelist()) == [
            f"r1/inputs/{sha}.jpg",
            "r1/journal.sqlite",
            "r1/media/aa/one.png",
            "r1/run.lock.json",
            "r1/thumbs/one.webp",
        ]
    counted = clear(folder, used, dry_run=True)
    assert (counted.files, counted.size_bytes) == (2, 6)
    assert (folder / "media/bb/old.png").exists()
    assert clear(folder, used) == counted
    assert not (folder / "media/bb/old.png").exists()
    assert (folder / "media/aa/one.png").exists()
    assert clear(folder, used).files == 0


def test_a_zip_that_cannot_be_written_leaves_nothing_behind(store, tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        pack(store.folder, tmp_path / "no" / "r.zip", set(), lambda path: path.write_text("j"))
    (store.folder / "run.lock.json").unlink(missing_ok=True)
    with pytest.raises(StoreError):
        pack(store.folder, tmp_path / "r.zip", set(), lambda path: path.write_text("j"))
    assert not list(tmp_path.glob("r.zip*"))
