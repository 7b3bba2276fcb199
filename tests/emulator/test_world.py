"""What survives a restart, and who may have a world."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from decart_lab.emulator import emulator
from decart_lab.emulator.records import FileRecord, JobRecord, LedgerEntry, TokenRecord
from decart_lab.emulator.world import RESULTS_KEPT, World
from decart_lab.errors import EmulatorError
from tests.helpers.rest import KEY, poll, submit

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_restarted_emulator_knows_its_jobs_files_tokens_and_ledger(tmp_path, picture, tiny_clip):
    with (
        emulator(state=tmp_path, speed=200, render="canned") as emu,
        httpx.Client(base_url=emu.url, headers=KEY) as http,
    ):
        done = submit(http, "lucy-2.1", {"data": tiny_clip.read_bytes()}, prompt="ink")
        poll(http, done)
        content = http.get(f"/v1/jobs/{done}/content").content
        file_id = http.post("/v1/files", files={"file": picture}).json()["id"]
        token = http.post("/v1/client/tokens", json={"expiresIn": 3600}).json()
        before = http.get("/_emulator/ledger").json()
    with (
        emulator(state=tmp_path, speed=1, render="canned") as emu,
        httpx.Client(base_url=emu.url, headers=KEY) as http,
    ):
        assert http.get(f"/v1/jobs/{done}").json()["status"] == "completed"
        assert http.get(f"/v1/jobs/{done}/content").content == content
        assert http.get(f"/v1/files/{file_id}").status_code == 200
        assert http.get("/_emulator/ledger").json() == before
        for form in ("apiKey", "token"):
            key = {"x-api-key": token[form]}
            assert http.get("/v1/realtime/quota", headers=key).status_code == 200
        # The first emulator's clock ran far ahead; a world's time does not go back.
        submit(http, "lucy-2.1", {"data": tiny_clip.read_bytes()}, prompt="later")
        assert emu.ledger[-1].at > emu.world.jobs[done].finished_at


def test_unfinished_jobs_are_taken_up_again(tmp_path, tiny_clip):
    with (
        emulator(state=tmp_path, speed=0.001, render="canned") as emu,  # nothing ever happens
        httpx.Client(base_url=emu.url, headers=KEY) as http,
    ):
        job_id = submit(http, "lucy-2.1", {"data": tiny_clip.read_bytes()}, prompt="ink", seed="3")
        blocked = submit(http, "lucy-2.1", {"data": tiny_clip.read_bytes()}, prompt="[[blocked]]")
        asked = emu.world.jobs[job_id]
    with (
        emulator(state=tmp_path, speed=200, render="canned") as emu,
        httpx.Client(base_url=emu.url, headers=KEY) as http,
    ):
        assert poll(http, job_id)["status"] == "completed"
        assert poll(http, blocked)["status"] == "failed"
        again = emu.world.jobs[job_id]
        assert (again.prompt, again.seed, again.seconds) == (asked.prompt, 3, asked.seconds)
        assert len(emu.ledger) == 2, "taking up again is not buying again"


def test_the_state_folder_keeps_itself_out_of_version_control(tmp_path):
    with emulator(state=tmp_path, render="canned"):
        assert (tmp_path / ".emulator" / ".gitignore").read_text() == "*\n"
        assert [path.name for path in tmp_path.iterdir()] == [".emulator"]


def test_a_temporary_world_is_removed_at_the_end():
    with emulator(render="canned") as emu:
        folder = emu.world.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_two_emulators_on_one_folder_have_a_world_each(tmp_path):
    first = World.open(tmp_path)
    second = World.open(tmp_path, wait_s=0)
    assert first.folder != second.folder
    first.close()
    third = World.open(tmp_path, wait_s=0)
    assert third.folder == first.folder, "what was let go of is taken up again"
    second.close()
    third.close()


def test_a_world_that_is_being_let_go_of_is_waited_for(tmp_path):
    import threading

    first = World.open(tmp_path)
    folder = first.folder
    threading.Timer(0.2, first.close).start()
    second = World.open(tmp_path, wait_s=10)
    assert second.folder == folder
    second.close()


def test_a_folder_that_cannot_be_used_is_an_emulator_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(EmulatorError, match="cannot keep its world"):
        World.open(tmp_path / "file")
    broken = tmp_path / "broken" / ".emulator" / "world-1"
    broken.mkdir(parents=True)
    (broken / "world.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(EmulatorError, match="cannot keep its world"):
        World.open(tmp_path / "broken")


def test_what_is_past_its_time_is_forgotten(tmp_path):
    world = World.open(tmp_path)
    old, recent = NOW - RESULTS_KEPT - timedelta(days=1), NOW - timedelta(hours=1)
    for name, at in (("job_old", old), ("job_recent", recent)):
        world.save_job(job(name, finished_at=at, result=f"{name}.mp4"))
        (world.results / f"{name}.mp4").write_bytes(b"clip")
    world.save_job(job("job_open", inputs={"data": "job_open-data"}))
    for name in ("job_open-data", "orphan"):
        (world.uploads / name).write_bytes(b"clip")
    world.save_file(FileRecord("file_old", None, "image/png", 1, old, recent))
    world.save_file(FileRecord("file_kept", None, "image/png", 1, old, None))
    world.save_token(TokenRecord("ct_old", "h", old, recent))
    world.prune(NOW)
    world.close()
    again = World.open(tmp_path)
    assert list(again.jobs) == ["job_recent", "job_open"]
    assert list(again.files) == ["file_kept"]
    assert not again.tokens
    assert [path.name for path in again.results.iterdir()] == ["job_recent.mp4"]
    assert [path.name for path in again.uploads.iterdir()] == ["job_open-data"]
    again.close()


def job(name: str, **more: object) -> JobRecord:
    facts = {
        "id": name,
        "model": "lucy-2.1",
        "kind": "video",
        "status": "completed" if "finished_at" in more else "pending",
        "prompt": "",
        "seed": 1,
        "resolution": "720p",
        "orientation": "landscape",
        "submitted_at": NOW,
        "wait_s": 1.0,
        "work_s": 1.0,
        "ledger_id": "",
    }
    return JobRecord(**(facts | more))


def test_rows_survive_their_journey_through_json():
    rows = [
        job("job_a", finished_at=NOW, trajectory=[{"frame": 0, "x": 1.0, "y": 2.0}]),
        TokenRecord("ct", "h", NOW, NOW, models=["m"], constraints={"realtime": {}}),
        FileRecord("file", None, "image/png", 3, NOW, None),
        LedgerEntry("led", NOW, "jobs", "m", "m", "ab", None, None, "720p", None, "2026-01-01"),
    ]
    for row in rows:
        assert type(row).from_json(row.as_json() | {"of_a_later_version": 1}) == row
