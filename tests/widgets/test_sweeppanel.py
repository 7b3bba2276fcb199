"""The panel from the kernel's side: fields to sweep, sweep to figures, buttons to runs."""

from __future__ import annotations

import json
import threading
import time

import pytest

import decart_lab as dl
from decart_lab.errors import DecartSDKError, GridError, InvalidInputError
from decart_lab.sweep.template import Template
from decart_lab.widgets.form import keywords
from decart_lab.widgets.sweeppanel import SweepPanel

KEY = "dl-secret-key-of-nobody"


class Overheard(SweepPanel):
    """A panel whose messages a test reads, as a front end would."""

    def tell(self, kind, content, buffers=()):
        self.__dict__.setdefault("told", []).append((kind, content, buffers))
        super().tell(kind, content, buffers)

    def press(self, kind):
        self._handle_custom_msg({"kind": kind}, [])

    def wait_for(self, kind, passes=bool):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            for told, content, buffers in reversed(getattr(self, "told", [])):
                if told == kind and passes(content):
                    return content, buffers
            threading.Event().wait(0.02)
        raise AssertionError(f"nothing of kind {kind} was told: {self.told[-1:]}")


@pytest.fixture
def lab(emu):
    with dl.connect(emu.url, api_key=KEY) as lab:
        yield lab


@pytest.fixture
def panel(lab):
    made = Overheard(lab, prompts=["ink", "clay"], inputs=["sample:coffee.jpg"], seeds=[1, 2])
    yield made
    if made.run is not None:
        made.run.wait()
    made.close()


def planned(points):
    return lambda content: content["estimate"].get("points") == points


def test_the_fields_are_a_sweep_and_the_estimate_follows_them(panel):
    content, _ = panel.wait_for("state", planned(4))
    assert "4 points to buy" in content["estimate"]["text"]
    panel.seeds = [1, 2, 3]
    panel.wait_for("state", planned(6))
    assert len(panel.sweep) == 6


def test_a_template_s_variables_are_axes():
    found = keywords(["lucy-image-2"], ["a {look} sea"], {"look": ["ink", "clay"]}, [], [])
    assert isinstance(found["prompt"], Template)
    assert found["prompt"].variables == {"look": ("ink", "clay")}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (([], ["ink"], {}, [], []), GridError),
        ((["lucy-image-2"], ["a {x}", "b {x}"], {"x": ["1"]}, [], []), GridError),
        ((["lucy-image-2"], ["ink"], {}, ["sample:../../x"], []), InvalidInputError),
    ],
)
def test_fields_that_describe_no_sweep_are_refused_with_a_reason(fields, error):
    with pytest.raises(error):
        keywords(*fields)


def test_what_is_wrong_is_said_where_the_estimate_stands(panel):
    panel.models = []
    content, _ = panel.wait_for("state", lambda told: told["estimate"].get("problem"))
    assert "No model is chosen" in content["estimate"]["problem"]
    with pytest.raises(DecartSDKError):
        panel.start()


def test_the_run_button_buys_what_was_planned_and_the_result_opens(panel, emu):
    panel.wait_for("state", planned(4))
    panel.press("run")
    content, _ = panel.wait_for("state", lambda told: told["state"] == "finished")
    assert content["progress"]["counts"] == {"completed": 4}
    panel.wait_for("state", lambda told: told["estimate"].get("owned") == 4)
    assert len(emu.ledger.entries) == 4
    panel.press("show")
    content, buffers = panel.wait_for("results")
    assert [tile["status"] for tile in content["tiles"]] == ["completed"] * 4
    assert len(buffers) == 4
    assert {tile["label"] for tile in content["tiles"]} == {
        f"{style}, seed {seed}" for style in ("ink", "clay") for seed in (1, 2)
    }


def test_starting_again_while_a_run_goes_on_is_that_run(panel):
    panel.seeds = list(range(20))
    first = panel.start()
    panel.seeds = [77]
    assert panel.start() is first
    panel.press("stop")
    panel.wait_for("state", lambda told: told["state"] == "finished")


def test_a_cell_and_the_front_end_change_one_state(panel):
    panel.set_state({"prompts": ["gold"], "variables": {}, "seeds": [7]})
    panel.wait_for("state", planned(1))
    assert (panel.prompts, panel.seeds) == (["gold"], [7])


def test_no_key_is_in_what_is_saved_or_said(panel):
    panel.wait_for("state", planned(4))
    said = json.dumps([panel.get_state(), panel.told], default=str) + repr(panel)
    assert KEY not in said
    assert "4 points to buy" in repr(panel)
