"""Every fault of the emulator, seen by the client: each is an error of the class it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from decart_lab import DecartClient, errors
from decart_lab._clock import AcceleratedClock
from decart_lab._retry import Policy
from decart_lab.emulator import emulator
from tests.helpers.faults import PATIENCE, STRUCK, make_inputs, names

pytestmark = pytest.mark.anyio

SPEED = 200


@pytest.fixture(scope="module")
def emu():
    with emulator(speed=SPEED, render="canned") as running:
        yield running


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def client_of(emu, fault) -> DecartClient:
    return DecartClient(
        "a-key",
        base_url=emu.url,
        timeouts=PATIENCE.get(fault.name),
        retries=Policy(attempts=2, base_s=0.1),
        clock=AcceleratedClock(SPEED),
    )


async def call(client: DecartClient, route: str, inputs: dict[str, Path], large: bool) -> object:
    """Make one call whose request or answer goes by that route."""
    picture = inputs["big" if large else "small"]
    if route == "generate":
        return await client.process(model="lucy-image-2", prompt="ink", data=picture)
    options = {"model": "lucy-image-2", "prompt": "ink", "data": picture, "image_route": "queue"}
    return await client.queue.submit(options)


@pytest.fixture(autouse=True)
def nothing_left(emu):
    yield
    emu.faults.clear()


def error_of(promise: str) -> tuple[type[BaseException], ...]:
    return tuple(getattr(errors, name) for name in promise.split(" or "))


@pytest.mark.parametrize(("fault", "route"), STRUCK, ids=names(STRUCK))
async def test_a_fault_that_lasts_is_an_error_of_the_promised_class(emu, inputs, fault, route):
    wanted = fault.outcomes[route].error
    async with client_of(emu, fault) as client:
        job = None
        if route in ("status", "content"):
            job = await client.queue.submit(model="lucy-2.1", prompt="snow", data=inputs["clip"])
            if route == "content":
                await client.queue.wait(job)
        if route == "connect":
            emu.faults.add(fault.name, for_s=1e6)
        else:
            emu.faults.add(fault.name, route=route)

        async def provoke():
            if route == "status":
                await client.queue.status(job.job_id)
                return await client.queue.wait(job, timeout_s=60)
            if route == "content":
                return await client.queue.result(job.job_id)
            return await call(client, route, inputs, fault.large)

        if not wanted:
            found = await provoke()
            if fault.name == "job_failed":
                assert (found.status, found.error) == ("failed", "The clip was too strange.")
            return
        with pytest.raises(error_of(wanted)) as caught:
            await provoke()
        error = caught.value
        assert isinstance(error, errors.DecartSDKError)
        assert "\r" not in str(error)
        if job is not None:
            assert error.job_id == job.job_id
        emu.faults.clear()
        if fault.hook != "job":
            assert await call(client, "jobs", inputs, large=False)


BOUGHT = [(fault, route) for fault, route in STRUCK if route in ("generate", "jobs")]


@pytest.mark.parametrize(("fault", "route"), BOUGHT, ids=names(BOUGHT))
async def test_no_fault_makes_a_call_pay_twice(emu, inputs, fault, route):
    """The ledger says so, whatever the client was told; what is repeated was never taken."""
    emu.faults.add(fault.name, route=route, times=1)
    before = len(emu.ledger)
    outcome = fault.outcomes[route]
    async with client_of(emu, fault) as client:
        if outcome.status == "completed":
            await call(client, route, inputs, fault.large)
        else:
            with pytest.raises(error_of(outcome.error)):
                await call(client, route, inputs, fault.large)
    assert len(emu.ledger) - before == outcome.paid
