"""Every fault of the emulator, struck once under a sweep: the point ends where the row promises.

The ledger is the judge of money: what was bought, and that nothing was bought twice.
"""

from __future__ import annotations

import pytest

from decart_lab.emulator import emulator
from tests.helpers.faults import PATIENCE, STRUCK, make_inputs, names
from tests.helpers.sweeping import SPEED, run_points

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def emu():
    with emulator(speed=SPEED, render="canned") as running:
        yield running


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(autouse=True)
def nothing_left(emu):
    yield
    emu.faults.clear()


def grid(route, inputs, large):
    """A point that is bought by that route, and the options it takes."""
    picture = inputs["big" if large else "small"]
    options = {"deadline_s": 300.0}
    if route in ("generate", "connect"):
        return {"model": "lucy-image-2", "data": picture, "options": options}
    if large:
        options["image_route"] = "queue"
        return {"model": "lucy-image-2", "data": picture, "options": options}
    return {"model": "lucy-2.1", "data": inputs["clip"], "options": options}


@pytest.mark.parametrize(("fault", "route"), STRUCK, ids=names(STRUCK))
async def test_a_point_ends_where_the_fault_says(emu, inputs, tmp_path, fault, route):
    before = len(emu.ledger)
    if route == "connect":
        emu.faults.add(fault.name)
    else:
        emu.faults.add(fault.name, route=route, times=1)
    timeouts = PATIENCE.get(fault.name)
    [row] = await run_points(
        emu.url, tmp_path, prompt="ink", timeouts=timeouts, **grid(route, inputs, fault.large)
    )
    outcome = fault.outcomes[route]
    assert [armed.struck for armed in emu.faults] != [0]
    assert row["status"] == outcome.status, row.get("error_message")
    entries = list(emu.ledger)[before:]
    assert len(entries) == outcome.paid
    if row["status"] == "completed":
        assert (tmp_path / "run" / row["media"]).stat().st_size == row["media_bytes"]
    elif outcome.paid and row["status"] != "in_doubt":
        assert row["job_id"] == entries[0].job_id
