"""Lab: single pictures and clips, the blocking namespaces, and life inside a running loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from decart_lab.contract.responses import JobResult
from decart_lab.errors import InvalidInputError, JobFailedError, ProcessingError
from decart_lab.lab.connect import connect
from decart_lab.media import samples
from decart_lab.media.media import Media
from tests.helpers.serve import serve
from tests.sweep.scripted import Scripted

CAT, CLIP = samples.path("cat.jpg"), samples.path("clip.mp4")


@pytest.fixture
def lab(emu):
    with connect(emu.url) as made:
        yield made


def test_a_picture_is_kept_beside_the_runs_and_knows_what_it_is(lab, emu):
    media = lab.process("lucy-image-2", "oil painting", data=CAT, seed=1)
    assert isinstance(media, Media)
    assert (media.kind, media.simulated, media.cost) == ("image", True, 0.02)
    assert media.caption == "oil painting"
    assert media.path.is_relative_to(lab.runs_root)
    assert len(emu.ledger) == 1


def test_a_clip_is_edited_as_a_job_and_its_states_are_told(lab):
    told = []
    done = threading.Event()

    def tell(job):
        told.append((job.status, threading.current_thread().name))
        if job.status == "completed":
            done.set()

    media = lab.edit_video("lucy-2.1", "snow", data=CLIP, on_status_change=tell)
    assert (media.kind, media.simulated) == ("video", True)
    assert media.job_id.startswith("job")
    assert media.cost == pytest.approx(0.04 * media.duration_s, rel=0.02)
    assert done.wait(5)
    assert [told[0][0], told[-1][0]] == ["pending", "completed"]
    assert {name for _, name in told} == {"decart-lab-callbacks"}


def test_a_failed_job_is_an_exception_with_the_reason_and_the_id(lab):
    with pytest.raises(JobFailedError, match="failed:") as caught:
        lab.edit_video("lucy-2.1", "x [[blocked]]", data=CLIP)
    assert caught.value.job_id
    with pytest.raises(JobFailedError, match="failed before") as again:
        lab.edit_video("lucy-2.1", "x [[blocked]]", data=CLIP)
    assert again.value.job_id == caught.value.job_id


def test_results_go_where_they_are_asked_to(lab, tmp_path):
    target = tmp_path / "out.png"
    assert lab.process("lucy-image-2", "ink", data=CAT, save_to=target).path == target
    clip = tmp_path / "out.mp4"
    assert lab.edit_video("lucy-2.1", "ink", data=CLIP, save_to=clip).path == clip


def test_the_queue_works_by_hand_and_by_itself(lab):
    job = lab.queue.submit(model="lucy-2.1", prompt="ink", data=CLIP)
    assert lab.queue.status(job.job_id).job_id == job.job_id
    assert lab.queue.wait(job).status == "completed"
    media = lab.queue.result(job.job_id)
    assert media.path.is_relative_to(lab.runs_root)
    told: list = []
    result = lab.queue.submit_and_poll(
        {"model": "lucy-2.1", "prompt": "ink", "data": CLIP, "on_status_change": told.append}
    )
    assert isinstance(result, JobResult)
    assert result.data.path.is_relative_to(lab.runs_root / "media")
    failed = lab.queue.submit_and_poll(model="lucy-2.1", prompt="[[blocked]]", data=CLIP)
    assert (failed.status, failed.data) == ("failed", None)


def test_the_other_namespaces_answer(lab):
    assert lab.models.resolve("lucy-image-latest") == "lucy-image-2"
    assert set(lab.models.resolve(["lucy-latest"])) == {"lucy-latest"}
    assert lab.tokens.create(expires_in=60).api_key.startswith("ek_")
    file = lab.files.upload(CAT)
    assert lab.files.get(file.id).size_bytes == CAT.stat().st_size
    lab.files.delete(file.id)
    assert lab.realtime.quota()
    for name in ("queue", "tokens", "files", "models", "realtime"):
        assert name in repr(getattr(lab, name))


def test_bad_input_is_refused_before_any_request(lab, emu):
    for call in (
        lambda: lab.process("lucy-image-2", "ink", data="no_such_file.png"),
        lambda: lab.process("lucy-2.1", "ink", data=CLIP),
        lambda: lab.edit_video("lucy-image-2", "ink", data=CAT),
        lambda: lab.process("lucy-image-2", "x" * 1001, data=CAT),
        lambda: lab.edit_video("lucy-2.1", "ink", data=CLIP, on_status_change=7),
    ):
        with pytest.raises(InvalidInputError):
            call()
    assert len(emu.ledger) == 0


def test_coroutine_callbacks_are_for_the_async_client(lab):
    async def tell(_):
        raise AssertionError("never called")

    with pytest.raises(InvalidInputError, match="plain function"):
        lab.queue.submit_and_poll(model="lucy-2.1", prompt="x", data=CLIP, on_status_change=tell)


def test_it_works_inside_a_running_loop(lab):
    async def cell():
        return lab.process("lucy-image-2", "ink", data=CAT)

    assert asyncio.run(cell()).simulated


def test_errors_of_the_service_come_through_as_they_are():
    with serve(Scripted().app) as url, connect(url, api_key="k") as lab:
        assert lab.service == url
        with pytest.raises(ProcessingError, match="not this"):
            lab.process("lucy-image-2", "refused", data=CAT)
        assert lab.process("lucy-image-2", "ink", data=CAT).simulated is False


def test_a_closed_lab_says_so(lab):
    lab.close()
    lab.close()
    assert "closed" in repr(lab)
    with pytest.raises(InvalidInputError, match="closed"):
        lab.sweep(model="lucy-image-2", prompt="ink", data=CAT).start()


def test_it_shows_where_it_is_connected(lab):
    shown = lab._repr_mimebundle_()
    assert lab.url in shown["text/plain"]
    assert "simulated" in shown["text/html"]


def test_url_inputs_reach_private_addresses_only_when_allowed(emu):
    with serve(Scripted().app) as url:
        with connect(emu.url) as lab, pytest.raises(InvalidInputError, match="private network"):
            lab.process("lucy-image-2", "ink", data=f"{url}/health")
        allowed = connect(emu.url, allow_private_urls=True)
        with allowed as lab, pytest.raises(InvalidInputError, match="looks like"):
            lab.process("lucy-image-2", "ink", data=f"{url}/health")
    assert len(emu.ledger) == 0
