"""Faults as they are armed, counted and cleared, and what they really do to a socket."""

from __future__ import annotations

import json
import re
import socket
import threading

import httpx
import pytest
from starlette.requests import Request

from decart_lab.emulator import emulator, fault_routes
from decart_lab.emulator.answers import Refusal
from decart_lab.emulator.fault_kinds import ROUTES
from decart_lab.emulator.fault_rows import FAULTS
from decart_lab.emulator.faults import Faults, parse
from decart_lab.errors import InvalidInputError
from tests.helpers.rest import KEY, eventually, poll, submit

CONTROL = "/_emulator/faults"


def ask(http, picture, **fields):
    return http.post(
        "/v1/generate/lucy-image-2", data={"prompt": "ink"} | fields, files={"data": picture}
    )


# -- the rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_a_row_says_everything_that_is_asked_of_one(fault):
    assert fault.outcomes
    assert re.fullmatch(r"[a-z0-9_]+", fault.name)
    assert fault.says[0].islower()
    assert not fault.says.endswith(".")
    assert fault.side == "server"
    assert fault.hook == "listener" or set(fault.outcomes) <= set(ROUTES)
    most = 2 if fault.hook == "session" else 1  # a session may be replaced by another
    assert all(0 <= outcome.paid <= most for outcome in fault.outcomes.values())
    assert (fault.live is not None) == (fault.hook == "session")


def test_what_was_charged_and_not_told_is_in_doubt_in_every_row():
    """The table cannot promise that money is spent and nobody wonders about it."""
    for fault in FAULTS.values():
        for route in ("generate", "jobs"):
            outcome = fault.outcomes.get(route)
            if outcome is not None and outcome.status not in ("completed", "in_doubt"):
                assert outcome.paid == 0, fault.name


# -- arming --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "rate_limit"}, "fault"),
        ({"name": "job_lost", "route": "jobs"}, "route"),
        ({"name": "rate_limited", "route": "nowhere"}, "route"),
        ({"name": "rate_limited", "times": 0}, "times"),
        ({"name": "rate_limited", "after": -1}, "after"),
        ({"name": "rate_limited", "chance": 0}, "chance"),
        ({"name": "rate_limited", "chance": float("nan")}, "chance"),
        ({"name": "rate_limited", "wait_s": 1}, "wait_s"),
        ({"name": "rate_limited", "retry_after_s": -1}, "retry_after_s"),
        ({"name": "rate_limited", "retry_after_s": "soon"}, "retry_after_s"),
        ({"name": "clock_skew", "skew_s": float("inf")}, "skew_s"),
    ],
)
def test_what_cannot_be_armed_is_refused_by_name(given, field):
    with pytest.raises(InvalidInputError) as caught:
        Faults().add(**given)
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["", "nothing", "rate_limited:times", "rate_limited:times=x"])
def test_a_line_that_is_no_fault_is_refused(text):
    with pytest.raises(InvalidInputError):
        parse(text)


def test_a_fault_strikes_as_often_as_it_was_told_and_not_before():
    faults = Faults()
    faults.add("server_error", route="jobs", model="lucy-2.1", after=2, times=2)
    met = [faults.meet("jobs", "lucy-2.1", None) is not None for _ in range(6)]
    assert met == [False, False, True, True, False, False]
    assert faults.meet("jobs", "lucy-2.5", None) is None
    assert faults.meet("generate", "lucy-2.1", None) is None
    [armed] = faults
    assert armed.struck == 2


def test_a_fault_of_jobs_counts_jobs_and_stays_with_them():
    faults = Faults()
    faults.add("job_stuck", times=1, after=1)
    met = [faults.meet("status", None, job) is not None for job in "aabbccab"]
    assert met == [False, False, True, True, False, False, False, True]


def test_chances_are_drawn_from_the_emulators_own_dice():
    def drawn(seed):
        faults = Faults(seed)
        faults.add("silence", chance=0.5)
        return [faults.meet("jobs", None, None) is not None for _ in range(64)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 16 < sum(drawn(1)) < 48


def test_the_first_that_was_armed_strikes_first_and_one_at_a_time():
    faults = Faults()
    first = faults.add("server_error", times=1)
    second = faults.add("bad_gateway")
    assert [faults.meet("jobs", None, None).id for _ in range(2)] == [first, second]
    assert faults.remove(second)
    assert not faults.remove(second)
    assert faults.meet("jobs", None, None) is None


def test_adding_from_many_threads_loses_none():
    faults = Faults()
    threads = [threading.Thread(target=faults.add, args=("silence",)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({armed.id for armed in faults}) == len(faults) == 32


# -- at the emulator -----------------------------------------------------------------------------


def test_what_is_never_struck(http, emu):
    """The control, the ledger and the health check work whatever is armed."""
    for name in ("silence", "server_error", "reset_before_body"):
        emu.faults.add(name)
    assert http.get("/health").status_code == 200
    assert http.get("/_emulator/ledger").status_code == 200
    assert len(http.get(CONTROL).json()["armed"]) == 3


def test_other_routes_can_be_struck_as_well(http, emu):
    emu.faults.add("server_error", route="other", times=1)
    assert http.get("/v1/realtime/quota").status_code == 500
    assert http.get("/v1/realtime/quota").status_code == 200


def test_a_refusal_of_the_service_itself_is_told_as_it_is(http, emu):
    """A fault that spoils accepted requests leaves the others alone."""
    emu.faults.add("charge_then_500")
    answer = http.post("/v1/jobs/lucy-2.1", data={"prompt": "x"})
    assert answer.status_code == 422
    assert len(emu.ledger) == 0


def test_answers_that_are_written_by_hand_carry_the_mark(http, emu, picture):
    emu.faults.add("clock_skew", retry_after_s=90, skew_s=-3600)
    answer = ask(http, picture)
    assert answer.status_code == 429
    assert answer.headers["x-decart-emulator"] == "1"
    assert answer.headers.get_list("date") == [answer.headers["date"]]
    assert answer.headers["retry-after"].endswith("GMT")


@pytest.mark.parametrize("name", ["server_error", "bad_gateway", "unavailable"])
@pytest.mark.parametrize("seconds", [0, 7])
def test_a_refusal_says_when_to_come_back_only_when_told(http, emu, picture, name, seconds):
    emu.faults.add(name, retry_after_s=seconds)
    assert ask(http, picture).headers.get("retry-after") == ({7: "7"}.get(seconds))


def test_a_failed_job_is_credited_back_and_stays_failed(http, emu, tiny_clip):
    emu.faults.add("job_failed", times=1, reason="Out of paint.")
    job = submit(http, "lucy-2.1", {"data": tiny_clip.read_bytes()}, prompt="x")
    assert poll(http, job)["error"] == "Out of paint."
    emu.faults.clear()
    for _ in range(3):  # meanwhile its own time would have come
        later = submit(http, "lucy-2.1", {"data": tiny_clip.read_bytes()}, prompt="x")
        assert poll(http, later)["status"] == "completed"
    assert poll(http, job)["status"] == "failed"
    assert http.get(f"/v1/jobs/{job}/content").status_code == 409
    assert emu.ledger[0].price == 0


def test_a_stuck_job_goes_on_when_the_fault_is_cleared(http, emu, tiny_clip):
    emu.faults.add("job_stuck", times=1)
    job = submit(http, "lucy-2.1", {"data": tiny_clip.read_bytes()}, prompt="x")
    eventually(lambda: emu.world.jobs[job].final)
    assert http.get(f"/v1/jobs/{job}").json()["status"] == "processing"
    emu.faults.clear()
    assert poll(http, job)["status"] == "completed"


def raw(emu, request: bytes) -> tuple[bytes, bool]:
    """Send bytes; return what came, and whether the connection was reset."""
    with socket.create_connection(("127.0.0.1", emu.port), timeout=10) as connection:
        connection.sendall(request)
        came = b""
        try:
            while piece := connection.recv(65536):
                came += piece
        except ConnectionResetError:
            return came, True
        return came, False


def test_a_reset_is_a_reset_and_an_end_is_an_end(emu):
    request = b"GET /v1/realtime/quota HTTP/1.1\r\nHost: localhost\r\nx-api-key: k\r\n"
    emu.faults.add("reset_after_body", times=1)
    emu.faults.add("length_too_long", times=1, by_bytes=5)
    assert raw(emu, request + b"\r\n") == (b"", True)
    answer, was_reset = raw(emu, request + b"\r\n")
    assert not was_reset
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(body) + 5}".encode() in head
    assert json.loads(body)["limit"] == 5


def test_a_refused_connection_is_refused_and_comes_back(emu, http):
    assert http.get("/health").status_code == 200
    number = emu.faults.add("connection_refused", for_s=1e9)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", emu.port), timeout=10)
    with pytest.raises(httpx.ConnectError):
        http.get("/health")  # the connection that was kept alive is gone as well
    emu.faults.remove(number)
    eventually(lambda: not _refused(emu))
    assert http.get("/health").status_code == 200
    emu.faults.add("connection_refused", for_s=5)
    eventually(lambda: not _refused(emu))


def _refused(emu) -> bool:
    try:
        socket.create_connection(("127.0.0.1", emu.port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_emulator_ends_while_it_refuses_and_while_it_is_silent(picture):
    emu = emulator(speed=100, render="canned", faults=["silence:route=generate"]).start()
    failed = threading.Event()

    def wait_for_nothing():
        with pytest.raises(httpx.HTTPError), httpx.Client(base_url=emu.url, headers=KEY) as http:
            ask(http, picture)
        failed.set()

    threading.Thread(target=wait_for_nothing).start()
    eventually(lambda: len(emu.ledger) == 1)
    emu.faults.add("connection_refused", for_s=1e9)
    emu.stop()
    assert failed.wait(10)


# -- over HTTP -----------------------------------------------------------------------------------


def test_faults_are_armed_seen_and_cleared_over_http(http, emu, picture):
    first = http.post(CONTROL, json={"fault": "rate_limited:retry_after_s=3", "times": 1})
    assert (first.status_code, first.json()) == (201, {"id": 1})
    http.post(CONTROL, json={"fault": "server_error", "route": "status", "chance": 0.5})
    said = http.get(CONTROL).json()
    assert [row["fault"] for row in said["armed"]] == ["rate_limited", "server_error"]
    assert said["armed"][0]["values"] == {"retry_after_s": 3.0}
    assert {row["name"] for row in said["faults"]} == set(FAULTS)
    answer = ask(http, picture)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert http.get(CONTROL).json()["armed"][0]["struck"] == 1
    assert http.delete(f"{CONTROL}/2").status_code == 204
    assert http.delete(f"{CONTROL}/2").status_code == 404
    assert len(emu.faults) == 1
    assert http.delete(CONTROL).status_code == 204
    assert len(emu.faults) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b"{}",
        b'{"fault": 1}',
        b'{"fault": "nothing"}',
        b'{"fault": "silence", "times": "2"}',
        b'{"fault": "silence", "times": [2]}',
        b'{"fault": "silence", "name": "redirect"}',
        b'{"fault": "silence", "self": "x"}',
        b'{"fault": "silence", "route": 3}',
        b'{"fault": "silence", "chance": "1"}',
    ],
)
def test_nonsense_over_http_is_told_in_rows(http, emu, body):
    answer = http.post(CONTROL, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert len(emu.faults) == 0


def test_a_page_of_another_origin_cannot_arm_a_fault(http, emu):
    """A form can send text to this machine without being asked, but not JSON."""
    body = b'{"fault": "silence"}'
    sent = http.post(CONTROL, content=body, headers={"content-type": "text/plain"})
    assert sent.status_code == 415
    named = http.post(CONTROL, json={"fault": "silence"}, headers={"host": "evil.example"})
    assert named.status_code == 421
    assert len(emu.faults) == 0


@pytest.mark.parametrize("client", [("192.0.2.7", 4711), ("8.8.8.8", 1), ("testclient", 1), None])
@pytest.mark.parametrize("route", [fault_routes.look, fault_routes.arm, fault_routes.clear])
@pytest.mark.anyio
async def test_only_this_machine_may_see_or_arm_a_fault(client, route):
    with pytest.raises(Refusal) as caught:
        await route(Request({"type": "http", "client": client, "headers": []}))
    assert caught.value.status == 403


def test_who_calls_is_who_connects_and_not_what_a_header_says(http):
    answer = http.get(CONTROL, headers={"x-forwarded-for": "192.0.2.7"})
    assert answer.status_code == 200


def test_it_can_begin_with_faults(picture):
    spec = "rate_limited:route=generate,times=1"
    with (
        emulator(render="canned", speed=100, faults=[spec]) as emu,
        httpx.Client(base_url=emu.url, headers=KEY) as http,
    ):
        assert repr(emu.faults).startswith("1 fault is armed:\n#1")
        assert [ask(http, picture).status_code for _ in range(2)] == [429, 200]
    with pytest.raises(InvalidInputError, match="there is no fault"):
        emulator(faults=["explode"])


def test_the_command_lists_what_there_is(capsys):
    from decart_lab.emulator.command import main

    assert main(["--fault", "list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in FAULTS)
