"""The life of jobs: submit, wait, collect; capacity, ten minutes, moderation, and what is paid."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decart_lab._clock import ManualClock
from decart_lab.contract.models import find
from decart_lab.emulator import emulator
from decart_lab.emulator.jobs import TOO_LONG, Runner, durations
from decart_lab.emulator.records import JobRecord
from decart_lab.emulator.settings import JOB_LIMIT_S, Settings
from decart_lab.emulator.world import World
from tests.helpers.rest import KEY, poll, submit


def test_a_job_goes_from_pending_to_a_clip(http, emu, tiny_clip):
    job_id = submit(http, "lucy-2.1", {"data": tiny_clip.read_bytes()}, prompt="ink")
    assert http.get(f"/v1/jobs/{job_id}/content").status_code == 409
    assert poll(http, job_id) == {"job_id": job_id, "status": "completed"}
    content = http.get(f"/v1/jobs/{job_id}/content")
    assert content.headers["content-type"] == "video/mp4"
    assert content.headers["x-decart-emulator"] == "1"
    assert int(content.headers["content-length"]) == len(content.content)
    assert content.content[4:8] == b"ftyp"
    assert http.get(f"/v1/jobs/{job_id}/content").content == content.content
    assert not list(emu.world.uploads.iterdir()), "inputs of finished jobs are removed"


def test_image_models_are_served_as_jobs_too(http, picture):
    job_id = submit(http, "lucy-image-2", {"data": picture}, prompt="ink")
    assert poll(http, job_id)["status"] == "completed"
    content = http.get(f"/v1/jobs/{job_id}/content")
    assert content.headers["content-type"] == "image/png"
    assert content.content.startswith(b"\x89PNG")


def test_unknown_jobs_are_404(http):
    assert http.get("/v1/jobs/job_none").json() == {"detail": "Job not found."}
    assert http.get("/v1/jobs/job_none/content").status_code == 404
    assert http.get("/v1/jobs/..%2F..%2Fetc%2Fpasswd").status_code == 404


def test_a_moderated_job_fails_with_its_reason_and_costs_nothing(http, emu, tiny_clip):
    files = {"data": tiny_clip.read_bytes()}
    job_id = submit(http, "lucy-2.1", files, prompt="a [[blocked]] castle")
    body = poll(http, job_id)
    assert body["status"] == "failed"
    assert "moderation" in body["error"].lower()
    assert http.get(f"/v1/jobs/{job_id}/content").status_code == 409
    [entry] = emu.ledger
    assert entry.price == 0.0
    assert entry.enhanced_prompt == ""


def test_a_clip_whose_inside_is_broken_fails_the_job_and_is_credited_back(http, emu, tiny_clip):
    """Its header is in order, so that only decoding finds out."""
    with emulator(speed=200, render="full") as full:
        http.base_url = httpx.URL(full.url)
        good = tiny_clip.read_bytes()
        start = good.index(b"mdat") + 4
        broken = good[:start] + bytes(len(good) - start)
        job_id = submit(http, "lucy-2.1", {"data": broken}, prompt="ink")
        assert poll(http, job_id)["status"] == "failed"
        assert full.ledger.total == 0.0


def test_no_more_jobs_are_processed_at_once_than_the_capacity(tiny_clip, tmp_path):
    async def scene() -> None:
        clock, world = ManualClock(), World.open(None)
        runner = Runner(world, clock, Settings(capacity=2, render="canned"))
        jobs = [job(f"job_{n}", wait_s=1, work_s=10) for n in range(5)]
        tasks = [runner.start(each) for each in jobs]
        await clock.advance(1.5)
        assert statuses(jobs) == ["processing"] * 2 + ["pending"] * 3
        await clock.advance(10)
        assert statuses(jobs)[2:] == ["processing"] * 2 + ["pending"]
        await clock.advance(20)
        await asyncio.gather(*tasks)
        assert statuses(jobs) == ["failed"] * 5  # moderated: no media work here
        await runner.close()
        world.close()

    asyncio.run(scene())


def test_a_job_that_is_not_done_within_ten_minutes_fails():
    async def scene() -> None:
        clock, world = ManualClock(), World.open(None)
        runner = Runner(world, clock, Settings(render="canned"))
        slow, quick = job("job_slow", work_s=JOB_LIMIT_S), job("job_quick", work_s=590)
        tasks = [runner.start(slow), runner.start(quick)]
        await clock.advance(599)
        assert statuses([slow, quick]) == ["processing", "failed"]
        await clock.advance(2)
        await asyncio.gather(*tasks)
        assert slow.error == TOO_LONG
        assert quick.error != TOO_LONG
        await runner.close()
        world.close()

    asyncio.run(scene())


def job(name: str, *, wait_s: float = 1.0, work_s: float = 1.0) -> JobRecord:
    """A moderated job, which goes through the states without media work."""
    return JobRecord(
        id=name,
        model="lucy-2.1",
        kind="video",
        status="pending",
        prompt="",
        seed=1,
        resolution="720p",
        orientation="landscape",
        submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
        wait_s=wait_s,
        work_s=work_s,
        ledger_id="none",
        blocked=True,
    )


def statuses(jobs: list[JobRecord]) -> list[str]:
    return [str(each.status) for each in jobs]


@given(st.integers(), st.floats(0.1, 1800))
def test_durations_are_drawn_from_the_seed_and_leave_room_for_the_longest_clip(seed, seconds):
    model = find("lucy-restyle-2", "video")
    first = durations(model, seconds, random.Random(seed))
    assert first == durations(model, seconds, random.Random(seed))
    assert first[0] > 0
    assert 1.5 < first[1] < JOB_LIMIT_S * 1.5


def test_the_longest_documented_clip_is_usually_done_in_time():
    model = find("lucy-restyle-2", "video")
    late = sum(sum(durations(model, 1800.0, random.Random(n))) > JOB_LIMIT_S for n in range(500))
    assert late == 0


def test_longer_clips_and_slower_models_take_longer():
    def work(name, seconds):
        return durations(find(name, "video"), seconds, random.Random(1))[1]

    assert work("lucy-2.5", 5) < work("lucy-2.5", 10) < work("lucy-2.1", 10)


def test_the_ledger_lists_what_was_accepted_with_its_price(http, emu, picture, tiny_clip):
    files = {"data": tiny_clip.read_bytes()}
    submit(http, "lucy-latest", files, prompt="ink", seed="7")
    submit(http, "lucy-2.6", files, prompt="ink")
    data = {"prompt": "ink", "resolution": "480p"}
    http.post("/v1/generate/lucy-image-2", data=data, files={"data": picture})
    http.post("/v1/generate/lucy-image-2", data={"prompt": "ink"})  # refused: not in the ledger
    body = http.get("/_emulator/ledger").json()
    assert [(e["route"], e["model"], e["model_resolved"], e["price"]) for e in body["entries"]] == [
        ("jobs", "lucy-latest", "lucy-2.5", 0.02),
        ("jobs", "lucy-2.6", "lucy-2.6", None),
        ("generate", "lucy-image-2", "lucy-image-2", 0.01),
    ]
    assert body["total"] == emu.ledger.total == 0.03
    assert set(body["entries"][0]) == {
        "id",
        "at",
        "route",
        "model",
        "model_resolved",
        "request_sha256",
        "job_id",
        "seconds",
        "resolution",
        "price",
        "enhanced_prompt",
        "session_id",
        "reason",
    }
    assert body["entries"][0]["job_id"] in emu.world.jobs
    assert body["entries"][2]["job_id"] is None
    assert emu.ledger[0].seconds == 0.5
    assert datetime.fromisoformat(body["entries"][0]["at"]).utcoffset().total_seconds() == 0


def test_equal_requests_have_equal_hashes_and_others_do_not(http, emu, picture):
    def ask(files=None, **fields):
        files = files or {"data": picture}
        answer = http.post(
            "/v1/generate/lucy-image-2", data={"prompt": "ink"} | fields, files=files
        )
        assert answer.status_code == 200
        return emu.ledger[-1].request_sha256

    assert ask(seed="1") == ask(seed="1", unknown="x")
    assert ask(enhance_prompt="True") == ask(enhance_prompt="true")
    others = [ask(), ask(seed="1"), ask(seed="2"), ask(prompt="clay")]
    others.append(ask({"data": picture, "reference_image": picture}))
    assert len(set(others)) == len(others)


def test_an_account_with_credits_runs_dry(tiny_clip):
    with (
        emulator(speed=200, render="canned", credits=0.05) as emu,
        httpx.Client(base_url=emu.url, headers=KEY) as http,
    ):
        files = {"data": tiny_clip.read_bytes()}  # half a second at 0.04 USD per second
        assert http.post("/v1/jobs/lucy-2.1", files=files).status_code == 200
        assert http.post("/v1/jobs/lucy-2.1", files=files).status_code == 200
        refused = http.post("/v1/jobs/lucy-2.1", files=files)
        assert refused.status_code == 402
        assert "credits" in refused.json()["detail"]
        # no known price, nothing drawn
        assert http.post("/v1/jobs/lucy-2.6", files=files).status_code == 200
        assert len(emu.ledger) == 3


def test_an_unset_seed_is_drawn_anew_for_each_repetition(http, emu, tiny_clip):
    files = {"data": tiny_clip.read_bytes()}
    ids = [submit(http, "lucy-2.1", files, prompt="ink") for _ in range(3)]
    assert len({emu.world.jobs[each].seed for each in ids}) == 3


@pytest.mark.parametrize("prompt", ["", "a" * 5000, "<script>", "été 日本 \u0000"])
def test_prompts_of_any_length_and_script_are_taken(http, tiny_clip, prompt):
    submit(http, "lucy-2.5", {"data": tiny_clip.read_bytes()}, prompt=prompt)
    if prompt:
        submit(http, "lucy-clip", {"data": tiny_clip.read_bytes()}, prompt=prompt)
